/**
 * What a replica consists of: topics, local actions, and where the session stands.
 *
 * The state knows the actions that the program made, in the order made, and the batches in which they go
 * out; each topic knows where their changes stand. The rules of `docs/replica.md` are cited as R1, R2, ….
 */

import { lowerBound } from "../types/search.js"
import { Requests } from "./requests.js"
import type { Moved, TopicReplica } from "./topic-replica.js"
import type { Origin, ReplicaEvent, Ticket } from "./events.js"
import type { ClientMessage, Hello } from "./messages.js"
import type { Order } from "./pending.js"

/** What the program made in one call and has no outcome yet, or several singles that were composed. */
export interface LocalAction {
  /**
   * Those to be told. Once it is confirmed there are none, though topics may still wait for their parts
   * of it.
   */
  tickets: Ticket[]
  /** Those on which it has changes, in name order. */
  readonly topics: readonly string[]
  /** Several changes that the program made as one: never joined with others. */
  readonly several: boolean
  /** That of a single. */
  readonly overwriting: boolean
  /** The batch in flight that it is of. */
  batch: Order | undefined
}

/** A batch as it was sent. It is named by its first member. */
export interface InFlight {
  /** Sent again just as it is. */
  readonly message: ClientMessage
  /** The actions in it, in the order made: one, or the singles of a joined batch. */
  readonly members: readonly Order[]
  readonly topics: readonly string[]
  /** Its session is gone. It is not sent again; what its topics receive still shows its outcome. */
  orphaned: boolean
}

/** Where the session stands. */
export type Phase =
  | { readonly type: "offline" }
  | { readonly type: "online" }
  /** A new session was offered, and an old one is asked for. */
  | { readonly type: "resuming"; readonly offered: Hello; asked: boolean }

/** Actions in the order made. */
export class Orders {
  /** Ascending. */
  readonly all: Order[] = []

  /** Where an action is, or would be put. O(log n). */
  find(order: Order): number {
    return lowerBound(this.all.length, (at) => this.all[at]! < order)
  }

  has(order: Order): boolean {
    return this.all[this.find(order)] === order
  }

  add(order: Order): void {
    const at = this.find(order)
    if (this.all[at] !== order) this.all.splice(at, 0, order)
  }

  /** Takes an action out; gives whether it was there. */
  delete(order: Order): boolean {
    const at = this.find(order)
    return this.all[at] === order && this.all.splice(at, 1).length > 0
  }
}

/** All that a replica is. */
export class State {
  phase: Phase = { type: "offline" }
  /** The id of the session in force, and the token by which it is resumed. */
  clientId: number | undefined
  session: string | undefined
  /** How long a message may be, in bytes, as the server said. */
  messageBytesMax = Infinity
  /** The last number of an id; ids of all kinds share it. */
  counter = 0
  tickets = 0
  actionsMade: Order = 0
  /** Whether single changes that wait may go out together (R11). */
  composes = true
  /** The client was told to close: nothing more is taken (R38). */
  isClosed = false
  readonly topics = new Map<string, TopicReplica>()
  /** Those without an outcome, and confirmed ones of which a topic waits for its part; in the order made. */
  readonly actions = new Map<Order, LocalAction>()
  /** Those of logged topics that are not sent: the queue (R12). */
  readonly waiting = new Orders()
  /**
   * From first to last, what has to go out as one batch, as a change was composed past others (R10). In
   * order, and apart from each other.
   */
  bound: [first: Order, last: Order][] = []
  /** By their first members. */
  readonly inFlight = new Map<Order, InFlight>()
  /** The joined batch in flight: nothing of logged topics goes out behind it (R15). */
  joined: Order | undefined
  /**
   * How often `unsubscribe` went out for a topic and is not answered. What comes for the topic until
   * then is of an earlier subscription (R33).
   */
  readonly leaving = new Map<string, number>()
  /** Topics that may have something to send. */
  readonly dirty = new Set<string>()
  /** Batches in flight that are to be sent again. */
  resend = new Set<Order>()
  /** Batches in flight that the server had no room for (R23). */
  readonly busy = new Set<Order>()
  /** Messages to be sent once there is a session, and lost with it. */
  messages: ClientMessage[] = []
  readonly requests = new Requests()
  events: ReplicaEvent[] = []

  /** A fresh id of a change, an action or a request. */
  nextId(): string {
    return `${this.clientId}_${++this.counter}`
  }

  /** Whether topics are all presence: a change of them stands in no queue (R17). */
  isPresence(topicNames: readonly string[]): boolean {
    return topicNames.every((topicName) => this.topics.get(topicName)?.isPresence)
  }

  /** Marks topics as having something to send, perhaps. */
  touch(topicNames: Iterable<string>): void {
    for (const topicName of topicNames) this.dirty.add(topicName)
  }

  /** Tells the program that a view moved, if it did (R42). */
  tellMoved(topicName: string, moved: Moved, origin: Origin, author?: number): void {
    const topic = this.topics.get(topicName)
    const { before, changes } = moved
    if (!topic || changes?.length === 0) return
    const value = topic.view
    this.events.push({ type: "changed", topicName, before, value, changes: changes ?? [], origin, author })
  }
}
