/**
 * MessagePack in binary frames, on the package `@msgpack/msgpack`.
 *
 * @packageDocumentation
 */

import { decode, encode } from "@msgpack/msgpack"
import type { Codec } from "./connection/codec.js"
import type { Json } from "./value/json.js"

/** The head of an array of up to 65,535 values. */
function arrayHead(length: number): Uint8Array {
  return Uint8Array.of(0xdc, length >> 8, length & 0xff)
}

/**
 * Messages as MessagePack: `connect(url, { codec: msgpack })`. It is smaller than JSON where values
 * are numbers.
 */
export const msgpack: Codec = {
  subprotocol: "topicsync.v1.msgpack",
  encode: (message) => encode(message, { ignoreUndefined: true }),
  byteLength: (frame) => frame.length,
  join(encoded) {
    const parts = [arrayHead(encoded.length), ...(encoded as readonly Uint8Array[])]
    const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of parts) {
      joined.set(part, at)
      at += part.length
    }
    return joined
  },
  decode: (frame) => decode(frame as ArrayBuffer) as Json,
}
