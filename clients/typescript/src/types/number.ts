/** `int` and `float`: numbers that are set, or added to. Additions commute: two that count at once lose nothing. */

import { Invalid, tryTo } from "../value/errors.js"
import type { Json } from "../value/json.js"
import { numberField, unknownChange, wholeField, wrongValue } from "./fields.js"
import type { Fields, TopicType } from "./type.js"
import { changed, SEPARATE, unaffected } from "./type.js"

/** A change of a number. */
export interface NumberChange {
  readonly type: "set" | "add"
  readonly value: number
}

/** What a program is told of a change of a number. */
export type NumberEvent = NumberChange

/** In what `int` and `float` differ. */
interface Arithmetic {
  readonly name: string
  readonly expected: string
  fits(value: Json): boolean
  field(fields: Fields, field: string): number
  /** The nearest number within the range; `value` is the one that was set. */
  clamp(sum: number, value: number): number
  /** Whether the sum of two summands, added at once, gives just what the two give in turn. */
  readonly associates: boolean
}

function number(arithmetic: Arithmetic): TopicType<number, NumberChange, number, NumberEvent> {
  const { name, expected, fits, field, clamp, associates } = arithmetic

  function sum(a: number, b: number): number {
    if (!fits(a + b)) throw new Invalid("the result is beyond the range of numbers")
    return a + b
  }

  return {
    name,
    initial: 0,
    decodeValue(value) {
      if (!fits(value)) throw wrongValue(expected, value)
      return value as number
    },
    encodeValue: (value) => value,
    decodeChange(fields) {
      const { type } = fields
      if (type !== "set" && type !== "add") throw unknownChange(name, fields)
      return { type, value: field(fields, "value") }
    },
    encodeChange: (change) => ({ ...change }),
    apply: (value, change) => (change.type === "set" ? change.value : sum(value, change.value)),
    rebase(incoming, accepted) {
      if (incoming.type === "set") throw changed()
      if (accepted.type === "add") return unaffected(incoming, accepted)
      // Out of range, the incoming change does not apply, and its author is told.
      const value = clamp(accepted.value + incoming.value, accepted.value)
      return { incoming, accepted: { type: "set", value } }
    },
    invert: (change, before) =>
      change.type === "set"
        ? { type: "set", value: before }
        : { type: "add", value: -change.value },
    compose(first, second) {
      if (second.type === "set") return second
      if (first.type === "add" && !associates) return SEPARATE
      const value = tryTo(() => sum(first.value, second.value))
      return value === undefined ? SEPARATE : { type: first.type, value }
    },
    describe: (change) => [change],
  }
}

/** A whole number within ±(2^53 − 1). */
export const int = number({
  name: "int",
  expected: "a whole number",
  fits: Number.isSafeInteger,
  field: wholeField,
  clamp: (sum) => Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, sum)),
  associates: true,
})

/** A finite number. */
export const float = number({
  name: "float",
  expected: "a number",
  fits: Number.isFinite,
  field: numberField,
  clamp: (sum, value) => (Number.isFinite(sum) ? sum : value),
  associates: false,
})
