/** What goes out, and when (R18). */

import { compareText } from "../value/json.js"
import type { Fields } from "../types/type.js"
import type { ClientMessage, SentChange } from "./messages.js"
import { confirmUnsent } from "./outcome.js"
import type { Order } from "./pending.js"
import { toSend } from "./pending.js"
import { tendPresence } from "./presence.js"
import type { Batch } from "./queue.js"
import { nextFlush, nextPresenceBatch } from "./queue.js"
import type { State } from "./state.js"

/** The messages to be sent now, in order. Each is given once, and counts as sent. */
export function outbox(state: State): ClientMessage[] {
  const { phase } = state
  if (phase.type === "online") return onlineOutbox(state)
  if (phase.type !== "resuming" || phase.asked) return []
  phase.asked = true
  return [{ type: "resume", content: { session: state.session! } }]
}

function onlineOutbox(state: State): ClientMessage[] {
  const { dirty, requests } = state
  const messages = [...state.messages, ...requests.offersToSend()]
  state.messages = []
  let names = takeDirty(state, [])
  messages.push(...subscribes(state, names), ...sentAgain(state), ...sendQueue(state))
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    messages.push(...sendPresence(state, name), ...closeIfDone(state, name))
    // What turns out to be done makes its topic dirty again.
    if (dirty.size > 0) names = takeDirty(state, names)
  }
  messages.push(...requests.toSend(oldestLogged(state), () => state.nextId()))
  // What was made after an undo that has just gone out (R16).
  messages.push(...sendQueue(state))
  return messages
}

/** The dirty topics, and others, sorted so that the first comes last. */
function takeDirty(state: State, others: readonly string[]): string[] {
  const names = [...new Set([...others, ...state.dirty])]
  state.dirty.clear()
  return names.sort((a, b) => compareText(b, a))
}

/** The oldest action without an outcome; of presence alone it does not count, as it stands in no queue. */
function oldestLogged(state: State): Order {
  for (const [order, { topics }] of state.actions) if (!state.isPresence(topics)) return order
  return Infinity
}

function subscribes(state: State, names: readonly string[]): ClientMessage[] {
  return names.toReversed().flatMap((topicName) => {
    const topic = state.topics.get(topicName)
    const isNeeded = topic?.unasked && (!topic.closing || topic.pending.length > 0)
    return isNeeded ? [topic!.subscribe(topicName)] : []
  })
}

function sentAgain(state: State): ClientMessage[] {
  const batches = [...state.resend].sort((a, b) => a - b)
  state.resend.clear()
  return batches.flatMap((batch) => {
    const inFlight = state.inFlight.get(batch)
    return inFlight && !inFlight.orphaned ? [inFlight.message] : []
  })
}

/** Sends what waits on logged topics, as far as it can go out. */
function sendQueue(state: State): ClientMessage[] {
  const messages: ClientMessage[] = []
  // Of some batches nothing may be left to do, and what waited behind them can go out too.
  for (let flush; (flush = nextFlush(state)).length > 0;) {
    for (const batch of flush) messages.push(...sendBatch(state, batch))
  }
  return messages
}

/** Sends what waits on a presence topic, if nothing of it is in flight. */
function sendPresence(state: State, topicName: string): ClientMessage[] {
  tendPresence(state, topicName)
  const messages: ClientMessage[] = []
  if (!state.topics.get(topicName)?.isPresence) return messages
  for (let batch; (batch = nextPresenceBatch(state, topicName));) messages.push(...sendBatch(state, batch))
  return messages
}

/** Ends a subscription that is not wanted any more (R33). */
function closeIfDone(state: State, topicName: string): ClientMessage[] {
  const topic = state.topics.get(topicName)
  if (!topic?.closing || topic.pending.length > 0) return []
  state.topics.delete(topicName)
  state.events.push({ type: "closed", topicName })
  if (topic.unasked) return []
  state.leaving.set(topicName, (state.leaving.get(topicName) ?? 0) + 1)
  return [{ type: "unsubscribe", content: { topic_name: topicName } }]
}

/** Gives a batch its ids and puts it in flight. If nothing of it is left to do, it is done (R19). */
function sendBatch(state: State, { members, several }: Batch): ClientMessage[] {
  const names = new Set<string>()
  for (const order of members) {
    for (const topicName of state.actions.get(order)!.topics) names.add(topicName)
    // What is bound with it goes out in this batch.
    if (state.waiting.delete(order)) state.bound = state.bound.filter(([first]) => first > order)
  }
  const topics = [...names].sort(compareText)
  const orders = new Set(members)
  let left = 0
  for (const topicName of topics) left += dropWhatIsDone(state, topicName, orders)
  if (left === 0) {
    for (const order of members) confirmUnsent(state, order)
    return []
  }
  const actionId = several || left > 1 ? state.nextId() : undefined
  const changes = topics.flatMap((topicName) => sentChanges(state, topicName, orders))
  const message: ClientMessage =
    actionId === undefined
      ? { type: "update", content: changes[0]! }
      : { type: "action", content: { action_id: actionId, changes } }
  const batch = members[0]!
  for (const order of members) state.actions.get(order)!.batch = batch
  if (members.length > 1 && !state.isPresence(topics)) state.joined = batch
  state.inFlight.set(batch, { message, members, topics, orphaned: false })
  return [message]
}

/** Takes changes of which nothing is left out of a topic, and counts the others that go out. */
function dropWhatIsDone(state: State, topicName: string, orders: ReadonlySet<Order>): number {
  const topic = state.topics.get(topicName)
  if (!topic) return 0
  topic.composeTails()
  topic.pending = topic.pending.filter((it) => !orders.has(it.order) || toSend(it) !== undefined)
  const end = topic.pending.findIndex((it) => !orders.has(it.order))
  return end < 0 ? topic.pending.length : end
}

/** The changes of a batch on a topic, under new ids: they are in flight from now on. */
function sentChanges(state: State, topicName: string, orders: ReadonlySet<Order>): SentChange[] {
  const topic = state.topics.get(topicName)
  const changes: SentChange[] = []
  for (const pending of topic?.pending ?? []) {
    if (!orders.has(pending.order)) break
    const { type, epoch, version } = topic!
    pending.id = state.nextId()
    const base = pending.overwriting ? undefined : version
    const change = { ...(type.encodeChange(toSend(pending)) as Fields), id: pending.id, base }
    changes.push({ topic_name: topicName, epoch, change: change as SentChange["change"] })
  }
  return changes
}
