/** `int` and `float`: numbers that are set, or added to. Two that add at once lose nothing. */

import { Invalid, tryTo } from "../value/errors.js"
import type { Json } from "../value/json.js"
import { required, unknownChange, wrongField, wrongValue } from "./fields.js"
import type { SetEvent } from "./settable.js"
import { settable } from "./settable.js"
import { SEPARATE } from "./type.js"

/** Adds, which commutes. */
export interface Add {
  readonly type: "add"
  readonly value: number
}

/** What a program is told of a change of a number. */
export type NumberEvent = Add | SetEvent<number>

/**
 * @param fits - whether a value is such a number
 * @param clamp - the nearest number to a sum; `value` is one of its summands
 * @param associates - whether the sum of two summands, added at once, gives what the two give in turn
 */
function number(
  name: string,
  expected: string,
  fits: (value: Json) => boolean,
  clamp: (sum: number, value: number) => number,
  associates: boolean,
) {
  function sum(a: number, b: number): number {
    if (!fits(a + b)) throw new Invalid("the result is beyond the range of numbers")
    return a + b
  }

  return settable<number, Add>({
    name,
    initial: 0,
    decodeValue(value) {
      if (!fits(value)) throw wrongValue(expected, value)
      return value as number
    },
    encodeValue: (value) => value,
    decodeChange(fields) {
      if (fields.type !== "add") throw unknownChange(name, fields)
      const value = required(fields, "value")
      if (!fits(value)) throw wrongField("value", expected, value)
      return { type: "add", value: value as number }
    },
    apply: (value, change) => sum(value, change.value),
    overSet: (incoming, { value }) => ({
      incoming,
      // Out of range, the incoming change does not apply, and its author is told.
      accepted: { type: "set", value: clamp(value + incoming.value, value) },
    }),
    invert: (change) => ({ type: "add", value: -change.value }),
    compose(first, second) {
      const value = associates ? tryTo(() => sum(first.value, second.value)) : undefined
      return value === undefined ? SEPARATE : { type: "add", value }
    },
  })
}

const INT_MAX = Number.MAX_SAFE_INTEGER

/** A whole number within ±(2^53 − 1). */
export const int = number(
  "int",
  "a whole number",
  Number.isSafeInteger,
  (sum) => Math.max(-INT_MAX, Math.min(INT_MAX, sum)),
  true,
)

/** A finite number. */
export const float = number(
  "float",
  "a number",
  Number.isFinite,
  (sum, value) => (Number.isFinite(sum) ? sum : value),
  false,
)
