/** What a replica has to send, as frames. */

import type { ClientMessage } from "../replica/messages.js"
import type { Replica } from "../replica/replica.js"
import type { Codec, Frame } from "./codec.js"

/** How large a frame of many messages gets, in bytes, and how many it holds at most. */
const FRAME_BYTES_MAX = 64 * 1024
const FRAME_MESSAGES_MAX = 256

/**
 * Takes what is to be sent. What is larger than the server takes, or cannot be encoded, is refused in
 * its place: to send it would only lose the connection, again and again.
 */
export function frames(replica: Replica, codec: Codec, arrays: boolean): Frame[] {
  const bytesMax = replica.messageBytesMax
  const frameMax = Math.min(bytesMax, FRAME_BYTES_MAX)
  const frames: Frame[] = []
  let together: Frame[] = []
  let size = 0
  const finish = () => {
    if (together.length > 0) frames.push(together.length === 1 ? together[0]! : codec.join(together))
    together = []
    size = 0
  }
  // What waited behind something that is refused can go out then.
  for (let messages; (messages = replica.outbox()).length > 0;) {
    for (const message of messages) {
      let encoded
      try {
        encoded = codec.encode(message)
      } catch (error) {
        refuse(replica, message, "invalid", `the message cannot be encoded: ${error}`)
        continue
      }
      const bytes = codec.byteLength(encoded)
      if (bytes > bytesMax) {
        const reason = `the message has ${bytes} bytes, at most ${bytesMax} are allowed`
        refuse(replica, message, "too_large", reason)
        continue
      }
      // An array adds a byte a message, and at most five around them.
      if (!arrays || size + bytes + 6 > frameMax || together.length === FRAME_MESSAGES_MAX) finish()
      together.push(encoded)
      size += bytes + 1
    }
  }
  finish()
  return frames
}

/** Takes what the server would say to a message that it does not take. */
function refuse(
  replica: Replica,
  { type, content }: ClientMessage,
  code: "invalid" | "too_large",
  reason: string,
): void {
  if (type === "update" || type === "action") {
    const [action_id, sent] =
      type === "action" ? [content.action_id, content.changes[0]!] : [undefined, content]
    replica.receive({ type: "reject_update", content: { ...sent, code, reason, action_id } })
  } else if (type === "response") {
    // Who asked is told, rather than left waiting.
    replica.respond(content.request_id, { error: { code: "failed", reason } })
  } else if (type === "request") {
    const error = { code: "invalid", reason }
    replica.receive({ type: "response", content: { request_id: content.request_id, error } })
  } else {
    replica.receive({ type: "error", content: { ...content, code: "invalid", to: type, reason } })
  }
}
