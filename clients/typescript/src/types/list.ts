/**
 * `list`: values in a row.
 *
 * Every change but `set` and `replace` is a taking out, a putting in, or both, so that all rebasing
 * comes down to two functions: how a *gap* (a place between items) and how an *item* move over one.
 */

import { Conflict } from "../value/errors.js"
import type { Json } from "../value/json.js"
import { equal } from "../value/json.js"
import { itemField, unknownChange, wrongValue } from "./fields.js"
import { END, placeField, resolvePlace } from "./place.js"
import { sharedEnds } from "./search.js"
import type { SetEvent } from "./settable.js"
import { settable } from "./settable.js"
import type { Maybe } from "./type.js"
import { SEPARATE } from "./type.js"

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
export type ListChange = Insert | Pop | Replace | Move

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
  if (other.type === "replace") return change
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
  if (change.type === "move") return change.from !== END && change.to !== END
  return change.position !== END
}

/** A change with its positions, on a list. */
function exactly(change: ListChange, items: Items): ListChange {
  const last = items.length - 1
  if (change.type === "move") {
    return { type: "move", from: resolvePlace(change.from, last), to: resolvePlace(change.to, last) }
  }
  const end = change.type === "insert" ? items.length : last
  return { ...change, position: resolvePlace(change.position, end) }
}

/** Holds values in a row. */
export const list = settable<Items, ListChange, Items, ListEvent>({
  name: "list",
  initial: [],
  decodeValue(value) {
    if (!Array.isArray(value)) throw wrongValue("a list", value)
    return value
  },
  encodeValue: (items) => items,
  decodeChange(fields) {
    const { type } = fields
    const place = (field: string) => placeField(fields, field)
    switch (type) {
      case "pop":
        return { type, position: place("position") }
      case "insert":
      case "replace":
        return { type, position: place("position"), item: itemField(fields, "item") }
      case "move":
        return { type, from: place("from"), to: place("to") }
      default:
        throw unknownChange("list", fields)
    }
  },
  takesBase,
  resolve: (change, items) => (takesBase(change) ? change : exactly(change, items)),
  apply(items, change) {
    const exact = exactly(change, items)
    switch (exact.type) {
      case "insert":
        return items.toSpliced(exact.position, 0, exact.item)
      case "pop":
        return items.toSpliced(exact.position, 1)
      case "replace":
        return items.with(exact.position, exact.item)
      case "move":
        return items.toSpliced(exact.from, 1).toSpliced(exact.to, 0, items[exact.from]!)
    }
  },
  rebase(incoming, accepted) {
    const position = subject(incoming)
    if (position !== undefined && position === subject(accepted)) {
      const gone = accepted.type === "pop"
      if (gone || (incoming.type === "replace" && accepted.type === "replace")) {
        throw new Conflict(`the item at position ${position} was ${gone ? "removed" : "replaced"}`)
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
    const exact = exactly(change, before)
    switch (exact.type) {
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
    // Only what is done twice to one item is one change.
    const at = first.type === "move" ? first.to : first.position
    if (first.type === "pop" || at === END || at !== subject(second)) return SEPARATE
    if (second.type === "pop") {
      if (first.type === "insert") return undefined
      return first.type === "move" ? { type: "pop", position: first.from } : second
    }
    if (second.type === "replace" && first.type !== "move") return { ...first, item: second.item }
    if (second.type !== "move" || first.type === "replace") return SEPARATE
    return first.type === "move" ? { ...first, to: second.to } : { ...first, position: second.to }
  },
  diff(from, to) {
    const [start, end] = sharedEnds(from, to, equal)
    const [gone, come] = [from.length - start - end, to.length - start - end]
    const both = start + Math.min(gone, come)
    const put = (type: "replace" | "insert", first: number, last: number): ListChange[] =>
      to.slice(first, last).map((item, at) => ({ type, position: first + at, item }))
    const pops = Array<ListChange>(from.length - end - both).fill({ type: "pop", position: both })
    return [...put("replace", start, both), ...pops, ...put("insert", both, start + come)]
  },
  describe(change, before) {
    const exact = exactly(change, before)
    switch (exact.type) {
      case "insert":
        return [{ ...exact, type: "inserted" }]
      case "pop":
        return [{ ...exact, type: "popped", item: before[exact.position]! }]
      case "replace":
        return [{ ...exact, type: "replaced", previous: before[exact.position]! }]
      case "move":
        return [{ ...exact, type: "moved", item: before[exact.from]! }]
    }
  },
})
