/** Why something that was asked for did not come about. */

import type { Rejection } from "../replica/events.js"
import type { RejectCode } from "../replica/messages.js"

/** A refusal of the server's: a code, and the reason in words. */
class Refused<Code extends string> extends Error {
  /** The kind of refusal. */
  readonly code: Code
  /** In words. */
  readonly reason: string

  /** @internal */
  constructor(code: Code, reason: string, about = "") {
    super(`${about}${code}: ${reason}`)
    this.code = code
    this.reason = reason
  }
}

/**
 * The server refused a change, or it could not be carried over others' before it was sent. The code
 * `stale` means that others were faster, `invalid` that it does not fit or a validator refused it.
 */
export class Rejected extends Refused<RejectCode> {
  override readonly name = "Rejected"
  /** The topic of the change that failed. */
  readonly topicName: string

  /** @internal */
  constructor({ topicName, code, reason }: Rejection) {
    super(code, reason, `${topicName}: `)
    this.topicName = topicName
  }
}

/**
 * A service could not be asked, or failed: `no_such_service`, `provider_left`, `timeout`, `failed`,
 * `forbidden`, `invalid`.
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
}
