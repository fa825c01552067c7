/**
 * An edit of a text: what to keep, insert and delete, from its beginning to its end.
 *
 * Its algebra (apply, compose, rebase) walks two edits side by side. The representation is that of
 * Google Wave's operations (D. Wang, A. Mah, S. Lassen, "Google Wave Operational Transformation",
 * 2010), with one departure: inserts and deletes at one place keep the order in which they came.
 * `[delete 3, insert "x"]` leaves the same text as `[insert "x", delete 3]`, but says that the insert
 * came after the deleted range. Because of it, rebasing over a composition gives exactly what
 * rebasing over its parts in turn gives.
 */

import { Invalid, outOfBounds } from "../value/errors.js"
import type { Json } from "../value/json.js"
import { isObject } from "../value/json.js"
import { Text } from "../value/text.js"
import { wrongField } from "./fields.js"
import { checkPlace, LENGTH_MAX } from "./place.js"
import type { Maybe } from "./type.js"

/** One step through a text. */
export interface Step {
  readonly type: "retain" | "insert" | "delete"
  /** How many code points, at least one. */
  readonly length: number
  /** What is inserted, or deleted where that is known. */
  readonly text?: Text | undefined
}

/**
 * A walk through a text; what lies behind the last step is kept. Neighbouring steps differ in type,
 * and the last is no `retain`: one edit has one form, but for inserts and deletes at one place.
 */
export type Edit = readonly Step[]

/** A step that inserts. */
export function insertion(text: Text): Step {
  return { type: "insert", length: text.points, text }
}

/** A step that deletes: so many code points, or a text. */
export function deletion(what: number | Text): Step {
  if (typeof what === "number") return { type: "delete", length: what }
  return { type: "delete", length: what.points, text: what }
}

function retention(length: number): Step {
  return { type: "retain", length }
}

/** An edit of one step, at a position. */
export function editAt(position: number, step: Step): Edit {
  return editOf([retention(position), step])
}

/** Steps as an edit: without any that is empty, and neighbours of one type made one. */
function editOf(steps: Iterable<Step>): Edit {
  const edit: Step[] = []
  for (const step of steps) {
    const { type, length } = step
    const last = edit.at(-1)
    if (length > 0 && last?.type === type) {
      const text = last.text && step.text && last.text.concat(step.text)
      edit[edit.length - 1] = { type, length: last.length + length, text }
    } else if (length > 0) edit.push(step)
  }
  if (edit.at(-1)?.type === "retain") edit.pop()
  return edit
}

/**
 * Walks two edits side by side. Steps of `second` that insert, and of `first` that are of the type
 * `alone`, come by themselves; of all others, parts of one length come together. Behind its last step an
 * edit keeps.
 */
function* pairs(first: Edit, second: Edit, alone: Step["type"]): Generator<[Maybe<Step>, Maybe<Step>]> {
  const [a, b] = [[...first].reverse(), [...second].reverse()]
  /** Takes so many code points off the next step, and leaves the rest. */
  const take = (steps: Step[], length: number): Step => {
    const step = steps.pop()
    if (!step) return retention(length)
    if (length === step.length) return step
    const part = (from: number, to: number): Step => {
      return { type: step.type, length: to - from, text: step.text && Text.of(step.text.slice(from, to)) }
    }
    steps.push(part(length, step.length))
    return part(0, length)
  }
  while (a.length + b.length > 0) {
    const [mine, theirs] = [a.at(-1), b.at(-1)]
    if (mine?.type === alone) yield [a.pop(), undefined]
    else if (theirs?.type === "insert") yield [undefined, b.pop()]
    else {
      const length = Math.min(mine?.length ?? Infinity, theirs?.length ?? Infinity)
      yield [take(a, length), take(b, length)]
    }
  }
}

/**
 * The edit with every deleted text named.
 *
 * @throws {@link Invalid} if it does not fit the text.
 */
export function resolveEdit(edit: Edit, text: Text): Edit {
  let end = 0
  return edit.map((step) => {
    if (step.type === "insert") return step
    const start = end
    end += step.length
    if (end > text.points) throw outOfBounds(end, text.points)
    if (step.type === "retain") return step
    const found = text.slice(start, end)
    if (!step.text) return deletion(Text.of(found))
    if (step.text.toString() === found) return step
    throw new Invalid(`the text at position ${start} is not the one to be deleted`)
  })
}

/** Applies an edit, to each of its places in turn. */
export function applyEdit(text: Text, edit: Edit): Text {
  let position = 0
  for (const { type, length, text: named } of resolveEdit(edit, text)) {
    if (type === "insert") text = text.splice(position, position, named!.toString())
    if (type === "delete") text = text.splice(position, position + length, "")
    else position += length
  }
  return text
}

/** The edit that takes `edit` back, which names what it deletes. */
export function invertEdit(edit: Edit): Edit {
  return edit.map((step) => {
    if (step.type === "retain") return step
    return step.type === "insert" ? deletion(step.text!) : insertion(step.text!)
  })
}

/**
 * One edit that does what `first` and then `second` do. O(s + t), the numbers of steps.
 *
 * What `first` deletes at a place comes before what `second` inserts there.
 */
export function composeEdits(first: Edit, second: Edit): Edit {
  const typed = composeTyping(first, second)
  if (typed) return typed
  const steps: Step[] = []
  for (const [mine, theirs] of pairs(first, second, "delete")) {
    // What was inserted and is deleted again leaves nothing.
    if (mine?.type === "insert" && theirs?.type === "delete") continue
    steps.push(!mine || theirs?.type === "delete" ? theirs! : mine)
  }
  return editOf(steps)
}

/**
 * What {@link composeEdits} gives where `second` changes the inside of one insertion of `first`:
 * somebody types on. It is found without cutting that insertion into pieces.
 */
function composeTyping(first: Edit, second: Edit): Edit | undefined {
  const change = second.at(-1)
  if (!change || second.length > 2 || (second.length === 2 && second[0]!.type !== "retain")) return
  let position = second.length === 2 ? second[0]!.length : 0
  const removed = change.type === "delete" ? change.length : 0
  let at = 0
  // Along the steps that are there after `first`, to the one that holds the position.
  for (; at < first.length; at++) {
    const { type, length } = first[at]!
    if (type === "delete") continue
    const last = type === "insert" && first[at + 1]?.type !== "delete" && removed === 0
    if (position < length || (last && position === length)) break
    position -= length
  }
  const step = first[at]
  if (step?.type !== "insert" || position + removed > step.length || removed === step.length) return
  const inserted = change.type === "insert" ? change.text!.toString() : ""
  const text = step.text!.splice(position, position + removed, inserted)
  return first.length === 1 ? [insertion(text)] : first.with(at, insertion(text))
}

/**
 * Rebases two edits of one text over each other. O(s + t), the numbers of steps.
 *
 * Inserted text is never lost: inside a deleted range it moves to where the range was, and a delete
 * goes around it. Of two inserts at one place the incoming goes to the left. Deletes come out by
 * length alone: what is left of them is named when they are resolved.
 */
export function rebaseEdits(incoming: Edit, accepted: Edit): [incoming: Edit, accepted: Edit] {
  const [overAccepted, overIncoming]: [Step[], Step[]] = [[], []]
  /** Puts a step where it stays, and on the other side what it is there: kept, or gone. */
  const put = (step: Step, here: Step[], there: Step[]) => {
    const { type, length } = step
    here.push(type === "delete" ? { type, length } : step)
    if (type !== "delete") there.push(retention(length))
  }
  for (const [mine, theirs] of pairs(incoming, accepted, "insert")) {
    if (!theirs) put(mine!, overAccepted, overIncoming)
    else if (!mine) put(theirs, overIncoming, overAccepted)
    // What both delete is gone on both sides.
    else if (mine.type !== "delete") put(theirs, overIncoming, overAccepted)
    else if (theirs.type !== "delete") put(mine, overAccepted, overIncoming)
  }
  return [editOf(overAccepted), editOf(overIncoming)]
}

/** Reads the wire's list: a number keeps, a string inserts, `{"d": …}` deletes. */
export function decodeEdit(value: Json): Edit {
  const wrong = (found: Json) => wrongField("edit", 'a list of numbers, strings and {"d": …}', found)
  if (!Array.isArray(value)) throw wrong(value)
  const steps = (value as readonly Json[]).map((step): Step => {
    if (typeof step === "string") return insertion(Text.of(step))
    if (!isObject(step)) return retention(checkPlace(step, "edit", 0))
    const what = step["d"]
    if (what === undefined || Object.keys(step).length !== 1) throw wrong(step)
    return deletion(typeof what === "string" ? Text.of(what) : checkPlace(what, "edit", 0))
  })
  let reach = 0
  for (const { type, length } of steps) if (type !== "insert") reach += length
  if (reach > LENGTH_MAX) throw outOfBounds(reach, LENGTH_MAX)
  return editOf(steps)
}

/** What a step deletes, as on the wire. */
export function encodeDeletion(step: Step): Json {
  return step.text ? step.text.toString() : step.length
}

/** The wire's list. */
export function encodeEdit(edit: Edit): Json {
  return edit.map((step) => {
    if (step.type === "retain") return step.length
    return step.type === "insert" ? step.text!.toString() : { d: encodeDeletion(step) }
  })
}
