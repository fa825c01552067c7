/** Every client's replica does the same: the scripted cases that the server's engine generated. */

import { existsSync, readFileSync } from "node:fs"
import { describe, test } from "vitest"
import type { Case } from "../support/conformance.js"
import { runCase } from "../support/conformance.js"

const FILE = new URL("../../../conformance/cases.jsonl", import.meta.url)

describe.skipIf(!existsSync(FILE))("the conformance file", () => {
  const lines = existsSync(FILE) ? readFileSync(FILE, "utf8").split("\n").filter(Boolean) : []
  const cases = lines.map((line) => JSON.parse(line) as Case)
  test.each(cases.map((it) => [it.case, it] as const))("%s", (_name, it) => runCase(it))
})
