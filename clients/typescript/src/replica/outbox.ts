/** What goes out, and when. */

import { compareText, utf8Length } from "../value/json.js"
import { confirm } from "./fate.js"
import type { ClientMessage, SentChange, WireChange } from "./messages.js"
import type { BatchId } from "./pending.js"
import { toSend } from "./pending.js"
import { tendPresence } from "./presence.js"
import type { Batch, State } from "./state.js"

/** How many changes that waited go out as one batch at most. */
const BATCH_CHANGES_MAX = 1000

/** How large such a batch gets, in bytes of JSON, before it is cut. */
const BATCH_BYTES_MAX = 256 * 1024

/** The messages to be sent now, in order. Each is given once, and counts as sent. */
export function outbox(state: State): ClientMessage[] {
  const { phase } = state
  if (phase.type === "online") return onlineOutbox(state)
  if (phase.type !== "resuming" || phase.asked) return []
  phase.asked = true
  return [{ type: "resume", content: { session: state.session! } }]
}

function onlineOutbox(state: State): ClientMessage[] {
  const { stirred, resend, calls } = state
  if (stirred.size + resend.size + state.queue.length === 0 && calls.isIdle) return []
  const messages = [...state.queue, ...calls.offersToSend()]
  state.queue = []
  let names = takeStirred(state, [])
  messages.push(...subscribes(state, names), ...resends(state))
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    const message = nextBatch(state, name)
    if (message) messages.push(message)
    messages.push(...closeIfDone(state, name))
    // What turns out to be done stirs its topic again, for the next batch.
    if (stirred.size > 0) names = takeStirred(state, names)
  }
  const oldest: BatchId = state.batches.keys().next().value ?? Infinity
  messages.push(...calls.toSend(oldest, () => state.nextId()))
  return messages
}

/** The topics that stirred, and others, sorted so that the first comes last. */
function takeStirred(state: State, others: readonly string[]): string[] {
  const names = [...new Set([...others, ...state.stirred])]
  state.stirred.clear()
  return names.sort((a, b) => compareText(b, a))
}

function subscribes(state: State, names: readonly string[]): ClientMessage[] {
  return names.toReversed().flatMap((topicName) => {
    const topic = state.topics.get(topicName)
    const needed = topic?.unasked && (!topic.closing || topic.pending.length > 0)
    return needed ? [topic!.subscribe(topicName)] : []
  })
}

function resends(state: State): ClientMessage[] {
  const ids = [...state.resend].sort((a, b) => a - b)
  state.resend.clear()
  return ids.flatMap((id) => {
    const batch = state.batches.get(id)
    return batch?.message && !batch.orphaned ? [batch.message] : []
  })
}

/** Ends a subscription that is not wanted any more. */
function closeIfDone(state: State, topicName: string): ClientMessage[] {
  const topic = state.topics.get(topicName)
  if (!topic?.closing || topic.pending.length > 0) return []
  state.topics.delete(topicName)
  state.events.push({ type: "closed", topicName })
  if (topic.unasked) return []
  state.leaving.set(topicName, (state.leaving.get(topicName) ?? 0) + 1)
  return [{ type: "unsubscribe", content: { topic_name: topicName } }]
}

/** Sends the next batch of a topic, if nothing of it is in flight. */
function nextBatch(state: State, topicName: string): ClientMessage | undefined {
  tendPresence(state, topicName)
  const topic = state.topics.get(topicName)
  const first = topic?.isFree ? topic.pending[0]?.batch : undefined
  const batch = first === undefined ? undefined : state.batches.get(first)
  if (first === undefined || !batch) return undefined
  if (!batch.action) gatherSingles(state, topicName, first, batch)
  // The topics that an action waits for stir when they are free, and find it there.
  else if (!isReady(state, first, batch)) return undefined
  return launch(state, first, batch)
}

/** Whether an action is first on all its topics. A part of which nothing was left may be gone. */
function isReady(state: State, id: BatchId, batch: Batch): boolean {
  return batch.topics.every((topicName) => {
    const topic = state.topics.get(topicName)
    return !state.holds(topicName, id) || (topic!.isFree && topic!.pending[0]?.batch === id)
  })
}

/** Makes one batch of the single changes that wait on a topic, as many as can go together. */
function gatherSingles(state: State, topicName: string, first: BatchId, into: Batch): void {
  const topic = state.topics.get(topicName)!
  const { overwriting } = topic.pending[0]!
  let bytes = 0
  for (const [at, pending] of topic.pending.entries()) {
    if (at === (state.composes ? BATCH_CHANGES_MAX : 1)) return
    const batch = state.batches.get(pending.batch)
    const change = toSend(pending)
    if (change !== undefined && topic.pending.length > 1) {
      bytes += utf8Length(JSON.stringify(topic.type.encodeChange(change)))
    }
    const full = bytes > BATCH_BYTES_MAX && at > 0
    if (batch?.action || full || pending.overwriting !== overwriting) return
    if (pending.batch !== first) {
      state.batches.delete(pending.batch)
      for (const ticket of batch?.tickets ?? []) into.tickets.push(ticket)
    }
    pending.batch = first
  }
}

/** Gives a batch its ids and puts it in flight. If nothing of it is left to do, it is done. */
function launch(state: State, id: BatchId, batch: Batch): ClientMessage | undefined {
  let left = 0
  for (const topicName of batch.topics) left += dropWhatIsDone(state, topicName, id)
  if (left === 0) {
    confirm(state, id)
    return undefined
  }
  const actionId = batch.action || left > 1 ? state.nextId() : undefined
  const changes = batch.topics.flatMap((topicName) => sentChanges(state, topicName, id))
  batch.message =
    actionId === undefined
      ? { type: "update", content: changes[0]! }
      : { type: "action", content: { action_id: actionId, changes } }
  return batch.message
}

/** Takes changes of a waiting batch of which nothing is left out of a topic, and counts the others. */
function dropWhatIsDone(state: State, topicName: string, id: BatchId): number {
  const topic = state.topics.get(topicName)
  if (!topic) return 0
  topic.pending = topic.pending.filter((it) => it.batch !== id || toSend(it) !== undefined)
  return topic.pending.filter((it) => it.batch === id).length
}

function sentChanges(state: State, topicName: string, batch: BatchId): SentChange[] {
  const topic = state.topics.get(topicName)
  const changes: SentChange[] = []
  for (const pending of topic?.pending ?? []) {
    if (pending.batch !== batch) break
    const { type, epoch, version } = topic!
    pending.id = state.nextId()
    const base = pending.overwriting ? undefined : version
    const change = { ...type.encodeChange(toSend(pending)), id: pending.id, base }
    changes.push({ topic_name: topicName, epoch, change: change as WireChange })
  }
  return changes
}
