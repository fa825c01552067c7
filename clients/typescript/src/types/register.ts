/** `generic` and `bool`: registers, which are set as a whole. */

import type { Json } from "../value/json.js"
import { required, unknownChange, wrongValue } from "./fields.js"
import type { TopicType } from "./type.js"
import { changed } from "./type.js"

/** The one change of a register: to this value. */
export interface SetTo<V> {
  readonly type: "set"
  readonly value: V
}

/** What a program is told of a value that was set as a whole. */
export interface SetEvent<View> {
  readonly type: "set"
  readonly value: View
}

function register<V extends Json>(
  name: string,
  initial: V,
  decodeValue: (value: Json) => V,
): TopicType<V, SetTo<V>, V, SetEvent<V>> {
  return {
    name,
    initial,
    decodeValue,
    encodeValue: (value) => value,
    decodeChange(fields) {
      if (fields.type !== "set") throw unknownChange(name, fields)
      return { type: "set", value: decodeValue(required(fields, "value")) }
    },
    encodeChange: (change) => ({ ...change }),
    apply: (_value, change) => change.value,
    rebase() {
      throw changed()
    },
    invert: (_change, before) => ({ type: "set", value: before }),
    compose: (_first, second) => second,
    describe: (change) => [change],
  }
}

/** Holds any value. */
export const generic = register<Json>("generic", null, (value) => value)

/** Holds true or false. */
export const bool = register<boolean>("bool", false, (value) => {
  if (typeof value !== "boolean") throw wrongValue("a boolean", value)
  return value
})
