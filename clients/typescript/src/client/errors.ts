/** Why something that was asked for did not come about. */

import type { Rejection } from "../replica/events.js"
import type { RejectCode } from "../replica/messages.js"
import type { Fields } from "../types/type.js"

/** A refusal of the server's: a code, and the reason in words. */
class Refused<Code extends string> extends Error {
  /** The kind of refusal. */
  readonly code: Code
  /** In words. */
  readonly reason: string

  /** @internal */
  constructor(about: string, code: Code, reason: string) {
    super(`${about}: ${code}: ${reason}`)
    this.code = code
    this.reason = reason
  }
}

/**
 * The server refused a change, or it could not be rebased over others' before it was sent. The code
 * `stale` means that others were faster, `invalid` that it does not fit or a validator refused it.
 */
export class Rejected extends Refused<RejectCode> {
  override readonly name = "Rejected"
  /** The topic of the change that failed. */
  readonly topicName: string

  /** @internal */
  constructor({ topicName, code, reason }: Rejection) {
    super(topicName, code, reason)
    this.topicName = topicName
  }
}

/**
 * A service could not be asked or offered, or failed: `no_such_service`, `provider_left`, `timeout`,
 * `failed`, `forbidden`, `invalid`, `service_taken`.
 */
export class ServiceError extends Refused<string> {
  override readonly name = "ServiceError"
}

/**
 * A topic cannot be had: `unknown_topic`, `wrong_type`, `topic_removed`, `forbidden`, `limit`,
 * `unavailable`.
 */
export class TopicError extends Refused<string> {
  override readonly name = "TopicError"
}

/**
 * A change has left the view, and whether it was accepted cannot be known: its session, its topic's life or
 * the client ended before the answer.
 */
export class OutcomeUnknown extends Error {
  override readonly name = "OutcomeUnknown"

  /** @internal */
  constructor(what: string) {
    super(`${what}: its session, its topic's life or the client ended before the answer`)
  }
}

/** The client was closed. */
export class Closed extends Error {
  override readonly name: string = "Closed"

  /** @internal */
  constructor(what: string, rest = "before the answer") {
    super(`${what}: the client was closed ${rest}`)
  }
}

/** The client was closed before a change was sent: the server does not have it. */
export class Unsent extends Closed {
  override readonly name = "Unsent"

  /** @internal */
  constructor(what: string) {
    super(what, "before it was sent")
  }
}

/** A change, as on the wire, and its topic. */
export interface UnansweredChange {
  readonly topicName: string
  readonly change: Fields
}

/** The client was closed with changes that are neither accepted nor rejected. */
export class ClosedUnanswered extends Error {
  override readonly name = "ClosedUnanswered"
  /** Those that were not sent: the server does not have them. */
  readonly unsent: readonly UnansweredChange[]
  /** Those that were sent: the server may have accepted any of them. */
  readonly unknown: readonly UnansweredChange[]

  /** @internal */
  constructor(unsent: readonly UnansweredChange[], unknown: readonly UnansweredChange[]) {
    const topics = [...new Set([...unsent, ...unknown].map(({ topicName }) => topicName))].join(", ")
    super(`closed with ${unsent.length} changes not sent and ${unknown.length} not answered: ${topics}`)
    this.unsent = unsent
    this.unknown = unknown
  }
}

/**
 * There was no answer in time. What was waited for may yet come about: a change stays pending, and is
 * sent when the server can be reached.
 */
export class TimedOut extends Error {
  override readonly name = "TimedOut"

  /** @internal */
  constructor(what: string, timeoutMs: number) {
    super(`${what}: no answer within ${timeoutMs / 1000} s`)
  }
}
