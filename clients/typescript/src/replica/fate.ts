/** How batches end: confirmed, rejected, or unknown. */

import type { Origin, Rejection } from "./events.js"
import type { RejectCode } from "./messages.js"
import type { BatchId, Fallen } from "./pending.js"
import type { Batch, State } from "./state.js"
import type { Moved } from "./topic-replica.js"

/** Why a batch was lost; `undefined` if that cannot be known. */
export type Loss = Rejection | undefined

/** The id that a batch was sent under: the action's, or that of its one change. */
export function sentUnder({ message }: Batch): string | undefined {
  if (message?.type === "action") return message.content.action_id
  return message?.type === "update" ? message.content.change.id : undefined
}

/** Tells the program that a batch is accepted. It is forgotten once no topic waits for its part. */
export function confirm(state: State, id: BatchId): void {
  const batch = state.batches.get(id)
  if (!batch) return
  const under = sentUnder(batch)
  for (const ticket of batch.tickets) state.events.push({ type: "confirmed", ticket, id: under })
  batch.tickets = []
  if (!batch.topics.some((topicName) => state.holds(topicName, id))) forget(state, id)
  for (const topicName of batch.topics) state.stirred.add(topicName)
}

function forget(state: State, id: BatchId): void {
  state.batches.delete(id)
  state.resend.delete(id)
  state.busy.delete(id)
}

/**
 * Takes a batch out of all its topics, and tells the program. What was made on top of it and cannot
 * stand without it goes with it.
 */
export function lose(state: State, id: BatchId, loss: Loss): void {
  const losses: [BatchId, Loss][] = [[id, loss]]
  for (let next = losses.pop(); next; next = losses.pop()) {
    const [id, loss] = next
    const batch = state.batches.get(id)
    if (!batch) continue
    for (const ticket of batch.tickets) {
      const rejected = loss && { type: "rejected" as const, ticket, rejection: loss }
      state.events.push(rejected ?? { type: "unknown", ticket })
    }
    forget(state, id)
    for (const topicName of batch.topics) {
      const topic = state.topics.get(topicName)
      if (!topic) continue
      const moved = topic.remove((pending) => pending.batch === id)
      for (const fallen of moved.fallen) losses.push([fallen.batch, fall(topicName, fallen)])
      state.tellMoved(topicName, moved, "correction")
      state.stirred.add(topicName)
    }
  }
}

/** Tells the program how a view moved, and loses what could not move with it. */
export function moved(state: State, topicName: string, moved: Moved, origin: Origin, author?: number): void {
  state.tellMoved(topicName, moved, origin, author)
  for (const fallen of moved.fallen) lose(state, fallen.batch, fall(topicName, fallen))
}

/** Loses all that is pending on a topic. What was sent may have been accepted. */
export function loseAll(state: State, topicName: string, code: RejectCode, reason: string): void {
  for (;;) {
    const id = state.topics.get(topicName)?.pending.at(-1)?.batch
    if (id === undefined) return
    const sent = state.batches.get(id)?.message !== undefined
    lose(state, id, sent ? undefined : { topicName, code, reason })
  }
}

/** The loss of a change that waited and cannot be carried any further. */
function fall(topicName: string, { conflict }: Fallen): Loss {
  return { topicName, code: "stale", reason: `not sent: ${conflict}` }
}
