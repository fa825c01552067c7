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

/** A whole number that only a float can hold. JSON has to say so, or it is taken for an int. */
function exponent(_key: string, value: unknown): unknown {
  const large = typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER
  return large ? `\u0001${value.toExponential()}` : value
}

/** JSON in text frames. */
export const json: Codec = {
  subprotocol: "topicsync.v1.json",
  encode(message) {
    const text = JSON.stringify(message)
    if (!/\d{16}/.test(text)) return text
    return JSON.stringify(message, exponent).replace(/"\\u0001([^"]*)"/g, "$1")
  },
  byteLength: (frame) => utf8Length(frame as string),
  join: (encoded) => `[${encoded.join()}]`,
  decode: (frame) => JSON.parse(frame as string) as Json,
}
