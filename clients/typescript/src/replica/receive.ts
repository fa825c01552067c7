/** What the server's messages lead to. */

import { Invalid } from "../value/errors.js"
import { moved, confirm, lose, loseAll } from "./fate.js"
import type {
  ClientMessage,
  ErrorMessage,
  Part,
  RejectCode,
  RejectUpdate,
  ServerMessage,
  Subscribed,
  Update,
} from "./messages.js"
import type { BatchId } from "./pending.js"
import { hello, sessionLost, settleOrphan } from "./session.js"
import type { State } from "./state.js"
import type { Taken } from "./topic-replica.js"

/**
 * Takes one message of the server. Whatever it holds, the replica stays sound: what makes no sense is
 * told to the program, and the topic is asked for anew.
 */
export function receive(state: State, message: ServerMessage): void {
  const { events } = state
  switch (message.type) {
    case "hello":
      return hello(state, message.content)
    case "subscribed":
      return subscribed(state, message.content)
    case "update":
      return published(state, message.content, message.content.author, message.content)
    case "action":
      for (const part of message.content.changes) published(state, part, message.content.author)
      return
    case "reject_update":
      return reject(state, message.content)
    case "unsubscribed":
      return unsubscribed(state, message.content.topic_name)
    case "registered":
    case "unregistered":
      return void events.push({ type: message.type, serviceName: message.content.service_name })
    case "request":
      return void events.push({ type: "request", request: message.content })
    case "response":
      return void events.push(...state.calls.response(message.content.request_id, message.content))
    case "error":
      return error(state, message.content)
    // Any other is of a later version of the protocol.
  }
}

function subscribed(state: State, subscribed: Subscribed): void {
  const topicName = subscribed.topic_name
  const topic = state.topics.get(topicName)
  if (state.leaving.has(topicName) || topic?.link !== "asked") return
  if (subscribed.type !== topic.type.name) {
    const reason = `it is a ${subscribed.type} topic`
    return close(state, topicName, { code: "wrong_type", to: "subscribe", reason })
  }
  if (topic.epoch !== undefined && topic.epoch !== subscribed.epoch) {
    // What is pending belongs to the old life.
    loseAll(state, topicName, "stale", "the topic has a new life")
    moved(state, topicName, topic.startAfresh(), "snapshot")
  }
  const wasReady = topic.ready
  topic.subscribed(subscribed)
  if (topic.ready && !wasReady) state.events.push({ type: "ready", topicName })
  state.stirred.add(topicName)
  settleOrphan(state, topicName)
}

function close(state: State, topicName: string, error: ErrorMessage): void {
  loseAll(state, topicName, asReject(error.code), error.reason ?? "")
  if (!state.topics.delete(topicName)) return
  state.events.push({ type: "closed", topicName, error: { ...error, topic_name: topicName } })
}

function unsubscribed(state: State, topicName: string): void {
  const left = state.leaving.get(topicName)
  if (left === 1) {
    state.leaving.delete(topicName)
  } else if (left !== undefined) {
    state.leaving.set(topicName, left - 1)
  } else if (state.topics.get(topicName)?.link === "live") {
    const reason = "the server ended the subscription"
    close(state, topicName, { code: "forbidden", to: "subscribe", reason })
  }
}

/** Takes a published change to its topic; `extra` is what an update has and a part of an action not. */
function published(state: State, part: Part, author: number | undefined, extra: Partial<Update> = {}): void {
  const { topic_name: topicName, version, change } = part
  const topic = state.topics.get(topicName)
  if (!topic) return
  const { snapshot = false, since, ids = [] } = extra
  const all = change.id === undefined ? ids : [...ids, change.id]
  const own = all.filter((id) => topic.holds(id))
  const confirmed = own.map((id) => topic.batchOf(id)!)
  const wasReady = topic.ready
  const attempt = () => topic.take({ version, since, snapshot, fields: change, ids: own })
  const taken = orInvalid(attempt)
  if (topic.ready && !wasReady) state.events.push({ type: "ready", topicName })
  took(state, topicName, taken, snapshot, author)
  for (const batch of confirmed) confirm(state, batch)
  settleOrphan(state, topicName)
}

function orInvalid<T>(attempt: () => T): T | Invalid {
  try {
    return attempt()
  } catch (error) {
    if (error instanceof Invalid) return error
    throw error
  }
}

function took(
  state: State,
  topicName: string,
  taken: Taken | Invalid,
  snapshot: boolean,
  author: number | undefined,
): void {
  if (taken === "known") return
  if (taken === "gap") return askAgain(state, topicName, "continue", "versions are missing")
  if (taken instanceof Invalid) {
    if (!snapshot) return askAgain(state, topicName, "afresh", taken.message)
    return close(state, topicName, { code: "malformed", to: "subscribe", reason: taken.message })
  }
  const topic = state.topics.get(topicName)!
  // Of a topic on which nothing waits there is nothing to send, however much of it comes in.
  if (topic.pending.length > 0 || topic.closing || topic.isPresence) state.stirred.add(topicName)
  if (snapshot) moved(state, topicName, taken, "snapshot")
  else moved(state, topicName, taken, "remote", author)
}

/** Subscribes again, as what came does not fit what is here. */
function askAgain(state: State, topicName: string, link: "continue" | "afresh", reason: string): void {
  const topic = state.topics.get(topicName)
  if (!topic) return
  topic.link = link
  state.stirred.add(topicName)
  const error = { code: "malformed", to: "update", topic_name: topicName, reason }
  state.events.push({ type: "error", error })
}

function reject(state: State, reject: RejectUpdate): void {
  const id = findInFlight(state, reject)
  if (id === undefined) return
  if (reject.code === "busy") {
    state.busy.add(id)
    state.events.push({ type: "busy" })
    return
  }
  for (const topicName of state.batches.get(id)!.topics) {
    const topic = state.topics.get(topicName)
    // It would be put there, and rejected, for ever.
    if (topic?.isPresence) topic.presence = undefined
  }
  const { topic_name: topicName, code, reason = "" } = reject
  lose(state, id, { topicName, code, reason })
}

/** The batch that a rejection is about. */
function findInFlight(state: State, reject: RejectUpdate): BatchId | undefined {
  const id = reject.change?.id
  const isIt = (message: ClientMessage | undefined) => {
    if (message?.type === "update") return message.content.change.id === id
    if (message?.type !== "action") return false
    const { action_id, changes } = message.content
    if (reject.action_id !== undefined) return reject.action_id === action_id
    return changes.some(({ change }) => change.id === id)
  }
  for (const [batch, { message }] of state.batches) if (isIt(message)) return batch
  return undefined
}

function error(state: State, error: ErrorMessage): void {
  const { code, to, topic_name: topicName, reason = "" } = error
  if (code === "session_unknown") return sessionLost(state)
  if (topicName !== undefined && (code === "topic_removed" || to === "subscribe")) {
    return close(state, topicName, error)
  }
  if (to === "request") {
    const outcome = { error: { code: "failed", reason } }
    state.events.push(...state.calls.response(error.request_id ?? "", outcome))
    return
  }
  if (to === "register_service") state.calls.withdraw(error.service_name ?? "")
  state.events.push({ type: "error", error })
}

/** What a topic's end means to what waited for it. */
function asReject(code: string): RejectCode {
  switch (code) {
    case "unknown_topic":
    case "topic_removed":
      return "unknown_topic"
    case "wrong_type":
    case "forbidden":
      return code
    case "invalid":
    case "malformed":
      return "invalid"
    default:
      return "unavailable"
  }
}
