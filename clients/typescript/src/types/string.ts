/** `string`: a text that many hands edit at once. */

import { tryTo } from "../value/errors.js"
import type { Json } from "../value/json.js"
import { Text } from "../value/text.js"
import type { Edit } from "./edit.js"
import * as edits from "./edit.js"
import { required, stringField, unknownChange, wrongField, wrongValue } from "./fields.js"
import { END, placeField } from "./place.js"
import type { SetEvent, SetTo } from "./register.js"
import type { Fields, TopicType } from "./type.js"
import { changed, overwritten, SEPARATE, unaffected } from "./type.js"

/** A change of a text. An insertion or deletion is an edit of one step, and goes out as one. */
export type StringChange =
  | SetTo<Text>
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

function decodeText(value: Json): Text {
  if (typeof value !== "string") throw wrongValue("a string", value)
  return Text.of(value)
}

function decodeInsert(fields: Fields): StringChange {
  const text = Text.of(stringField(fields, "insertion"))
  const position = placeField(fields, "position")
  if (position === END) return { type: "append", text }
  return edit(edits.editAt(position, edits.insertion(text)))
}

function decodeDelete(fields: Fields): StringChange {
  const position = edits.checkLength(required(fields, "position"), "position")
  const text = fields["deletion"]
  if (text !== undefined && typeof text !== "string") throw wrongField("deletion", "a string", text)
  const what =
    text === undefined ? edits.checkLength(fields["length"] ?? required(fields, "deletion"), "length") : Text.of(text)
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

function apply(text: Text, change: StringChange): Text {
  if (change.type === "set") return change.value
  if (change.type === "edit") return edits.applyEdit(text, change.edit)
  return text.concat(change.text)
}

/** How many code points two texts share at their beginnings, and then at their ends. */
function sharedEnds(from: readonly string[], to: readonly string[]): [number, number] {
  const shortest = Math.min(from.length, to.length)
  let [start, end] = [0, 0]
  while (start < shortest && from[start] === to[start]) start++
  while (end < shortest - start && from.at(-1 - end) === to.at(-1 - end)) end++
  return [start, end]
}

/** Holds text. */
export const string: TopicType<Text, StringChange, string, StringEvent> = {
  name: "string",
  initial: Text.empty,
  decodeValue: decodeText,
  encodeValue: (text) => text.toString(),
  decodeChange(fields) {
    switch (fields.type) {
      case "set":
        return { type: "set", value: Text.of(stringField(fields, "value")) }
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
  encodeChange(change) {
    if (change.type === "set") return { type: "set", value: change.value.toString() }
    if (change.type === "edit") return encodeEdit(change.edit)
    return { type: "insert", position: END, insertion: change.text.toString() }
  },
  takesBase: (change) => change.type !== "append",
  resolve(change, text) {
    if (change.type === "set") return change
    if (change.type === "edit") {
      const resolved = edits.resolveEdit(change.edit, text)
      return resolved === change.edit ? change : edit(resolved)
    }
    return edit(edits.editAt(text.points, edits.insertion(change.text)))
  },
  apply,
  rebase(incoming, accepted) {
    if (incoming.type === "set") throw changed()
    if (accepted.type === "set") throw overwritten()
    // The end moves with whatever the other does.
    if (incoming.type === "append" || accepted.type === "append") {
      return unaffected<StringChange>(incoming, accepted)
    }
    const rebased = edits.rebaseEdits(incoming.edit, accepted.edit)
    return {
      incoming: rebased.incoming && edit(rebased.incoming),
      accepted: rebased.accepted && edit(rebased.accepted),
    }
  },
  invert(change, before) {
    if (change.type === "set") return { type: "set", value: before }
    if (change.type === "edit") return edit(edits.invertEdit(change.edit, before))
    return edit(edits.editAt(before.points, edits.deletion(change.text)))
  },
  compose(first, second) {
    if (second.type === "set") return second
    if (first.type === "set") {
      const value = tryTo(() => apply(first.value, second))
      return value ? { type: "set", value } : SEPARATE
    }
    if (first.type === "edit" && second.type === "edit") {
      const composed = edits.composeEdits(first.edit, second.edit)
      return composed.length === 0 ? undefined : edit(composed)
    }
    if (first.type === "append" && second.type === "append") {
      return { type: "append", text: first.text.concat(second.text) }
    }
    return SEPARATE
  },
  diff(from, to) {
    const [old, now] = [[...from.toString()], [...to.toString()]]
    const [start, end] = sharedEnds(old, now)
    const middle = (text: string[]) => text.slice(start, text.length - end).join("")
    return [edit(edits.decodeEdit([start, middle(now), { d: middle(old) }]))]
  },
  view: (text) => text.toString(),
  describe(change, before) {
    if (change.type === "set") return [{ type: "set", value: change.value.toString() }]
    const events: StringEvent[] = []
    let [position, point] = [0, 0]
    const { edit } = (change.type === "edit" ? change : string.resolve!(change, before)) as { edit: Edit }
    for (const { type, length, text } of edit) {
      if (type === "insert") {
        events.push({ type: "inserted", position, text: text!.toString() })
        position += text!.units
        continue
      }
      const start = point
      point += length
      if (type === "retain") position += before.unitAt(point) - before.unitAt(start)
      else events.push({ type: "deleted", position, text: before.slice(start, point) })
    }
    return events
  },
}
