/** Reads the fields of a change. Each throws an {@link Invalid} where a field is not as it must be. */

import { Invalid } from "../value/errors.js"
import { kindOf, nesting, NESTING_MAX, tooDeep } from "../value/json.js"
import type { Json } from "../value/json.js"
import type { Fields } from "./type.js"

/** A field that has to be there. */
export function required(fields: Fields, field: string): Json {
  const value = Object.hasOwn(fields, field) ? fields[field] : undefined
  if (value === undefined) throw new Invalid(`field "${field}" is missing`)
  return value
}

/** The error of a value of the wrong kind. */
export function wrongValue(expected: string, found: Json, what = "the value"): Invalid {
  return new Invalid(`${what} must be ${expected}, not ${kindOf(found)}`)
}

/** The error of a field of the wrong kind. */
export function wrongField(field: string, expected: string, found: Json): Invalid {
  return wrongValue(expected, found, `field "${field}"`)
}

/** The error of a change that a type does not have. */
export function unknownChange(topicType: string, fields: Fields): Invalid {
  return new Invalid(`a ${topicType} topic has no change "${fields.type}"`)
}

/** A field that is a string. */
export function stringField(fields: Fields, field: string): string {
  const value = required(fields, field)
  if (typeof value !== "string") throw wrongField(field, "a string", value)
  return value
}

/** A field that holds what stands in a container that is a topic's value. */
export function itemField(fields: Fields, field: string): Json {
  const item = required(fields, field)
  if (nesting(item) >= NESTING_MAX) throw tooDeep()
  return item
}
