/** How actions end: confirmed, rejected, unknown or unsent (R25). */

import { compareText } from "../value/json.js"
import type { Origin, Rejection } from "./events.js"
import type { RejectCode } from "./messages.js"
import type { Dropped, Order } from "./pending.js"
import { bind } from "./queue.js"
import type { InFlight, State } from "./state.js"
import type { Moved } from "./topic-replica.js"

/** Why actions left the views; `undefined` if it cannot be known whether they were accepted. */
export type Why = Rejection | undefined

/** The id that a batch is known by: the action's, or that of its one change. */
export function idOf({ message }: InFlight): string | undefined {
  if (message.type === "action") return message.content.action_id
  return message.type === "update" ? message.content.change.id : undefined
}

/** Tells the program that a batch is accepted (R20). It is forgotten once no topic waits for its part. */
export function confirm(state: State, batch: Order): void {
  const inFlight = state.inFlight.get(batch)
  if (!inFlight) return
  const { members, topics } = inFlight
  const id = idOf(inFlight)
  for (const order of members) tellConfirmed(state, order, id)
  const waits = (topicName: string) =>
    state.topics
      .get(topicName)
      ?.inFlight()
      .some((it) => state.actions.get(it.order)?.batch === batch)
  if (!topics.some(waits)) {
    forgetBatch(state, batch)
    for (const order of members) state.actions.delete(order)
  }
  state.touch(topics)
}

/** Tells the program that nothing of an action was left to send (R19). */
export function confirmUnsent(state: State, order: Order): void {
  tellConfirmed(state, order, undefined)
  state.waiting.delete(order)
  state.touch(state.actions.get(order)?.topics ?? [])
  state.actions.delete(order)
}

function tellConfirmed(state: State, order: Order, id: string | undefined): void {
  const action = state.actions.get(order)
  if (!action) return
  for (const ticket of action.tickets) state.events.push({ type: "confirmed", ticket, id })
  action.tickets = []
}

function forgetBatch(state: State, batch: Order): InFlight | undefined {
  const inFlight = state.inFlight.get(batch)
  state.inFlight.delete(batch)
  state.resend.delete(batch)
  state.busy.delete(batch)
  if (state.joined === batch) state.joined = undefined
  return inFlight
}

/** Takes a batch in flight out of all its topics, and tells the program. */
export function dropBatch(state: State, batch: Order, why: Why): void {
  dropActions(state, forgetBatch(state, batch)?.members ?? [], why)
}

/**
 * Takes actions out of all their topics, and tells the program. What was made on top of them and conflicts
 * without them goes too.
 */
export function dropActions(state: State, orders: readonly Order[], why: Why): void {
  const left: [readonly Order[], Why][] = [[orders, why]]
  for (let next = left.pop(); next; next = left.pop()) {
    const [orders, why] = next
    const leaves = new Set(orders)
    for (const topicName of [...tellDropped(state, orders, why)].sort(compareText)) {
      const topic = state.topics.get(topicName)
      if (!topic) continue
      const moved = topic.remove((pending) => leaves.has(pending.order))
      for (const dropped of moved.dropped) left.push([[dropped.order], conflicting(topicName, dropped)])
      state.tellMoved(topicName, moved, "correction")
      state.dirty.add(topicName)
    }
  }
}

/** Forgets actions and tells the program why. Gives their topics. */
function tellDropped(state: State, orders: Iterable<Order>, why: Why): Set<string> {
  const topics = new Set<string>()
  for (const order of orders) {
    state.waiting.delete(order)
    const action = state.actions.get(order)
    if (!action) continue
    state.actions.delete(order)
    for (const ticket of action.tickets) {
      state.events.push(why ? { type: "rejected", ticket, rejection: why } : { type: "unknown", ticket })
    }
    for (const topicName of action.topics) topics.add(topicName)
  }
  return topics
}

/** The codes of a rejection that a change itself brought about. */
const OF_A_CHANGE: readonly RejectCode[] = ["stale", "invalid", "forbidden", "wrong_type", "unknown_topic"]

/**
 * Drops what a rejection of a batch is about. Of a joined batch that is the change that it names, if the
 * change itself is at fault; the others wait again (R22).
 */
export function rejectBatch(
  state: State,
  batch: Order,
  changeId: string | undefined,
  rejection: Rejection,
): void {
  const named = state.topics.get(rejection.topicName)?.orderOf(changeId)
  const members = state.inFlight.get(batch)?.members ?? []
  const inPart = named !== undefined && members.length > 1 && members.includes(named)
  if (inPart && OF_A_CHANGE.includes(rejection.code)) takeBack(state, batch, named, rejection)
  else dropBatch(state, batch, rejection)
}

/** Lets a joined batch wait again, without the action that was rejected. */
function takeBack(state: State, batch: Order, rejected: Order, rejection: Rejection): void {
  const { members, topics } = forgetBatch(state, batch)!
  const leaving = new Set([rejected])
  tellDropped(state, leaving, rejection)
  // What is hidden and based has no form any more that could be sent.
  const reason = "not sent again: it conflicts with what came meanwhile"
  const lost = topics.flatMap((topicName) => {
    const hidden =
      state.topics
        .get(topicName)
        ?.inFlight()
        .filter((it) => it.hidden && !it.overwriting) ?? []
    return hidden.map(({ order }) => [order, topicName] as const)
  })
  for (const [order, topicName] of lost.sort(([a], [b]) => a - b)) {
    if (!leaving.has(order)) tellDropped(state, [order], { topicName, code: "stale", reason })
    leaving.add(order)
  }
  const back = members.filter((order) => !leaving.has(order))
  for (const order of back) {
    state.actions.get(order)!.batch = undefined
    state.waiting.add(order)
  }
  // They were made as one queue, and may have been composed across each other (R10).
  if (back.length > 1) bind(state, back[0]!, back.at(-1)!)
  for (const topicName of topics) {
    const topic = state.topics.get(topicName)
    if (topic)
      moved(
        state,
        topicName,
        topic.takeBack((it) => leaving.has(it.order)),
        "correction",
      )
    state.dirty.add(topicName)
  }
}

/** Tells the program how a view moved, and drops what conflicts. */
export function moved(state: State, topicName: string, moved: Moved, origin: Origin, author?: number): void {
  state.tellMoved(topicName, moved, origin, author)
  for (const dropped of moved.dropped) {
    dropActions(state, [dropped.order], conflicting(topicName, dropped))
  }
}

/** Drops all that is pending on a topic. What was sent may have been accepted. */
export function dropAll(state: State, topicName: string, code: RejectCode, reason: string): void {
  for (;;) {
    const order = state.topics.get(topicName)?.pending.at(-1)?.order
    if (order === undefined) return
    const batch = state.actions.get(order)?.batch
    if (batch !== undefined) dropBatch(state, batch, undefined)
    else dropActions(state, [order], { topicName, code, reason })
  }
}

/** What becomes of an action of which a waiting change conflicts (R21). */
function conflicting(topicName: string, { conflict }: Dropped): Rejection {
  return { topicName, code: "stale", reason: `not sent: ${conflict}` }
}
