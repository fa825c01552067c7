/**
 * What a replica consists of: topics, batches, and where the session stands.
 *
 * A *batch* is what meets one fate: one action of the program, or several single changes of one topic
 * that waited together and went out as one. The state knows the batches; each topic knows where their
 * changes stand. At most one batch is in flight on a topic, and an action over several topics is one
 * batch that occupies all of them.
 */

import { Calls } from "./calls.js"
import type { Moved, TopicReplica } from "./topic-replica.js"
import type { Origin, ReplicaEvent, Ticket } from "./events.js"
import type { ClientMessage, Hello } from "./messages.js"
import type { BatchId } from "./pending.js"

/** What meets one fate. */
export interface Batch {
  /**
   * Those to be told. Once it is confirmed there are none, though topics may still wait for their
   * parts of it.
   */
  tickets: Ticket[]
  /** Those on which it has changes, in order. */
  topics: readonly string[]
  /** Several changes that the program made as one: never joined with others. */
  readonly action: boolean
  /** It as it was sent: it is sent again just so. */
  message: ClientMessage | undefined
  /** Its session is gone. It is not sent again; what its topics receive still shows its fate. */
  orphaned: boolean
}

/** Where the session stands. */
export type Phase =
  | { readonly type: "offline" }
  | { readonly type: "online" }
  /** A new session was offered, and an old one is asked for. */
  | { readonly type: "resuming"; readonly offered: Hello; asked: boolean }

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
  batchesMade = 0
  /**
   * Whether single changes that wait are composed and sent together. If not, each goes out in a message
   * of its own once the one before it is answered.
   */
  composes = true
  readonly topics = new Map<string, TopicReplica>()
  /** In the order in which they were made. */
  readonly batches = new Map<BatchId, Batch>()
  /**
   * How often `unsubscribe` went out for a topic and is not answered. What comes for the topic until
   * then is of an earlier subscription.
   */
  readonly leaving = new Map<string, number>()
  /** Topics that may have something to send. */
  readonly stirred = new Set<string>()
  /** Batches in flight that are to be sent again. */
  resend = new Set<BatchId>()
  /** Batches in flight that the server had no room for. */
  readonly busy = new Set<BatchId>()
  /** Messages to be sent once there is a session, and lost with it. */
  queue: ClientMessage[] = []
  readonly calls = new Calls()
  events: ReplicaEvent[] = []

  /** A fresh id of a change, an action or a request. */
  nextId(): string {
    return `${this.clientId}_${++this.counter}`
  }

  /** Whether a topic has pending changes of a batch. */
  holds(topicName: string, batch: BatchId): boolean {
    const pending = this.topics.get(topicName)?.pending ?? []
    return pending.findLast((it) => it.batch === batch) !== undefined
  }

  /** Tells the program that a view moved, if it did. */
  tellMoved(topicName: string, moved: Moved, origin: Origin, author?: number): void {
    const topic = this.topics.get(topicName)
    const { before, changes } = moved
    if (!topic || changes?.length === 0) return
    const value = topic.view
    this.events.push({ type: "changed", topicName, before, value, changes: changes ?? [], origin, author })
  }
}
