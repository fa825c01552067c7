/** `string`: a text that many hands edit at once. */

import type { Json } from "../value/json.js"
import { Text } from "../value/text.js"
import { inCommon } from "./alike.js"
import type { Edit } from "./edit.js"
import * as edits from "./edit.js"
import { required, stringField, unknownChange, wrongValue } from "./fields.js"
import { END, placeField } from "./place.js"
import type { SetEvent } from "./settable.js"
import { settable } from "./settable.js"
import type { Fields, Maybe } from "./type.js"
import { SEPARATE } from "./type.js"

/** How many code points in a row two texts must have in common, once, for what lies around them to be told apart. */
const ALIKE_RUN = 8

/** A change of a text. An insertion or deletion is an edit of one step, and goes out as one. */
export type StringChange =
  | { readonly type: "edit"; readonly edit: Edit }
  /** Puts a text at the end, wherever that is. */
  | { readonly type: "append"; readonly text: Text }

/** What a program is told of a change of a text. Positions and lengths count UTF-16 code units. */
export type StringEvent =
  | { readonly type: "inserted" | "deleted"; readonly position: number; readonly text: string }
  | SetEvent<string>

function edit(edit: Edit): StringChange {
  return { type: "edit", edit }
}

/** An edit as a change, if there is anything in it. */
function something(steps: Edit): Maybe<StringChange> {
  return steps.length > 0 ? edit(steps) : undefined
}

function decodeInsert(fields: Fields): StringChange {
  const text = Text.of(stringField(fields, "insertion"))
  const position = placeField(fields, "position")
  if (position === END) return { type: "append", text }
  return edit(edits.editAt(position, edits.insertion(text)))
}

function decodeDelete(fields: Fields): StringChange {
  const position = placeField(fields, "position", 0)
  const what =
    fields["deletion"] === undefined
      ? placeField(fields, "length", 0)
      : Text.of(stringField(fields, "deletion"))
  return edit(edits.editAt(position, edits.deletion(what)))
}

function encodeEdit(edit: Edit): Fields {
  const [position, step] = edit[0]?.type === "retain" ? [edit[0].length, edit[1]] : [0, edit[0]]
  if (!step || edit.length > (position === 0 ? 1 : 2)) {
    return { type: "edit", edit: edits.encodeEdit(edit) }
  }
  if (step.type === "insert") return { type: "insert", position, insertion: step.text!.toString() }
  const field = step.text ? "deletion" : "length"
  return { type: "delete", position, [field]: edits.encodeDeletion(step) }
}

/** Holds text. */
export const string = settable<Text, StringChange, string, StringEvent>({
  name: "string",
  rebasesOverComposed: true,
  initial: Text.empty,
  decodeValue(value) {
    if (typeof value !== "string") throw wrongValue("a string", value)
    return Text.of(value)
  },
  encodeValue: (text) => text.toString(),
  decodeChange(fields) {
    switch (fields.type) {
      case "insert":
        return decodeInsert(fields)
      case "delete":
        return decodeDelete(fields)
      case "edit":
        return edit(edits.decodeEdit(required(fields, "edit")))
      default:
        throw unknownChange("string", fields)
    }
  },
  encodeChange: (change) =>
    change.type === "edit"
      ? encodeEdit(change.edit)
      : { type: "insert", position: END, insertion: change.text.toString() },
  takesBase: (change) => change.type !== "append",
  resolve: (change, text) => edit(exactly(change, text)),
  apply: (text, change) =>
    change.type === "edit" ? edits.applyEdit(text, change.edit) : text.concat(change.text),
  rebase(incoming, accepted) {
    // The end moves with whatever the other does.
    if (incoming.type === "append" || accepted.type === "append") return { incoming, accepted }
    const [mine, theirs] = edits.rebaseEdits(incoming.edit, accepted.edit)
    return { incoming: something(mine), accepted: something(theirs) }
  },
  invert: (change, before) => edit(edits.invertEdit(exactly(change, before))),
  compose(first, second) {
    if (first.type === "edit" && second.type === "edit") {
      return something(edits.composeEdits(first.edit, second.edit))
    }
    if (first.type === "append" && second.type === "append") {
      return { type: "append", text: first.text.concat(second.text) }
    }
    return SEPARATE
  },
  diff(from, to) {
    const [old, now] = [[...from.toString()], [...to.toString()]]
    const edit: Json[] = []
    let [gone, come] = [0, 0]
    for (const [oldStart, nowStart, length] of inCommon(old, now, ALIKE_RUN)) {
      const [inserted, deleted] = [now.slice(come, nowStart), old.slice(gone, oldStart)]
      edit.push(inserted.join(""), { d: deleted.join("") }, length)
      gone = oldStart + length
      come = nowStart + length
    }
    return [{ type: "edit", edit: edits.decodeEdit(edit) }]
  },
  view: (text) => text.toString(),
  describe(change, before) {
    const events: StringEvent[] = []
    let [position, point] = [0, 0]
    for (const { type, length, text } of exactly(change, before)) {
      if (type !== "retain")
        events.push({ type: type === "insert" ? "inserted" : "deleted", position, text: text!.toString() })
      if (type === "insert") position += text!.units
      else {
        const start = before.unitAt(point)
        point += length
        if (type === "retain") position += before.unitAt(point) - start
      }
    }
    return events
  },
})

/** A change as an edit, with every position and every deleted text in it. */
function exactly(change: StringChange, text: Text): Edit {
  if (change.type === "edit") return edits.resolveEdit(change.edit, text)
  return edits.editAt(text.points, edits.insertion(change.text))
}
