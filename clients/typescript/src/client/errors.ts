/** Why something that was asked for did not come about. */

import type { Rejection } from "../replica/events.js"
import type { ErrorMessage, RejectCode, ServiceFailure } from "../replica/messages.js"

/** The server refused a change, or it could not be carried over others' before it was sent. */
export class Rejected extends Error {
  override readonly name = "Rejected"
  /** `stale`: others were faster. `invalid`: it does not fit, or a validator refused it. */
  readonly code: RejectCode
  /** In words. */
  readonly reason: string
  /** The topic of the change that failed. */
  readonly topicName: string

  /** @internal */
  constructor({ topicName, code, reason }: Rejection) {
    super(`${topicName}: ${code}: ${reason}`)
    this.topicName = topicName
    this.code = code
    this.reason = reason
  }
}

/** Whether a change was accepted cannot be known: its session or its topic's life ended first. */
export class FateUnknown extends Error {
  override readonly name = "FateUnknown"

  /** @internal */
  constructor() {
    super("the answer was lost, with the session or with the topic's life")
  }
}

/** The client was closed before the answer. */
export class Closed extends Error {
  override readonly name = "Closed"

  /** @internal */
  constructor() {
    super("the client was closed before the answer")
  }
}

/** A service could not be asked, or failed. */
export class ServiceError extends Error {
  override readonly name = "ServiceError"
  /** `no_such_service`, `provider_left`, `timeout`, `failed`, `forbidden`, `invalid`, … */
  readonly code: string
  /** In words. */
  readonly reason: string

  /** @internal */
  constructor({ code, reason }: ServiceFailure) {
    super(`${code}: ${reason}`)
    this.code = code
    this.reason = reason
  }
}

/** A topic cannot be had: it has another type, was removed, or is forbidden. */
export class TopicError extends Error {
  override readonly name = "TopicError"
  /** `unknown_topic`, `wrong_type`, `topic_removed`, `forbidden`, `limit`, … */
  readonly code: string
  /** In words. */
  readonly reason: string
  /** The topic. */
  readonly topicName: string

  /** @internal */
  constructor(topicName: string, { code, reason = "" }: ErrorMessage) {
    super(`${topicName}: ${code}: ${reason}`)
    this.topicName = topicName
    this.code = code
    this.reason = reason
  }
}
