/** `set`: distinct values, in the one order of values. */

import { Invalid, misplaced, tryTo } from "../value/errors.js"
import type { Json } from "../value/json.js"
import { compare, equal } from "../value/json.js"
import { itemField, unknownChange, wrongValue } from "./fields.js"
import { lowerBound } from "./search.js"
import type { SetEvent } from "./settable.js"
import { settable } from "./settable.js"
import { SEPARATE } from "./type.js"

/** A set's items, sorted. */
type Items = readonly Json[]

/** Puts an item in, or takes it out. */
export interface SetChange {
  readonly type: "append" | "remove"
  readonly item: Json
}

/** What a program is told of a change of a set. */
export type SetTopicEvent<T = Json> =
  { readonly type: "added" | "removed"; readonly item: T } | SetEvent<readonly T[]>

/** Where `item` is, or would be put. O(log n). */
function find(items: Items, item: Json): number {
  return lowerBound(items.length, (at) => compare(items[at]!, item) < 0)
}

function has(items: Items, item: Json): boolean {
  const found = items[find(items, item)]
  return found !== undefined && equal(found, item)
}

function apply(items: Items, { type, item }: SetChange): Items {
  const at = find(items, item)
  const there = has(items, item)
  if (there === (type === "append")) throw misplaced("the item", there)
  return type === "append" ? items.toSpliced(at, 0, item) : items.toSpliced(at, 1)
}

/** Holds distinct values. */
export const set = settable<Items, SetChange, Items, SetTopicEvent>({
  name: "set",
  initial: [],
  decodeValue(value) {
    if (!Array.isArray(value)) throw wrongValue("a list", value)
    const items = (value as Items).toSorted(compare)
    const twice = items.some((item, at) => at > 0 && equal(items[at - 1]!, item))
    if (twice) throw new Invalid("the set holds an item twice")
    return items
  },
  encodeValue: (items) => items,
  decodeChange(fields) {
    const { type } = fields
    if (type !== "append" && type !== "remove") throw unknownChange("set", fields)
    return { type, item: itemField(fields, "item") }
  },
  apply,
  rebase(incoming, accepted) {
    const same = incoming.type === accepted.type && equal(incoming.item, accepted.item)
    return same ? { incoming: undefined, accepted: undefined } : { incoming, accepted }
  },
  overSet(incoming, accepted) {
    const value = tryTo(() => apply(accepted.value, incoming))
    if (!value) return { incoming: undefined, accepted }
    return { incoming, accepted: { type: "set", value } }
  },
  invert: ({ type, item }) => ({ type: type === "append" ? "remove" : "append", item }),
  compose(first, second) {
    const back = first.type !== second.type && equal(first.item, second.item)
    return back ? undefined : SEPARATE
  },
  diff(from, to) {
    const only = (type: SetChange["type"], items: Items, others: Items): SetChange[] =>
      items.filter((item) => !has(others, item)).map((item) => ({ type, item }))
    return [...only("remove", from, to), ...only("append", to, from)]
  },
  describe: ({ type, item }) => [{ type: type === "append" ? "added" : "removed", item }],
})
