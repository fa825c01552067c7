/** `event`: something that happens, in one order with all else, and leaves nothing behind. */

import type { JsonObject } from "../value/json.js"
import { isObject } from "../value/json.js"
import { unknownChange, wrongField, wrongValue } from "./fields.js"
import type { TopicType } from "./type.js"

/** An event, with its arguments by name. */
export interface Emit {
  readonly type: "emit"
  readonly args: JsonObject
}

/** What a program is told of an event. */
export interface EmittedEvent<Args = JsonObject> {
  readonly type: "emitted"
  readonly args: Args
}

/** Holds nothing, and passes on what is emitted. */
export const event: TopicType<null, Emit, null, EmittedEvent> = {
  name: "event",
  initial: null,
  stateless: true,
  decodeValue(value) {
    if (value !== null) throw wrongValue("null", value)
    return null
  },
  encodeValue: () => null,
  decodeChange(fields) {
    if (fields.type !== "emit") throw unknownChange("event", fields)
    const args = fields["args"] ?? {}
    if (!isObject(args)) throw wrongField("args", "a dict", args)
    return { type: "emit", args }
  },
  encodeChange: (change) => ({ ...change }),
  apply: () => null,
  rebase: (incoming, accepted) => ({ incoming, accepted }),
  invert: () => undefined,
  describe: (change) => [{ type: "emitted", args: change.args }],
}
