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
import { LENGTH_MAX } from "./place.js"
import type { Rebased } from "./type.js"

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

/** An edit of one step, at a position. */
export function editAt(position: number, step: Step): Edit {
  const builder = new Builder()
  builder.retain(position)
  builder.push(step)
  return builder.finish()
}

/** Puts steps together to an edit. */
class Builder {
  readonly #steps: Step[] = []

  retain(length: number): void {
    this.push({ type: "retain", length })
  }

  push(step: Step): void {
    const last = this.#steps.at(-1)
    if (step.length === 0) return
    if (last?.type !== step.type) return void this.#steps.push(step)
    const text = last.text && step.text && last.text.concat(step.text)
    this.#steps[this.#steps.length - 1] = {
      type: step.type,
      length: last.length + step.length,
      text,
    }
  }

  finish(): Edit {
    if (this.#steps.at(-1)?.type === "retain") this.#steps.pop()
    return this.#steps
  }
}

/** Walks an edit, a part of a step at a time. Behind the last step it keeps on without end. */
class Cursor {
  readonly #edit: Edit
  #index = 0
  /** How many code points of the present step are done. */
  #done = 0

  constructor(edit: Edit) {
    this.#edit = edit
  }

  get atEnd(): boolean {
    return this.#index === this.#edit.length
  }

  get type(): Step["type"] {
    return this.#edit[this.#index]?.type ?? "retain"
  }

  /** How many code points are left of the present step. */
  get left(): number {
    const step = this.#edit[this.#index]
    return step ? step.length - this.#done : Infinity
  }

  /** Goes on by up to `length` code points of the present step, and gives them. */
  take(length = this.left): Step {
    const step = this.#edit[this.#index]
    if (!step) return { type: "retain", length }
    const [start, end] = [this.#done, this.#done + length]
    if (end === step.length) {
      this.#index++
      this.#done = 0
    } else {
      this.#done = end
    }
    if (length === step.length) return step
    return { type: step.type, length, text: step.text && Text.of(step.text.slice(start, end)) }
  }
}

/** Checks that an edit fits a text. */
function check(edit: Edit, text: Text): void {
  let position = 0
  for (const step of edit) {
    if (step.type === "insert") continue
    const end = position + step.length
    if (end > text.points) throw outOfBounds(end, text.points)
    const other = step.text && text.slice(position, end) !== step.text.toString()
    if (other) throw new Invalid(`the text at position ${position} is not the one to be deleted`)
    position = end
  }
}

/** Applies an edit. O(s · log n), s being the number of steps. */
export function applyEdit(text: Text, edit: Edit): Text {
  check(edit, text)
  let position = 0
  for (const { type, length, text: inserted } of edit) {
    if (type === "insert") text = text.splice(position, position, inserted!.toString())
    if (type === "delete") text = text.splice(position, position + length, "")
    else position += length
  }
  return text
}

/** The edit with every deleted text named. */
export function resolveEdit(edit: Edit, text: Text): Edit {
  if (edit.every((step) => step.type !== "delete" || step.text)) return edit
  check(edit, text)
  let position = 0
  return edit.map((step) => {
    if (step.type === "insert") return step
    const start = position
    position += step.length
    if (step.type === "retain") return step
    return deletion(Text.of(text.slice(start, position)))
  })
}

/** The edit that takes `edit` back, `before` being the text it was applied to. */
export function invertEdit(edit: Edit, before: Text): Edit {
  const inverse = new Builder()
  let position = 0
  for (const step of edit) {
    if (step.type === "insert") {
      inverse.push(deletion(step.text!))
      continue
    }
    const end = position + step.length
    if (step.type === "retain") inverse.push(step)
    else inverse.push(insertion(Text.of(before.slice(position, end))))
    position = end
  }
  return inverse.finish()
}

/**
 * One edit that does what `first` and then `second` do. O(s + t), the numbers of steps.
 *
 * What `first` deletes at a place comes before what `second` inserts there.
 */
export function composeEdits(first: Edit, second: Edit): Edit {
  const typed = composeTyping(first, second)
  if (typed) return typed
  const composed = new Builder()
  const [a, b] = [new Cursor(first), new Cursor(second)]
  while (!(a.atEnd && b.atEnd)) {
    if (a.type === "delete") composed.push(a.take())
    else if (b.type === "insert") composed.push(b.take())
    else {
      const length = Math.min(a.left, b.left)
      const [mine, theirs] = [a.take(length), b.take(length)]
      // What was inserted and is deleted again leaves nothing.
      if (mine.type === "insert" && theirs.type === "delete") continue
      composed.push(theirs.type === "delete" ? theirs : mine)
    }
  }
  return composed.finish()
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
 * Carries two edits of one text past each other. O(s + t), the numbers of steps.
 *
 * Inserted text is never lost: inside a deleted range it moves to where the range was, and a delete
 * goes around it. Of two inserts at one place the incoming goes to the left. Deletes come out by
 * length alone: what is left of them is named when they are resolved.
 */
export function rebaseEdits(incoming: Edit, accepted: Edit): Rebased<Edit> {
  const [c, a] = [new Cursor(incoming), new Cursor(accepted)]
  const [overAccepted, overIncoming] = [new Builder(), new Builder()]
  while (!(c.atEnd && a.atEnd)) {
    if (c.type === "insert") {
      overIncoming.retain(c.left)
      overAccepted.push(c.take())
    } else if (a.type === "insert") {
      overAccepted.retain(a.left)
      overIncoming.push(a.take())
    } else {
      const length = Math.min(c.left, a.left)
      const [mine, theirs] = [c.take(length).type, a.take(length).type]
      if (mine === theirs && mine === "delete") continue
      if (theirs !== "delete") overAccepted.push({ type: mine, length })
      if (mine !== "delete") overIncoming.push({ type: theirs, length })
    }
  }
  const left = (builder: Builder) => {
    const edit = builder.finish()
    return edit.length === 0 ? undefined : edit
  }
  return { incoming: left(overAccepted), accepted: left(overIncoming) }
}

/** A length in a text, in code points. */
export function checkLength(value: Json, field: string): number {
  if (!Number.isSafeInteger(value)) throw wrongField(field, "a whole number", value)
  const length = value as number
  if (length < 0 || length > LENGTH_MAX) throw outOfBounds(length, LENGTH_MAX)
  return length
}

/** Reads the wire's list: a number keeps, a string inserts, `{"d": …}` deletes. */
export function decodeEdit(value: Json): Edit {
  const wrong = (found: Json) => wrongField("edit", 'a list of numbers, strings and {"d": …}', found)
  if (!Array.isArray(value)) throw wrong(value)
  const edit = new Builder()
  let reach = 0
  for (const step of value as readonly Json[]) {
    const decoded = decodeStep(step, wrong)
    edit.push(decoded)
    if (decoded.type !== "insert") reach += decoded.length
    if (reach > LENGTH_MAX) throw outOfBounds(reach, LENGTH_MAX)
  }
  return edit.finish()
}

function decodeStep(step: Json, wrong: (found: Json) => Invalid): Step {
  if (typeof step === "string") return insertion(Text.of(step))
  if (!isObject(step)) return { type: "retain", length: checkLength(step, "edit") }
  const what = step["d"]
  if (what === undefined || Object.keys(step).length !== 1) throw wrong(step)
  return deletion(typeof what === "string" ? Text.of(what) : checkLength(what, "edit"))
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
