/** Every client's replica does the same: the scripted cases that the Rust replica wrote. */

import { readFileSync } from "node:fs"
import { test } from "vitest"
import { parseCase, runCase } from "../support/conformance.js"

const FILE = new URL("../../../conformance/cases.jsonl", import.meta.url)
const lines = readFileSync(process.env["CASES"] ?? FILE, "utf8")
  .split("\n")
  .filter(Boolean)

test.each(lines.map(parseCase).map((it) => [it.case, it] as const))("%s", (_name, it) => runCase(it))
