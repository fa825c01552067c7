/** Every client's replica does the same: the scripted cases that the server's engine generated. */

import { existsSync, readFileSync } from "node:fs"
import { describe, test } from "vitest"
import type { Case } from "../support/conformance.js"
import { runCase } from "../support/conformance.js"

const FILES = [
  new URL("./cases.jsonl", import.meta.url),
  new URL("../../../conformance/cases.jsonl", import.meta.url),
]

describe.each(FILES.filter(existsSync).map((file) => [file.pathname.split("/").slice(-2).join("/"), file]))(
  "%s",
  (_name, file) => {
    const lines = readFileSync(file, "utf8").split("\n").filter((line) => line !== "")
    test.each(lines.map((line) => JSON.parse(line) as Case).map((it) => [it.case, it] as const))(
      "%s",
      (_case, it) => runCase(it),
    )
  },
)
