/** Comparison by value, as every client compares: `1` is `1.0`, and keys have no order. */

import { expect } from "vitest"
import type { Json } from "../../src/value/json.js"
import { equal } from "../../src/value/json.js"

export function expectSame(found: unknown, expected: unknown, message?: string): void {
  // What differs is shown by the comparison that prints it.
  if (!equal(found as Json, expected as Json)) expect(found, message).toEqual(expected)
  expect(equal(found as Json, expected as Json), message).toBe(true)
}
