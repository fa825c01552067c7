/** Sessions and lost connections. */

import { lose } from "./fate.js"
import type { Hello } from "./messages.js"
import type { State } from "./state.js"

/** The connection is lost. What was in flight will be sent again, just as it was. */
export function disconnected(state: State): void {
  state.phase = { type: "offline" }
  for (const [topicName, topic] of state.topics) {
    if (!topic.unasked) topic.link = topic.link === "snapshot" ? "afresh" : "continue"
    state.stirred.add(topicName)
  }
  const sent = [...state.batches].filter(([, batch]) => batch.message !== undefined)
  state.resend = new Set(sent.map(([id]) => id))
  state.busy.clear()
  state.leaving.clear()
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
  for (const topicName of state.topics.keys()) state.stirred.add(topicName)
}

/**
 * The old session is gone. What was never sent goes out under the new id. What was in flight cannot be
 * sent again; if a topic can be continued, it shows yet whether it was accepted.
 */
export function sessionLost(state: State): void {
  if (state.phase.type !== "resuming") return
  for (const batch of state.batches.values()) batch.orphaned = batch.message !== undefined
  state.queue = []
  state.resend.clear()
  state.events.push(...state.calls.lost())
  goOnline(state, state.phase.offered)
}

/**
 * A topic has received all that was published before the new session began: an orphan that is still
 * in flight there was not in it.
 */
export function settleOrphan(state: State, topicName: string): void {
  const topic = state.topics.get(topicName)
  if (topic?.link !== "live" || topic.version < topic.head) return
  const id = topic.batchOf(topic.pending[0]?.id)
  if (id !== undefined && state.batches.get(id)?.orphaned) lose(state, id, undefined)
}
