/** What a replica tells the program. */

import type { ErrorMessage, Outcome, RejectCode, ServedRequest } from "./messages.js"

/** Names one local action, from its making to its outcome. They count from 1. */
export type Ticket = number

/** Why a local action was taken back. */
export interface Rejection {
  readonly topicName: string
  readonly code: RejectCode
  readonly reason: string
}

/**
 * What moved a view: `local`, a change made here; `remote`, a published change of another client, or
 * of this one made by the server, as an undo is; `snapshot`, a whole value, the first or one that
 * jumps ahead; `correction`, the server took a change made here in another form than was predicted,
 * or not at all.
 */
export type Origin = "local" | "remote" | "snapshot" | "correction"

/** A topic's view moved. */
export interface Changed {
  readonly type: "changed"
  readonly topicName: string
  /** The view as it was. */
  readonly before: unknown
  /** The view as it is now. */
  readonly value: unknown
  /** What leads there, in order. Empty where that is not known: take the value as a whole. */
  readonly changes: readonly unknown[]
  readonly origin: Origin
  /** Who made a remote change, by client id. */
  readonly author?: number | undefined
}

/** Something that happened to a replica. */
export type ReplicaEvent =
  /** A session is in force. */
  | { readonly type: "online"; readonly clientId: number; readonly resumed: boolean }
  /** A topic has its first value, or the first one of a new life. */
  | { readonly type: "ready"; readonly topicName: string }
  | Changed
  /** A local action was accepted. There is no id if nothing was left to send. */
  | { readonly type: "confirmed"; readonly ticket: Ticket; readonly id: string | undefined }
  /** A local action was refused and has left the view. */
  | { readonly type: "rejected"; readonly ticket: Ticket; readonly rejection: Rejection }
  /** A local action has left the view, and whether it was accepted cannot be known. */
  | { readonly type: "unknown"; readonly ticket: Ticket }
  /** A topic is no longer subscribed, and why if the program did not ask for it. */
  | { readonly type: "closed"; readonly topicName: string; readonly error?: ErrorMessage }
  /** A local action was never sent, as the client was closed. */
  | { readonly type: "unsent"; readonly ticket: Ticket }
  /** Somebody asks a service of this client. */
  | { readonly type: "request"; readonly request: ServedRequest }
  /** What a request of this client came to. */
  | { readonly type: "response"; readonly call: number; readonly outcome: Outcome }
  /** The server knows of an offer of this client, or of its end. */
  | { readonly type: "registered" | "unregistered"; readonly serviceName: string }
  /** The server took no more work: some changes are to be sent again after a while. */
  | { readonly type: "busy" }
  /** The server complained, or sent what makes no sense. */
  | { readonly type: "error"; readonly error: ErrorMessage }
