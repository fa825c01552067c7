/** Where in a list or text a change is meant: at a position, or at the end, wherever that is. */

import { outOfBounds } from "../value/errors.js"
import type { Json } from "../value/json.js"
import { required, wrongField } from "./fields.js"
import type { Fields } from "./type.js"

/** The end: behind the last item for an insertion, the last item for what takes one. */
export const END = -1

/** The largest position and length. */
export const LENGTH_MAX = 2 ** 32 - 1

/** A whole number from `min` on, as positions and lengths are; `field` is where it stands. */
export function checkPlace(value: Json, field: string, min: number): number {
  if (!Number.isSafeInteger(value)) throw wrongField(field, "a whole number", value)
  const place = value as number
  if (place < min || place > LENGTH_MAX) throw outOfBounds(place, LENGTH_MAX)
  return place
}

/** A field that is a position from 0, or {@link END}. */
export function placeField(fields: Fields, field: string, min = END): number {
  return checkPlace(required(fields, field), field, min)
}

/**
 * The position meant, `last` being the last one that is allowed: the length for an insert, else that
 * of the last item (-1 in an empty list).
 */
export function resolvePlace(place: number, last: number, length: number): number {
  const at = place === END ? last : place
  if (at > last || at < 0) {
    throw outOfBounds(place, length, last === length ? `, an insert may go from 0 to ${length}` : "")
  }
  return at
}
