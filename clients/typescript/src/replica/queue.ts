/**
 * The order in which local actions go out, over all logged topics, and which go out together.
 *
 * What the program does in one order is accepted, published and undone in that order (R12). Actions wait in
 * one queue. They go out in flushes: as many as can be in flight together, in the order made.
 */

import { utf8Length } from "../value/json.js"
import type { Order } from "./pending.js"
import { toSend } from "./pending.js"
import type { LocalAction, State } from "./state.js"

/** How many changes go out as one batch at most, of those that the replica puts together. */
const JOINED_CHANGES_MAX = 1000

/** How large such a batch gets, in bytes of JSON, before it is cut. */
const JOINED_BYTES_MAX = 256 * 1024

/** A batch to be sent. */
export interface Batch {
  /** In the order made. */
  readonly members: Order[]
  /** An action of several changes. */
  readonly several: boolean
  /** How large a joined batch is, in bytes of JSON. */
  bytes: number
}

/** The batches of one flush, in the making. */
interface Flush {
  readonly batches: Batch[]
  /** By topic: its batch in `batches`, and whether its changes are overwriting. */
  readonly topics: Map<string, { batch: number; overwriting: boolean }>
  /** The last batch is a joined one: all that follows joins it. */
  joined: boolean
}

/** Whether a new single may be composed with an earlier action (R7, R9, R10). */
export function mayCompose(state: State, added: LocalAction, earlier: Order): boolean {
  const action = state.actions.get(earlier)
  if (!action || action.several || added.several || action.batch !== undefined) return false
  if (!state.composes || earlier <= state.requests.lastBarrier) return false
  return !state.waiting.has(earlier) || mayBind(state, added, earlier)
}

/** Whether all that was made from an action on may be bound to go out as one batch with a new single. */
function mayBind(state: State, added: LocalAction, earlier: Order): boolean {
  if (!hasOthersBehind(state, earlier, added.topics[0]!)) return true
  const { all } = state.waiting
  const around = boundAround(state, earlier)
  // If all behind it is bound already, nothing is added to what is bound.
  if (around && all.at(-1)! <= around[1]) return true
  const start = state.waiting.find(around?.[0] ?? earlier)
  if (all.length - start > JOINED_CHANGES_MAX) return false
  const bases = new Map([[added.topics[0]!, added.overwriting]])
  for (let at = start; at < all.length; at++) {
    const { several, topics, overwriting } = state.actions.get(all[at]!)!
    const base = bases.get(topics[0]!) ?? overwriting
    if (several || base !== overwriting) return false
    bases.set(topics[0]!, base)
  }
  return true
}

/** Whether an action of several changes, or anything on another logged topic, was made after one that waits. */
export function hasOthersBehind(state: State, order: Order, topicName: string): boolean {
  const { all } = state.waiting
  // Mostly the answer is at the end of the queue.
  for (let at = all.length - 1; at >= 0 && all[at]! > order; at--) {
    const { several, topics } = state.actions.get(all[at]!)!
    if (several || topics[0] !== topicName) return true
  }
  return false
}

/** What is bound with an action: from the first to the last. */
function boundAround(state: State, order: Order): State["bound"][0] | undefined {
  return state.bound.find(([first, last]) => first <= order && order <= last)
}

/** Binds all from one action to another: they go out as one batch (R10). */
export function bind(state: State, first: Order, last: Order): void {
  const touches = ([start, end]: State["bound"][0]) => start <= last && first <= end
  const around = [[first, last] as const, ...state.bound.filter(touches)]
  const start = Math.min(...around.map((it) => it[0]))
  const end = Math.max(...around.map((it) => it[1]))
  state.bound = state.bound.filter((it) => !touches(it))
  const at = state.bound.findIndex(([first]) => first > end)
  state.bound.splice(at < 0 ? state.bound.length : at, 0, [start, end])
}

/** What can go out now, in order (R13). */
export function nextFlush(state: State): readonly Batch[] {
  const held = state.joined !== undefined && !state.inFlight.get(state.joined)!.orphaned
  const [first] = state.waiting.all
  // A joined batch can come back in part, as can one that the server had no room for: what is made later
  // must not be before them (R15).
  if (held || state.busy.size > 0 || first === undefined || !isReady(state, first)) return []
  const batches = putTogether(state)
  // Which go together does not depend on what is free: or what is made in turn on two topics would go out one
  // by one, each waiting for the other's answer.
  const waits = batches.findIndex(({ members }) => !members.every((order) => isReady(state, order)))
  return waits < 0 ? batches : batches.slice(0, waits)
}

/** The batches of the next flush, whether or not their topics are free (R14). */
function putTogether(state: State): Batch[] {
  const flush: Flush = { batches: [], topics: new Map(), joined: false }
  const { all } = state.waiting
  const barrier = state.requests.firstBarrier
  for (let at = 0; at < all.length && all[at]! <= barrier;) {
    if (addAlone(state, flush, all[at]!)) {
      at++
      continue
    }
    const last = boundAround(state, all[at]!)?.[1] ?? all[at]!
    const end = state.waiting.find(last + 1)
    if (!add(state, flush, all.slice(at, end))) break
    at = end
  }
  return flush.batches
}

/** Adds a single that no other of the flush has to do with. Mostly all are such. */
function addAlone(state: State, { batches, topics, joined }: Flush, order: Order): boolean {
  const { several, topics: names, overwriting } = state.actions.get(order)!
  const name = names[0]!
  const isAlone = !joined && !several && !topics.has(name) && state.topics.get(name)?.link === "live"
  if (!isAlone || boundAround(state, order)) return false
  topics.set(name, { batch: batches.length, overwriting })
  batches.push({ members: [order], several, bytes: 0 })
  return true
}

/** Adds an action, or several that are bound, to a flush. `false` if the flush ends before them. */
function add(state: State, flush: Flush, together: Order[]): boolean {
  const actions = together.map((order) => state.actions.get(order)!)
  const { several } = actions[0]!
  const isLive = (topicName: string) => (state.topics.get(topicName)?.link ?? "live") === "live"
  if (!actions.every(({ topics }) => topics.every(isLive))) return false
  const places = actions.flatMap(({ topics }) => topics.map((it) => flush.topics.get(it)?.batch ?? Infinity))
  const first = Math.min(...places)
  if (flush.joined || first < Infinity || together.length > 1) {
    if (several || !join(state, flush, first, together, actions)) return false
  } else {
    flush.batches.push({ members: together, several, bytes: 0 })
  }
  const batch = flush.batches.length - 1
  for (const { topics, overwriting } of actions) {
    for (const topicName of topics) flush.topics.set(topicName, { batch, overwriting })
  }
  return true
}

/** Puts actions into one batch with all from the batch at `first` on. `false` if that cannot be. */
function join(
  state: State,
  flush: Flush,
  first: number,
  together: readonly Order[],
  actions: readonly LocalAction[],
): boolean {
  const { batches, topics } = flush
  const end = flush.joined ? batches.length - 1 : batches.length
  const from = Math.min(first, end)
  const old = batches.slice(from)
  const isMixed = ({ topics: [name], overwriting }: LocalAction) =>
    (topics.get(name!)?.overwriting ?? overwriting) !== overwriting
  if (old.some((it) => it.several) || actions.some(isMixed)) return false
  if (!state.composes && old.length > 0) return false
  // What is bound goes out whatever it comes to, or it never would.
  const isAtTheFront = batches.length === 0
  const changes = old.reduce((sum, it) => sum + it.members.length, together.length)
  if (!isAtTheFront && changes > JOINED_CHANGES_MAX) return false
  const size = (orders: readonly Order[]) => orders.reduce((sum, it) => sum + bytesOf(state, it), 0)
  const bytes = old.reduce((sum, it) => sum + (it.bytes || size(it.members)), size(together))
  if (!isAtTheFront && bytes > JOINED_BYTES_MAX) return false
  if (!flush.joined || from < end) {
    // The batches from there on become the joined one.
    for (const it of topics.values()) it.batch = Math.min(it.batch, from)
    batches.splice(from, Infinity, { members: old.flatMap((it) => it.members), several: false, bytes: 0 })
    flush.joined = true
  }
  const joined = batches.at(-1)!
  joined.members.push(...together)
  joined.bytes = bytes
  return true
}

/** Whether all topics of an action can take a batch now. */
function isReady(state: State, order: Order): boolean {
  const { topics, several } = state.actions.get(order)!
  return topics.every((topicName) => {
    const topic = state.topics.get(topicName)
    // A part of which nothing was left may be gone from its topic.
    if (!topic?.holds(order)) return true
    // Presence has no queue, so that a part of an action there may have others before it.
    return topic.isFree && (!several || !topic.isPresence || topic.pending[0]!.order === order)
  })
}

/** By change: how large it is, in bytes of JSON. A queue is looked through often. */
const SIZES = new WeakMap<object, number>()

/** How large the change of a single is, in bytes of JSON. */
function bytesOf(state: State, order: Order): number {
  const topic = state.topics.get(state.actions.get(order)!.topics[0]!)
  topic?.composeTails()
  const change = topic?.ofAction(order).map(toSend)[0]
  if (change === undefined) return 0
  const isKept = typeof change === "object" && change !== null
  const known = isKept && SIZES.get(change)
  if (known) return known
  const bytes = utf8Length(JSON.stringify(topic!.type.encodeChange(change)))
  if (isKept) SIZES.set(change, bytes)
  return bytes
}

/** Singles of a presence topic that go out as one batch, if it can take one. */
export function nextPresenceBatch(state: State, topicName: string): Batch | undefined {
  const topic = state.topics.get(topicName)
  const first = topic?.pending[0]
  if (!topic?.isFree || !first) return undefined
  const fits = (order: Order) => {
    const action = state.actions.get(order)!
    return !action.several && action.overwriting === first.overwriting
  }
  if (!fits(first.order)) {
    // An action of several changes stands in the queue of logged topics, or is all presence.
    const isAlone = !state.waiting.has(first.order) && isReady(state, first.order)
    return isAlone ? { members: [first.order], several: true, bytes: 0 } : undefined
  }
  const members: Order[] = []
  let bytes = 0
  for (const { order } of topic.pending.slice(0, state.composes ? JOINED_CHANGES_MAX : 1)) {
    bytes += bytesOf(state, order)
    if (!fits(order) || (members.length > 0 && bytes > JOINED_BYTES_MAX)) break
    members.push(order)
  }
  return { members, several: false, bytes: 0 }
}
