/** `generic` and `bool`: registers, which are only ever set as a whole. */

import type { Json } from "../value/json.js"
import { unknownChange, wrongValue } from "./fields.js"
import { settable } from "./settable.js"

function register<V extends Json>(name: string, initial: V, decodeValue: (value: Json) => V) {
  return settable<V, never, V, never>({
    name,
    initial,
    decodeValue,
    encodeValue: (value) => value,
    decodeChange(fields) {
      throw unknownChange(name, fields)
    },
    apply: (value) => value,
    invert: (change) => change,
  })
}

/** Holds any value. */
export const generic = register<Json>("generic", null, (value) => value)

/** Holds true or false. */
export const bool = register<boolean>("bool", false, (value) => {
  if (typeof value !== "boolean") throw wrongValue("a boolean", value)
  return value
})
