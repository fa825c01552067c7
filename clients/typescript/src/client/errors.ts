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

/** Whether a change was accepted cannot be known: its session or its topic's life ended first. */
export class FateUnknown extends Error {
  override readonly name = "FateUnknown"
}

/** The client was closed before the answer. */
export class Closed extends Error {
  override readonly name = "Closed"

  /** @internal */
  constructor(what: string) {
    super(`${what}: the client was closed before the answer`)
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

/** The client was closed with changes that the server has not answered: they may be lost. */
export class Unanswered extends Error {
  override readonly name = "Unanswered"
  /** The changes, as on the wire, in the order of their topics. */
  readonly changes: readonly { readonly topicName: string; readonly change: Fields }[]

  /** @internal */
  constructor(changes: Unanswered["changes"]) {
    const topics = [...new Set(changes.map(({ topicName }) => topicName))].join(", ")
    super(`the client was closed before ${changes.length} changes were answered: ${topics}`)
    this.changes = changes
  }
}
