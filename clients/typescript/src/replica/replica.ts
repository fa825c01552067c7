/**
 * All topics of one client: what it made, what it sent, and what is still to be answered.
 *
 * The replica is plain data: it never sees a socket, a clock or chance, so that every run of it
 * repeats exactly. A connection feeds it with {@link Replica.receive} and sends what
 * {@link Replica.outbox} gives; a program changes it with {@link Replica.local}, and is told by
 * {@link Replica.takeEvents}.
 */

import type { Json, JsonObject } from "../value/json.js"
import type { AnyType, Fields } from "../types/type.js"
import { Invalid } from "../value/errors.js"
import type { ReplicaEvent, Ticket } from "./events.js"
import type { LocalChange } from "./local.js"
import { Draft, local } from "./local.js"
import type { ClientMessage, Outcome, ServerMessage } from "./messages.js"
import { outbox } from "./outbox.js"
import { tendPresence } from "./presence.js"
import { receive, receiveFrame } from "./receive.js"
import { disconnected, end } from "./session.js"
import { State } from "./state.js"
import { TopicReplica } from "./topic-replica.js"

/** All topics of one client. */
export class Replica extends State {
  /** Whether a session is in force on the present connection. */
  get isOnline(): boolean {
    return this.phase.type === "online"
  }

  /** Whether everything that was asked for on the present connection has come, and all is answered. */
  get isCaughtUp(): boolean {
    if (!this.isOnline) return false
    for (const { link } of this.topics.values()) if (link !== "live") return false
    return this.inFlight.size === 0
  }

  /** A topic, if it is subscribed. */
  topic(topicName: string): Readonly<TopicReplica> | undefined {
    return this.topics.get(topicName)
  }

  /** What has happened since this was last asked, in order. */
  takeEvents(): ReplicaEvent[] {
    const { events } = this
    if (events.length > 0) this.events = []
    return events
  }

  /**
   * Subscribes to a topic, and has it made if there is none. A topic that is subscribed stays so, with
   * the type that it has; the answer tells whether that is `type`.
   *
   * Until its value comes it has the type's initial one, and can be changed already.
   */
  subscribe(topicName: string, type: AnyType, options: JsonObject = {}): boolean {
    const { topics, dirty } = this
    const topic = topics.get(topicName) ?? new TopicReplica(type, options)
    topics.set(topicName, topic)
    dirty.add(topicName)
    topic.closing = false
    return topic.type === type
  }

  /** Ends a subscription, once what is pending on the topic is answered. */
  unsubscribe(topicName: string): void {
    const topic = this.topics.get(topicName)
    if (!topic) return
    topic.closing = true
    topic.presence = undefined
    this.dirty.add(topicName)
  }

  /** Makes changes; see {@link local}. None once the client was told to close. */
  local(changes: readonly LocalChange[]): Ticket {
    if (this.isClosed) throw new Invalid("the client was closed")
    return local(this, changes)
  }

  /** Begins changes that are to take effect together. */
  draft(): Draft {
    return new Draft(this)
  }

  /**
   * Wants this client's entry in a presence topic to be `entry`, or not to be. It is put there again
   * whenever the session or the topic begins a new life. The topic has to be subscribed.
   */
  setPresence(topicName: string, entry: Json | undefined): void {
    const topic = this.topics.get(topicName)
    if (!topic) return
    topic.presence = entry
    this.dirty.add(topicName)
    tendPresence(this, topicName)
  }

  /** Offers a service, now and in every later session. */
  registerService(serviceName: string): void {
    this.requests.offer(serviceName)
  }

  /** Takes back an offer. */
  unregisterService(serviceName: string): void {
    this.requests.withdraw(serviceName, this.session !== undefined)
  }

  /** Asks a service, as soon as there is a session; the outcome is an event that names the call. */
  request(serviceName: string, args: Json, timeoutMs?: number): number {
    return this.requests.ask(serviceName, args, timeoutMs)
  }

  /**
   * Undoes or redoes. What was made here before is sent and answered first, and what is made after it is
   * sent after it (R16).
   */
  undo(which: "undo" | "redo"): number {
    return this.requests.ask(`_topicsync/${which}`, null, undefined, this.actionsMade)
  }

  /** Gives up a request: it is not sent any more, and its answer is passed over. */
  cancel(call: number): void {
    this.requests.cancel(call)
  }

  /** Whether everything made, asked and offered here has its outcome. */
  get isSettled(): boolean {
    for (const { tickets } of this.actions.values()) if (tickets.length > 0) return false
    return !this.requests.isOpen
  }

  /** The changes that have no outcome, as on the wire, sent or not; not those of presence topics. */
  unanswered(isSent: boolean): { topicName: string; change: Fields }[] {
    return [...this.topics].flatMap(([topicName, topic]) => {
      topic.composeTails()
      const { type, pending, isPresence } = topic
      const which = pending.filter((it) => !isPresence && (it.id !== undefined) === isSent)
      return which.map(({ made }) => ({ topicName, change: type.encodeChange(made) }))
    })
  }

  /** Takes no more local actions: the client is about to close (R38). */
  close(): void {
    this.isClosed = true
  }

  /** Gives up what has no outcome, and tells the program. */
  end(): void {
    end(this)
  }

  /** Answers somebody's request. */
  respond(requestId: string, outcome: Outcome): void {
    const content = { request_id: requestId, ...outcome }
    this.messages.push({ type: "response", content })
  }

  /** Takes one message of the server. */
  receive(message: ServerMessage): void {
    receive(this, message)
  }

  /** Takes the messages of one frame, many changes in a row at once where that costs less (R47). */
  receiveFrame(messages: readonly ServerMessage[]): void {
    receiveFrame(this, messages)
  }

  /** The messages to be sent now, in order. Each is given once, and counts as sent. */
  outbox(): ClientMessage[] {
    return outbox(this)
  }

  /** The connection is lost. What was in flight will be sent again, just as it was. */
  disconnected(): void {
    disconnected(this)
  }

  /** The time has come to send again what the server had no room for (R23). */
  resendBusy(): void {
    const { resend, busy } = this
    for (const id of busy) resend.add(id)
    busy.clear()
  }
}
