/** Plain values: what topics hold and changes carry. They are never changed in place. */

import { Invalid } from "./errors.js"

/**
 * Any value that a topic can hold. Numbers are finite. One that is whole and within ±(2^53 − 1) is an
 * int to the server, any other a float.
 */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject

/** Values by key. */
export interface JsonObject {
  readonly [key: string]: Json
}

/** A value that is not to be changed, at any depth. */
export type ReadonlyDeep<T> = [Json] extends [T]
  ? T
  : T extends (...args: never[]) => unknown
    ? T
    : T extends object
      ? { readonly [K in keyof T]: ReadonlyDeep<T[K]> }
      : T

/** Whether this is no production build: bundlers put what they build for here. */
function isDevelopment(): boolean {
  try {
    return process.env.NODE_ENV !== "production"
  } catch {
    return false
  }
}

declare const process: { readonly env: { readonly NODE_ENV?: string } }

/**
 * Freezes what a program gets of a value, in development: to change it would change what the client
 * holds, and nobody else would hear of it. What is frozen already is so at any depth.
 */
export const frozen: <T>(value: T) => T = isDevelopment() ? freeze : (value) => value

function freeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value
  if (!Array.isArray(value) && !isPlain(value)) return value
  for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}

/** Whether this is an object of no class. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** How many containers (lists, dicts) nest in one topic's value at most. */
export const NESTING_MAX = 100

/** The name of a value's kind, for messages to people. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "null"
  if (typeof value === "boolean") return "bool"
  if (typeof value === "number") return Number.isSafeInteger(value) ? "int" : "float"
  if (typeof value === "string") return "string"
  return Array.isArray(value) ? "list" : "dict"
}

/** Whether a value is a dict. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/**
 * A copy of what a program gave, so that it may go on changing its own. Fields that are `undefined`
 * are left out, as in JSON.
 *
 * @throws {@link Invalid} if it is no value, or nests too deep.
 */
export function checked(value: unknown, nestingMax = NESTING_MAX): Json {
  switch (typeof value) {
    case "boolean":
      return value
    case "number":
      if (!Number.isFinite(value)) throw new Invalid("a number is not finite")
      return value
    case "string":
      if (!isWellFormed(value)) throw new Invalid("a text holds half of a surrogate pair")
      return value
    case "object":
      return value === null ? null : checkedContainer(value, nestingMax - 1)
    default:
      throw new Invalid(`${typeof value} is not a value`)
  }
}

function checkedContainer(container: object, nestingMax: number): Json {
  if (nestingMax < 0) throw tooDeep()
  if (Array.isArray(container)) return container.map((item) => checked(item, nestingMax))
  if (!isPlain(container)) {
    throw new Invalid(`${container.constructor.name} is not a value`)
  }
  const entries: [string, Json][] = []
  for (const [key, value] of Object.entries(container)) {
    if (value !== undefined) entries.push([checked(key) as string, checked(value, nestingMax)])
  }
  return Object.fromEntries(entries)
}

/** Whether a text holds no half of a surrogate pair. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}

/** How many bytes the name of a topic or service has at most. */
const NAME_BYTES_MAX = 512

/**
 * Passes what can be the name of a topic or a service.
 *
 * @throws {@link Invalid} if it has not 1 to 512 bytes, or a control character.
 */
export function checkName(name: string): void {
  const is = typeof name === "string" && name !== "" && !/[\p{Cc}\p{Surrogate}]/u.test(name)
  if (is && utf8Length(name) <= NAME_BYTES_MAX) return
  const shown = JSON.stringify(name)?.slice(0, 80)
  throw new Invalid(`${shown} is no name: one has 1 to ${NAME_BYTES_MAX} bytes, no control characters`)
}

/** The error of a value that nests too deep. */
export function tooDeep(): Invalid {
  return new Invalid(`more than ${NESTING_MAX} containers nest`)
}

/** How many containers nest in a value: 0 for a scalar, 1 for a list of scalars. */
export function nesting(value: Json): number {
  if (typeof value !== "object" || value === null) return 0
  return Object.values(value).reduce((most: number, inner) => Math.max(most, 1 + nesting(inner)), 1)
}

/** Whether two values are the same by content: `1` is `1.0`, and keys have no order. */
export function equal(a: Json, b: Json): boolean {
  return a === b || compare(a, b) === 0
}

/** A text that equal values have in common, and no others. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(canonical).join()}]`
  if (!isObject(value)) return JSON.stringify(value)
  return `{${sortedEntries(value)
    .map((entry) => canonical(entry))
    .join()}}`
}

const RANKS = ["null", "bool", "number", "string", "list", "dict"]

function rank(value: Json): number {
  return RANKS.indexOf(typeof value === "number" ? "number" : kindOf(value))
}

/** The one order of values: null, booleans, numbers, strings, lists, dicts. It sorts a set. */
export function compare(a: Json, b: Json): number {
  const byRank = rank(a) - rank(b)
  if (byRank !== 0) return byRank
  if (typeof a === "string") return compareText(a, b as string)
  if (Array.isArray(a)) return compareLists(a, b as readonly Json[])
  if (isObject(a)) return compareLists(sortedEntries(a), sortedEntries(b as JsonObject))
  return Number(a) - Number(b)
}

function compareLists(a: readonly Json[], b: readonly Json[]): number {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const order = compare(a[at]!, b[at]!)
    if (order !== 0) return order
  }
  return a.length - b.length
}

function sortedEntries(dict: JsonObject): Json[] {
  return Object.entries(dict).sort(([a], [b]) => compareText(a, b))
}

/** Orders texts by their code points, as every client does. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0
  let at = 0
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++
  return codeOrder(a, at) - codeOrder(b, at)
}

/** Orders UTF-16 units as the code points that they stand for: surrogates are behind all others. */
function codeOrder(text: string, at: number): number {
  if (at >= text.length) return -1
  const unit = text.charCodeAt(at)
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit
}

/** How many bytes a text has in UTF-8. */
export function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length
}
