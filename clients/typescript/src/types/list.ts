/**
 * `list`: values in a row.
 *
 * Every change but `set` and `replace` is a taking out, a putting in, or both, so that all rebasing
 * comes down to two functions: how a *gap* (a place between items) and how an *item* move over one.
 */

import { Conflict } from "../value/errors.js"
import type { Json } from "../value/json.js"
import { canonical } from "../value/json.js"
import { inCommon } from "./alike.js"
import { itemField, unknownChange, wrongValue } from "./fields.js"
import { END, placeField, resolvePlace } from "./place.js"
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

/** No place: it compares with none, and stays what it is. */
const NONE = NaN

/** Where a change finds an item, and the gap that it puts one in, counted without the item found. */
type Places = readonly [item: number, gap: number]

function placesOf(change: ListChange): Places {
  if (change.type === "move") return [change.from, change.to]
  return change.type === "insert" ? [NONE, change.position] : [change.position, NONE]
}

/** The change at other places. */
function placed(change: ListChange, [item, gap]: Places): ListChange {
  if (change.type === "move") return { type: "move", from: item, to: gap }
  return { ...change, position: change.type === "insert" ? gap : item }
}

/** An item or a gap, once the item at `popped` is taken out; not of that item itself. */
function overPop(place: number, popped: number): number {
  return popped < place ? place - 1 : place
}

/** Where an item is once a change happened; nowhere if that took it out. */
function itemOver(item: number, [popped, inserted]: Places): number {
  if (item === popped) return inserted
  const at = overPop(item, popped)
  return inserted <= at ? at + 1 : at
}

/** Where a gap is once a change happened. Of two inserts into one gap, the newcomer stays to the left. */
function gapOver(gap: number, [popped, inserted]: Places, newcomer: boolean): number {
  const at = overPop(gap, popped)
  return inserted < at || (inserted === at && !newcomer) ? at + 1 : at
}

/** A change rebased over another one that does not replace; nothing if its item was taken out. */
function rebased(change: ListChange, other: ListChange, newcomer: boolean): Maybe<ListChange> {
  if (other.type === "replace") return change
  const [item, gap] = placesOf(change)
  const [popped, inserted] = placesOf(other)
  const there = itemOver(item, [popped, inserted])
  if (item === popped) {
    // The same item moved by both: this one's target stands, and it counts without the item.
    return other.type === "move" ? placed(change, [there, gap]) : undefined
  }
  // The gap counts without this one's item, so the other's places are taken without it too.
  const rest: Places = [overPop(popped, item), overPop(inserted, overPop(item, popped))]
  return placed(change, [there, gapOver(gap, rest, newcomer)])
}

function takesBase(change: ListChange): boolean {
  return !placesOf(change).includes(END)
}

/** The change with "the end" resolved, and checked against the list. */
function exactly(change: ListChange, items: Items): ListChange {
  const { length } = items
  const [item, gap] = placesOf(change)
  const end = change.type === "insert" ? length : length - 1
  return placed(change, [resolvePlace(item, length - 1, length), resolvePlace(gap, end, length)])
}

const TOLD = { insert: "inserted", pop: "popped", replace: "replaced", move: "moved" }

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
    const [item, gap] = placesOf(exact)
    if (exact.type === "insert") return items.toSpliced(gap, 0, exact.item)
    if (exact.type === "replace") return items.with(item, exact.item)
    const rest = items.toSpliced(item, 1)
    return exact.type === "pop" ? rest : rest.toSpliced(gap, 0, items[item]!)
  },
  rebase(incoming, accepted) {
    const [item] = placesOf(incoming)
    let over = rebased(accepted, incoming, false)
    if (item === placesOf(accepted)[0]) {
      const gone = accepted.type === "pop"
      if (gone || (incoming.type === "replace" && accepted.type === "replace")) {
        throw new Conflict(`the item at position ${item} was ${gone ? "removed" : "replaced"}`)
      }
      // The newcomer's target stands.
      if (incoming.type === "move" && accepted.type === "move") over = undefined
    }
    return { incoming: rebased(incoming, accepted, true), accepted: over }
  },
  invert(change, before) {
    const exact = exactly(change, before)
    const { type } = exact
    const [item, gap] = placesOf(exact)
    if (type === "insert") return { type: "pop", position: gap }
    if (type === "move") return { type, from: gap, to: item }
    return { type: type === "pop" ? "insert" : type, position: item, item: before[item]! }
  },
  compose(first, second) {
    // Only what is done twice to one item is one change.
    const [item, gap] = placesOf(first)
    const at = first.type === "replace" ? item : gap
    const [same, target] = placesOf(second)
    if (at === END || at !== same) return SEPARATE
    if (second.type === "pop") {
      if (first.type === "insert") return undefined
      return { type: "pop", position: item }
    }
    if (second.type === "replace" && first.type !== "move")
      return { ...first, item: second.item } as ListChange
    if (second.type !== "move" || first.type === "replace") return SEPARATE
    return placed(first, [item, target])
  },
  diff(from, to) {
    const changes: ListChange[] = []
    let [gone, come] = [0, 0]
    // Everything before `come` is as it is to be.
    for (const [oldStart, nowStart, length] of inCommon(from.map(canonical), to.map(canonical), 1)) {
      const both = come + Math.min(oldStart - gone, nowStart - come)
      for (let position = come; position < nowStart; position++) {
        changes.push({ type: position < both ? "replace" : "insert", position, item: to[position]! })
      }
      for (let left = oldStart - gone - (both - come); left > 0; left--) {
        changes.push({ type: "pop", position: both })
      }
      gone = oldStart + length
      come = nowStart + length
    }
    return changes
  },
  describe(change, before) {
    const exact = exactly(change, before)
    const { type } = exact
    const old = before[placesOf(exact)[0]]
    const told = {
      ...exact,
      type: TOLD[type],
      ...(old !== undefined && { [type === "replace" ? "previous" : "item"]: old }),
    }
    return [told as ListEvent]
  },
})
