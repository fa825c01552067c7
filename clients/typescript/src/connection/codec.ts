/** Messages as frames. */

import type { Json } from "../value/json.js"
import { utf8Length } from "../value/json.js"

/** What one frame holds: text, or bytes. */
export type Frame = string | Uint8Array

/** How messages are written, and read. */
export interface Codec {
  /** The name under which it is offered to the server. */
  readonly subprotocol: string
  /** Writes one message, without the fields that are `undefined`. */
  encode(message: object): Frame
  /** How many bytes a frame has. */
  byteLength(frame: Frame): number
  /** Makes one frame of encoded messages: an array of them. */
  join(encoded: readonly Frame[]): Frame
  /** Reads a frame: a message, or an array of them. */
  decode(frame: string | ArrayBuffer): Json
}

/**
 * Writes a value that holds a whole number beyond ±(2^53 − 1), which only a float can hold: with an
 * exponent, as a server would take it for an int otherwise, and refuse it.
 */
function writeLarge(value: unknown): string {
  if (typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER) return value.toExponential()
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(writeLarge).join()}]`
  const entries = Object.entries(value).filter(([, it]) => it !== undefined)
  return `{${entries.map(([key, it]) => `${JSON.stringify(key)}:${writeLarge(it)}`).join()}}`
}

/** JSON in text frames. */
export const json: Codec = {
  subprotocol: "topicsync.v1.json",
  encode(message) {
    const text = JSON.stringify(message)
    // Most messages hold no such number, and JSON.stringify is several times faster.
    return /\d{16}/.test(text) ? writeLarge(message) : text
  },
  byteLength: (frame) => utf8Length(frame as string),
  join: (encoded) => `[${encoded.join()}]`,
  decode: (frame) => JSON.parse(frame as string) as Json,
}
