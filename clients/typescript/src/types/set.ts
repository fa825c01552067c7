/** `set`: distinct values, in the one order of values. */

import { Invalid, tryTo } from "../value/errors.js"
import type { Json } from "../value/json.js"
import { compare, equal } from "../value/json.js"
import { itemField, required, unknownChange, wrongValue } from "./fields.js"
import type { SetEvent, SetTo } from "./register.js"
import type { TopicType } from "./type.js"
import { changed, SEPARATE, unaffected } from "./type.js"

/** A set's items, sorted. */
type Items = readonly Json[]

/** A change of a set. */
export type SetChange = SetTo<Items> | { readonly type: "append" | "remove"; readonly item: Json }

/** What a program is told of a change of a set. */
export type SetTopicEvent<T = Json> =
  | { readonly type: "added" | "removed"; readonly item: T }
  | SetEvent<readonly T[]>

/** Where `item` is, or would be put, and whether it is there. O(log n). */
function find(items: Items, item: Json): { at: number; found: boolean } {
  let [low, high] = [0, items.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (compare(items[middle]!, item) < 0) low = middle + 1
    else high = middle
  }
  return { at: low, found: low < items.length && compare(items[low]!, item) === 0 }
}

function decodeItems(value: Json): Items {
  if (!Array.isArray(value)) throw wrongValue("a list", value)
  const items = (value as Items).toSorted(compare)
  const twice = items.some((item, at) => at > 0 && compare(items[at - 1]!, item) === 0)
  if (twice) throw new Invalid("the set holds an item twice")
  return items
}

function apply(items: Items, change: SetChange): Items {
  if (change.type === "set") return change.value
  const { at, found } = find(items, change.item)
  if (change.type === "append") {
    if (found) throw new Invalid("the item is in the set already")
    return items.toSpliced(at, 0, change.item)
  }
  if (!found) throw new Invalid("the item is not in the set")
  return items.toSpliced(at, 1)
}

/** Holds distinct values. */
export const set: TopicType<Items, SetChange, Items, SetTopicEvent> = {
  name: "set",
  initial: [],
  decodeValue: decodeItems,
  encodeValue: (items) => items,
  decodeChange(fields) {
    const { type } = fields
    if (type === "set") return { type, value: decodeItems(required(fields, "value")) }
    if (type !== "append" && type !== "remove") throw unknownChange("set", fields)
    return { type, item: itemField(fields, "item") }
  },
  encodeChange: (change) => ({ ...change }),
  apply,
  rebase(incoming, accepted) {
    if (incoming.type === "set") throw changed()
    if (accepted.type === "set") {
      const both = tryTo(() => apply(accepted.value, incoming))
      if (!both) return { incoming: undefined, accepted }
      return { incoming, accepted: { type: "set", value: both } }
    }
    const same = incoming.type === accepted.type && equal(incoming.item, accepted.item)
    return same
      ? { incoming: undefined, accepted: undefined }
      : unaffected<SetChange>(incoming, accepted)
  },
  invert(change, before) {
    if (change.type === "set") return { type: "set", value: before }
    return { type: change.type === "append" ? "remove" : "append", item: change.item }
  },
  compose(first, second) {
    if (second.type === "set") return second
    if (first.type === "set") {
      const value = tryTo(() => apply(first.value, second))
      return value ? { type: "set", value } : SEPARATE
    }
    const back = first.type !== second.type && equal(first.item, second.item)
    return back ? undefined : SEPARATE
  },
  diff: (from, to) => [
    ...from.filter((item) => !find(to, item).found).map((item) => ({ type: "remove", item }) as const),
    ...to.filter((item) => !find(from, item).found).map((item) => ({ type: "append", item }) as const),
  ],
  describe(change) {
    if (change.type === "set") return [change]
    return [{ type: change.type === "append" ? "added" : "removed", item: change.item }]
  },
}
