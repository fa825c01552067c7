/** Sessions and lost connections. */

import type { Hello } from "./messages.js"
import { dropBatch } from "./outcome.js"
import type { State } from "./state.js"

/** The connection is lost. What was in flight will be sent again, just as it was (R28). */
export function disconnected(state: State): void {
  state.phase = { type: "offline" }
  for (const topic of state.topics.values()) {
    if (!topic.unasked) topic.link = topic.link === "snapshot" ? "afresh" : "continue"
  }
  state.touch(state.topics.keys())
  state.resend = new Set(state.inFlight.keys())
  state.busy.clear()
  state.leaving.clear()
  state.events.push(...state.requests.disconnected())
}

/**
 * Gives up what has no outcome, and tells the program (R38): what was sent is unknown, and what was not is
 * unsent. Views stay as they are.
 */
export function end(state: State): void {
  state.isClosed = true
  for (const action of state.actions.values()) {
    const type = action.batch === undefined ? "unsent" : "unknown"
    for (const ticket of action.tickets) state.events.push({ type, ticket })
    action.tickets = []
  }
  state.events.push(...state.requests.end())
}

/** The server speaks first: with a session, or with the one that was asked for. */
export function hello(state: State, hello: Hello): void {
  const bytes = hello.limits?.["message_bytes"]
  state.messageBytesMax = typeof bytes === "number" ? bytes : Infinity
  if (state.phase.type === "offline" && state.session !== undefined) {
    state.phase = { type: "resuming", offered: hello, asked: false }
  } else {
    goOnline(state, hello)
  }
}

function goOnline(state: State, { id, session, resumed = false }: Hello): void {
  state.phase = { type: "online" }
  state.clientId = id
  state.session = session
  state.events.push({ type: "online", clientId: id, resumed })
  state.touch(state.topics.keys())
}

/**
 * The old session is gone (R36). What was never sent goes out under the new id. What was in flight cannot
 * be sent again; if a topic can be continued, it shows yet whether it was accepted.
 */
export function sessionLost(state: State): void {
  if (state.phase.type !== "resuming") return
  for (const batch of state.inFlight.values()) batch.orphaned = true
  state.messages = []
  state.resend.clear()
  state.requests.sessionLost()
  goOnline(state, state.phase.offered)
}

/**
 * A topic has received all that was published before the new session began: an orphan that is still in
 * flight there was not in it.
 */
export function settleOrphan(state: State, topicName: string): void {
  const topic = state.topics.get(topicName)
  const first = topic?.inFlight()[0]
  if (!first || topic!.link !== "live" || topic!.version < topic!.head) return
  const batch = state.actions.get(first.order)?.batch
  if (batch !== undefined && state.inFlight.get(batch)?.orphaned) dropBatch(state, batch, undefined)
}
