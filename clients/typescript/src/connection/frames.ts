/** What a replica has to send, as frames. */

import type { ClientMessage, ServerMessage } from "../replica/messages.js"
import type { Replica } from "../replica/replica.js"
import type { Codec, Frame } from "./codec.js"

/** How large a frame of many messages gets, in bytes, and how many it holds at most. */
const FRAME_BYTES_MAX = 64 * 1024
const FRAME_MESSAGES_MAX = 256

/**
 * Takes what is to be sent. What is larger than the server takes is refused in its place: to send it
 * would only lose the connection, again and again.
 */
export function frames(replica: Replica, codec: Codec, arrays: boolean): Frame[] {
  const bytesMax = replica.messageBytesMax
  const packer = new Packer(codec, Math.min(bytesMax, FRAME_BYTES_MAX), arrays)
  for (;;) {
    const refused: ServerMessage[] = []
    for (const message of replica.outbox()) {
      const encoded = codec.encode(message)
      const bytes = codec.byteLength(encoded)
      if (bytes <= bytesMax) packer.add(encoded, bytes)
      else refused.push(...refuse(message, bytes, bytesMax))
    }
    if (refused.length === 0) return packer.finish()
    // What waited behind them can go out now.
    for (const message of refused) replica.receive(message)
  }
}

/** What the server would say to a message that is too large. */
function refuse(message: ClientMessage, bytes: number, bytesMax: number): ServerMessage[] {
  const reason = `the message has ${bytes} bytes, at most ${bytesMax} are allowed`
  const code = "too_large"
  switch (message.type) {
    case "update": {
      const { topic_name, change } = message.content
      return [{ type: "reject_update", content: { topic_name, code, reason, change } }]
    }
    case "action": {
      const { action_id, changes } = message.content
      const { topic_name, change } = changes[0]!
      return [{ type: "reject_update", content: { topic_name, code, reason, change, action_id } }]
    }
    case "request": {
      const { request_id } = message.content
      return [{ type: "response", content: { request_id, error: { code: "invalid", reason } } }]
    }
    default:
      return []
  }
}

/** Puts encoded messages into as few frames as may be. */
class Packer {
  readonly #codec: Codec
  readonly #bytesMax: number
  readonly #arrays: boolean
  readonly #frames: Frame[] = []
  #together: Frame[] = []
  #bytes = 0

  constructor(codec: Codec, bytesMax: number, arrays: boolean) {
    this.#codec = codec
    this.#bytesMax = bytesMax
    this.#arrays = arrays
  }

  add(encoded: Frame, bytes: number): void {
    // An array adds a byte a message, and at most five around them.
    const full = this.#bytes + bytes + 6 > this.#bytesMax
    if (!this.#arrays || full || this.#together.length === FRAME_MESSAGES_MAX) this.finish()
    this.#together.push(encoded)
    this.#bytes += bytes + 1
  }

  finish(): Frame[] {
    const together = this.#together
    if (together.length > 0) {
      this.#frames.push(together.length === 1 ? together[0]! : this.#codec.join(together))
    }
    this.#together = []
    this.#bytes = 0
    return this.#frames
  }
}
