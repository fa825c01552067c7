/** What the server's messages lead to. */

import type { Maybe } from "../types/type.js"
import { tryTo } from "../value/errors.js"
import type {
  ErrorMessage,
  Part,
  RejectCode,
  RejectUpdate,
  ServerMessage,
  Subscribed,
  Update,
} from "./messages.js"
import { confirm, dropAll, idOf, moved, rejectBatch } from "./outcome.js"
import type { Order } from "./pending.js"
import { hello, sessionLost, settleOrphan } from "./session.js"
import type { State } from "./state.js"

/**
 * Takes one message of the server. Whatever it holds, the replica stays sound: what makes no sense is
 * told to the program, and the topic is asked for anew.
 */
export function receive(state: State, { type, content }: ServerMessage): void {
  const { events } = state
  switch (type) {
    case "hello":
      return hello(state, content)
    case "subscribed":
      return subscribed(state, content)
    case "update":
      return published(state, content, content.author, content)
    case "action":
      for (const part of content.changes) published(state, part, content.author)
      return
    case "reject_update":
      return reject(state, content)
    case "unsubscribed":
      return unsubscribed(state, content.topic_name)
    case "registered":
    case "unregistered":
      state.requests.answered(content.service_name, type === "registered")
      return void events.push({ type, serviceName: content.service_name })
    case "request":
      return void events.push({ type, request: content })
    case "response":
      return void events.push(...state.requests.response(content.request_id, content))
    case "error":
      return error(state, content)
    // Any other is of a later version of the protocol.
  }
}

/** How many published changes in a row are worth composing. */
const RUN_MIN = 16

/**
 * Takes the messages of one frame. Many published changes of others in a row on one topic are taken as one,
 * where that costs less and comes to the same (R47).
 */
export function receiveFrame(state: State, messages: readonly ServerMessage[]): void {
  for (let at = 0; at < messages.length;) {
    const run = runFrom(state, messages, at)
    if (run.length < RUN_MIN || !receiveRun(state, run)) receive(state, messages[at++]!)
    else at += run.length
  }
}

/** The updates from one on that can be taken as one. */
function runFrom(state: State, messages: readonly ServerMessage[], from: number): Update[] {
  const run: Update[] = []
  for (let at = from; at < messages.length; at++) {
    const { type, content } = messages[at]!
    if (type !== "update") break
    const { topic_name, snapshot, since, ids, change } = content
    const topic = state.topics.get(topic_name)
    const isOwn = topic?.orderOf(change.id) !== undefined
    if (!topic?.takesRuns || isOwn || snapshot || since !== undefined || ids?.length) break
    if (run.length > 0 && run[0]!.topic_name !== topic_name) break
    run.push(content)
  }
  return run
}

function receiveRun(state: State, run: readonly Update[]): boolean {
  const { topic_name: topicName, author } = run[0]!
  const taken = state.topics.get(topicName)!.takeRun(run)
  if (!taken) return false
  state.dirty.add(topicName)
  const isOfOne = run.every((it) => it.author === author)
  moved(state, topicName, taken, "remote", isOfOne ? author : undefined)
  settleOrphan(state, topicName)
  return true
}

/** What a topic's end means to what waited for it. */
const REJECTS: ReadonlyMap<string, RejectCode> = new Map([
  ["unknown_topic", "unknown_topic"],
  ["topic_removed", "unknown_topic"],
  ["wrong_type", "wrong_type"],
  ["forbidden", "forbidden"],
  ["invalid", "invalid"],
  ["malformed", "invalid"],
])

function subscribed(state: State, subscribed: Subscribed): void {
  const topicName = subscribed.topic_name
  const topic = state.topics.get(topicName)
  if (state.leaving.has(topicName) || topic?.link !== "asked") return
  if (subscribed.type !== topic.type.name) {
    const reason = `it is a ${subscribed.type} topic`
    return close(state, topicName, { code: "wrong_type", to: "subscribe", reason })
  }
  if (topic.epoch !== undefined && topic.epoch !== subscribed.epoch) {
    // What is pending belongs to the old life (R32).
    dropAll(state, topicName, "stale", "the topic has a new life")
    moved(state, topicName, topic.startAfresh(), "snapshot")
  }
  const wasReady = topic.ready
  topic.subscribed(subscribed)
  if (topic.ready && !wasReady) state.events.push({ type: "ready", topicName })
  state.dirty.add(topicName)
  settleOrphan(state, topicName)
}

/** The subscription ended, or could not be had (R33). */
function close(state: State, topicName: string, error: ErrorMessage): void {
  dropAll(state, topicName, REJECTS.get(error.code) ?? "unavailable", error.reason ?? "")
  if (!state.topics.delete(topicName)) return
  state.events.push({ type: "closed", topicName, error: { ...error, topic_name: topicName } })
}

/** The answer to `unsubscribe`; if none was sent, the server ended the subscription by itself. */
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
  // Which of them are in flight has to be known before the topic takes them out.
  const all = change.id === undefined ? ids : [...ids, change.id]
  const own = all.filter((id) => topic.orderOf(id) !== undefined)
  const confirmed = own.map((id) => state.actions.get(topic.orderOf(id)!)?.batch)
  const wasReady = topic.ready
  let wrong = ""
  const taken = tryTo(
    () => topic.take({ version, since, snapshot, fields: change, ids: own }),
    (reason) => (wrong = reason),
  )
  if (topic.ready && !wasReady) state.events.push({ type: "ready", topicName })
  // What cannot be taken is asked for anew: with `since` after a gap, else as a snapshot (R5).
  if (taken === "gap") askAgain(state, topicName, "continue", "versions are missing")
  else if (!taken) {
    if (snapshot) close(state, topicName, { code: "malformed", to: "subscribe", reason: wrong })
    else askAgain(state, topicName, "afresh", wrong)
  } else if (taken !== "known") {
    // Of a topic on which nothing waits there is nothing to send, however much of it comes in.
    if (topic.pending.length > 0 || topic.closing || topic.isPresence) state.dirty.add(topicName)
    moved(state, topicName, taken, snapshot ? "snapshot" : "remote", snapshot ? undefined : author)
  }
  // A version that is known may still bear a confirmation.
  for (const batch of confirmed) if (batch !== undefined) confirm(state, batch)
  settleOrphan(state, topicName)
}

/** Subscribes again, as what came does not fit what is here. */
function askAgain(state: State, topicName: string, link: "continue" | "afresh", reason: string): void {
  state.topics.get(topicName)!.link = link
  state.dirty.add(topicName)
  const error = { code: "malformed", to: "update", topic_name: topicName, reason }
  state.events.push({ type: "error", error })
}

function reject(state: State, reject: RejectUpdate): void {
  const batch = findBatch(state, reject)
  if (batch === undefined) return
  if (reject.code === "busy") {
    state.busy.add(batch)
    state.events.push({ type: "busy" })
    return
  }
  for (const topicName of state.inFlight.get(batch)!.topics) {
    const topic = state.topics.get(topicName)
    // A presence entry would be put there, and rejected, for ever (R37).
    if (topic?.isPresence) topic.presence = undefined
  }
  const { topic_name: topicName, code, reason = "", change } = reject
  rejectBatch(state, batch, change?.id, { topicName, code, reason })
}

/** The batch that a rejection is about. */
function findBatch(state: State, { action_id, change }: RejectUpdate): Maybe<Order> {
  for (const [batch, inFlight] of state.inFlight) {
    const { message } = inFlight
    const holds =
      message.type === "action" && message.content.changes.some((it) => it.change.id === change?.id)
    if (idOf(inFlight) === (action_id ?? change?.id) || (action_id === undefined && holds)) return batch
  }
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
    state.events.push(...state.requests.response(error.request_id ?? "", outcome))
    return
  }
  if (to === "register_service") state.requests.withdraw(error.service_name ?? "", false)
  state.events.push({ type: "error", error })
}
