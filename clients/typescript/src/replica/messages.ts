/** The messages of both sides, as they are on the wire. */

import type { Json, JsonObject } from "../value/json.js"
import type { Fields } from "../types/type.js"

/** Why a change was sent back. */
export type RejectCode =
  "stale" | "invalid" | "unknown_topic" | "wrong_type" | "forbidden" | "too_large" | "busy" | "unavailable"

/** A change with its id, and on its way to the server its base: the version its author had seen. */
export type WireChange = Fields & { readonly id?: string; readonly base?: number | undefined }

/** A change on its way to the server. */
export interface SentChange {
  readonly topic_name: string
  readonly epoch?: string | undefined
  readonly change: WireChange
}

/** What a service failed with. */
export interface ServiceFailure {
  readonly code: string
  readonly reason: string
}

/** What a service came to. */
export interface Outcome {
  readonly response?: Json
  readonly error?: ServiceFailure
}

/** What a client sends. Fields that are `undefined` are left out, by every codec. */
export type ClientMessage =
  | { type: "resume"; content: { session: string } }
  | {
      type: "subscribe"
      content: {
        topic_name: string
        type: string
        options?: JsonObject | undefined
        since?: { epoch: string; version: number } | undefined
      }
    }
  | { type: "unsubscribe"; content: { topic_name: string } }
  | { type: "update"; content: SentChange }
  | { type: "action"; content: { action_id: string; changes: readonly SentChange[] } }
  | { type: "register_service" | "unregister_service"; content: { service_name: string } }
  | {
      type: "request"
      content: { service_name: string; args: Json; request_id: string; timeout_ms?: number | undefined }
    }
  | { type: "response"; content: { request_id: string } & Outcome }

/** A session that the server offers, or gives back. */
export interface Hello {
  readonly id: number
  readonly session: string
  readonly resumed?: boolean
  readonly limits?: JsonObject
}

/** The beginning of a subscription. */
export interface Subscribed {
  readonly topic_name: string
  readonly type: string
  readonly epoch: string
  readonly version: number
  readonly since?: number
}

/** A published change of one topic. */
export interface Part {
  readonly topic_name: string
  readonly version: number
  readonly change: WireChange
}

/** One topic's change, or its whole value. */
export interface Update extends Part {
  readonly author?: number
  readonly snapshot?: boolean
  /** Of several changes composed: the version before the first, and their ids. */
  readonly since?: number
  readonly ids?: readonly string[]
}

/** Changes that took effect together. */
export interface Action {
  readonly action_id: string
  readonly author?: number
  readonly changes: readonly Part[]
}

/** A change that was refused. */
export interface RejectUpdate {
  readonly topic_name: string
  readonly code: RejectCode
  readonly reason?: string
  readonly action_id?: string | undefined
  readonly change?: { readonly id?: string }
}

/** What the server complains of. */
export interface ErrorMessage {
  readonly code: string
  readonly reason?: string
  readonly to?: string
  readonly topic_name?: string
  readonly service_name?: string
  readonly request_id?: string
}

/** Somebody asks a service of this client. */
export interface ServedRequest {
  readonly service_name: string
  readonly args?: Json
  readonly request_id: string
  readonly client_id: number
}

/** What a server sends. */
export type ServerMessage =
  | { type: "hello"; content: Hello }
  | { type: "subscribed"; content: Subscribed }
  | { type: "update"; content: Update }
  | { type: "action"; content: Action }
  | { type: "reject_update"; content: RejectUpdate }
  | { type: "unsubscribed"; content: { topic_name: string } }
  | { type: "registered" | "unregistered"; content: { service_name: string } }
  | { type: "request"; content: ServedRequest }
  | { type: "response"; content: { request_id: string } & Outcome }
  | { type: "error"; content: ErrorMessage }
