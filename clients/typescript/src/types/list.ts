/**
 * `list`: values in a row.
 *
 * Every change but `set` and `replace` is a taking out, a putting in, or both, so that all rebasing
 * comes down to two functions: how a *gap* (a place between items) and how an *item* move over one.
 */

import { Conflict, tryTo } from "../value/errors.js"
import type { Json } from "../value/json.js"
import { equal } from "../value/json.js"
import { itemField, required, unknownChange, wrongValue } from "./fields.js"
import { END, placeField, resolvePlace } from "./place.js"
import type { SetEvent, SetTo } from "./register.js"
import type { Maybe, TopicType } from "./type.js"
import { changed, overwritten, SEPARATE } from "./type.js"

type Items = readonly Json[]

/** Puts `item` before the one at `position`. */
interface Insert {
  readonly type: "insert"
  readonly position: number
  readonly item: Json
}

/** Takes out the item at `position`. */
interface Pop {
  readonly type: "pop"
  readonly position: number
}

/** Puts `item` in the place of the one at `position`. */
interface Replace {
  readonly type: "replace"
  readonly position: number
  readonly item: Json
}

/** Takes out the item at `from`, then puts it before the item that is at `to` by then. */
interface Move {
  readonly type: "move"
  readonly from: number
  readonly to: number
}

/** A change of a list. Positions count items from 0; -1 is the end. */
export type ListChange = SetTo<Items> | Insert | Pop | Replace | Move

/** What a program is told of a change of a list. */
export type ListEvent<T = Json> =
  | { readonly type: "inserted"; readonly position: number; readonly item: T }
  | { readonly type: "popped"; readonly position: number; readonly item: T }
  | { readonly type: "replaced"; readonly position: number; readonly item: T; readonly previous: T }
  | { readonly type: "moved"; readonly from: number; readonly to: number; readonly item: T }
  | SetEvent<readonly T[]>

/** A gap's position after the item at `popped` was taken out. */
function gapOverPop(gap: number, popped: number): number {
  return popped < gap ? gap - 1 : gap
}

/** A gap's position after an insertion; of two at one place, the newcomer's is to the left. */
function gapOverInsert(gap: number, inserted: number, newcomer: boolean): number {
  return inserted < gap || (inserted === gap && !newcomer) ? gap + 1 : gap
}

/** An item's position after another item was put in at `inserted`. */
function itemOverInsert(item: number, inserted: number): number {
  return inserted <= item ? item + 1 : item
}

/** An item's position after another item, the one at `popped`, was taken out. */
function itemOverPop(item: number, popped: number): number {
  return popped < item ? item - 1 : item
}

/** A change that moves positions. */
type Motion = Insert | Pop | Move

function isMotion(change: ListChange): change is Motion {
  return change.type === "insert" || change.type === "pop" || change.type === "move"
}

/** Where the item at `item` is after `motion`; `undefined` if that took it out. */
function itemOver(motion: Motion, item: number): Maybe<number> {
  if (motion.type === "insert") return itemOverInsert(item, motion.position)
  if (motion.type === "pop") {
    return motion.position === item ? undefined : itemOverPop(item, motion.position)
  }
  if (motion.from === item) return motion.to
  return itemOverInsert(itemOverPop(item, motion.from), motion.to)
}

/** Where the gap at `gap` is after `motion`, `newcomer` telling whose gap it is. */
function gapOver(motion: Motion, gap: number, newcomer: boolean): number {
  if (motion.type === "insert") return gapOverInsert(gap, motion.position, newcomer)
  if (motion.type === "pop") return gapOverPop(gap, motion.position)
  return gapOverInsert(gapOverPop(gap, motion.from), motion.to, newcomer)
}

/** `motion` as it is once the item at `popped` is out of the list, which is not the one it takes. */
function without(motion: Motion, popped: number): Motion {
  if (motion.type === "insert") return { ...motion, position: gapOverPop(motion.position, popped) }
  if (motion.type === "pop") return { ...motion, position: itemOverPop(motion.position, popped) }
  // `to` counts without the moved item, so the popped one is looked for there too.
  const to = gapOverPop(motion.to, itemOverPop(popped, motion.from))
  return { type: "move", from: itemOverPop(motion.from, popped), to }
}

/** `change` carried over `other`; `undefined` if the item it is about was taken out. */
function carried(change: ListChange, other: ListChange, newcomer: boolean): Maybe<ListChange> {
  if (!isMotion(other) || change.type === "set") return change
  if (change.type === "insert") {
    return { ...change, position: gapOver(other, change.position, newcomer) }
  }
  if (change.type === "move") {
    const from = itemOver(other, change.from)
    if (from === undefined) return undefined
    // The same item moved by both: this one's target stands, and it counts without the item.
    const same = other.type === "move" && other.from === change.from
    const to = same ? change.to : gapOver(without(other, change.from), change.to, newcomer)
    return { type: "move", from, to }
  }
  const position = itemOver(other, change.position)
  return position === undefined ? undefined : { ...change, position }
}

/** The item that a change is about. */
function subject(change: ListChange): Maybe<number> {
  if (change.type === "move") return change.from
  return change.type === "pop" || change.type === "replace" ? change.position : undefined
}

function takesBase(change: ListChange): boolean {
  if (change.type === "set") return true
  if (change.type === "move") return change.from !== END && change.to !== END
  return change.position !== END
}

function resolve(change: ListChange, items: Items): ListChange {
  const last = items.length - 1
  if (change.type === "set") return change
  if (change.type === "move") {
    const [from, to] = [resolvePlace(change.from, last), resolvePlace(change.to, last)]
    return { type: "move", from, to }
  }
  const end = change.type === "insert" ? items.length : last
  return { ...change, position: resolvePlace(change.position, end) }
}

function apply(items: Items, change: ListChange): Items {
  const exact = resolve(change, items)
  switch (exact.type) {
    case "set":
      return exact.value
    case "insert":
      return items.toSpliced(exact.position, 0, exact.item)
    case "pop":
      return items.toSpliced(exact.position, 1)
    case "replace":
      return items.with(exact.position, exact.item)
    case "move":
      return items.toSpliced(exact.from, 1).toSpliced(exact.to, 0, items[exact.from]!)
  }
}

function decodeItems(value: Json): Items {
  if (!Array.isArray(value)) throw wrongValue("a list", value)
  return value
}

/** Holds values in a row. */
export const list: TopicType<Items, ListChange, Items, ListEvent> = {
  name: "list",
  initial: [],
  decodeValue: decodeItems,
  encodeValue: (items) => items,
  decodeChange(fields) {
    const { type } = fields
    switch (type) {
      case "set":
        return { type, value: decodeItems(required(fields, "value")) }
      case "pop":
        return { type, position: placeField(fields, "position") }
      case "insert":
      case "replace":
        return { type, position: placeField(fields, "position"), item: itemField(fields, "item") }
      case "move":
        return { type, from: placeField(fields, "from"), to: placeField(fields, "to") }
      default:
        throw unknownChange("list", fields)
    }
  },
  encodeChange: (change) => ({ ...change }),
  takesBase,
  resolve: (change, items) => (takesBase(change) ? change : resolve(change, items)),
  apply,
  rebase(incoming, accepted) {
    if (incoming.type === "set") throw changed()
    if (accepted.type === "set") throw overwritten()
    const position = subject(incoming)
    if (position !== undefined && position === subject(accepted)) {
      if (accepted.type === "pop") throw new Conflict(`the item at position ${position} was removed`)
      if (incoming.type === "replace" && accepted.type === "replace") {
        throw new Conflict(`the item at position ${position} was replaced`)
      }
      // The newcomer's target stands.
      if (incoming.type === "move" && accepted.type === "move") {
        return { incoming: carried(incoming, accepted, true), accepted: undefined }
      }
    }
    return {
      incoming: carried(incoming, accepted, true),
      accepted: carried(accepted, incoming, false),
    }
  },
  invert(change, before) {
    const exact = resolve(change, before)
    switch (exact.type) {
      case "set":
        return { type: "set", value: before }
      case "insert":
        return { type: "pop", position: exact.position }
      case "pop":
        return { type: "insert", position: exact.position, item: before[exact.position]! }
      case "replace":
        return { ...exact, item: before[exact.position]! }
      case "move":
        return { type: "move", from: exact.to, to: exact.from }
    }
  },
  compose(first, second) {
    if (second.type === "set") return second
    if (first.type === "set") {
      const value = tryTo(() => apply(first.value, second))
      return value ? { type: "set", value } : SEPARATE
    }
    // Only what is done twice to one item is one change.
    const at = first.type === "move" ? first.to : first.position
    if (first.type === "pop" || at === END || at !== subject(second)) return SEPARATE
    switch (`${first.type} ${second.type}`) {
      case "insert pop":
        return undefined
      case "insert replace":
        return { ...(first as Insert), item: (second as Replace).item }
      case "insert move":
        return { ...(first as Insert), position: (second as Move).to }
      case "replace replace":
      case "replace pop":
        return second
      case "move move":
        return { ...(first as Move), to: (second as Move).to }
      case "move pop":
        return { type: "pop", position: (first as Move).from }
      default:
        return SEPARATE
    }
  },
  diff(from, to) {
    const shortest = Math.min(from.length, to.length)
    let [start, end] = [0, 0]
    while (start < shortest && equal(from[start]!, to[start]!)) start++
    while (end < shortest - start && equal(from.at(-1 - end)!, to.at(-1 - end)!)) end++
    const [gone, come] = [from.length - start - end, to.length - start - end]
    const both = Math.min(gone, come)
    const put = (type: "replace" | "insert", first: number, last: number): ListChange[] =>
      to.slice(start + first, start + last).map((item, at) => ({
        type,
        position: start + first + at,
        item,
      }))
    const pop: ListChange = { type: "pop", position: start + both }
    return [
      ...put("replace", 0, both),
      ...Array<ListChange>(gone - both).fill(pop),
      ...put("insert", both, come),
    ]
  },
  describe(change, before) {
    const exact = resolve(change, before)
    switch (exact.type) {
      case "set":
        return [exact]
      case "insert":
        return [{ ...exact, type: "inserted" }]
      case "pop":
        return [{ type: "popped", position: exact.position, item: before[exact.position]! }]
      case "replace":
        return [{ ...exact, type: "replaced", previous: before[exact.position]! }]
      case "move":
        return [{ ...exact, type: "moved", item: before[exact.from]! }]
    }
  },
}
