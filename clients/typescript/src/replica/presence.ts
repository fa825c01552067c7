/** This client's entry in a presence topic. */

import { equal, isObject } from "../value/json.js"
import { tryTo } from "../value/errors.js"
import { local } from "./local.js"
import type { State } from "./state.js"

/** Brings this client's entry in a presence topic to what the program wants (R37). */
export function tendPresence(state: State, topicName: string): void {
  const topic = state.topics.get(topicName)
  if (state.clientId === undefined || topic?.link !== "live" || !topic.isPresence) return
  const entries = topic.type.encodeValue(topic.view)
  if (!isObject(entries)) return
  const key = String(state.clientId)
  const [old, entry] = [entries[key], topic.presence]
  if (old === entry || (old !== undefined && entry !== undefined && equal(old, entry))) return
  const fields =
    entry === undefined
      ? { type: "remove", key }
      : { type: old === undefined ? "add" : "change_value", key, value: entry }
  const taken = tryTo(() => local(state, [{ topicName, change: fields, overwriting: true }]))
  // What does not fit is wrong in itself, so it is not wanted a second time.
  if (taken === undefined) topic.presence = undefined
}
