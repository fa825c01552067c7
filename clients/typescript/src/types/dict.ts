/** `dict`: values by key. */

import { Conflict, misplaced } from "../value/errors.js"
import type { Json, JsonObject } from "../value/json.js"
import { equal, isObject } from "../value/json.js"
import { itemField, stringField, unknownChange, wrongValue } from "./fields.js"
import { lowerBound } from "./search.js"
import type { SetEvent } from "./settable.js"
import { settable } from "./settable.js"
import { SEPARATE } from "./type.js"

/**
 * Entries sorted by key. A change copies two arrays, which is much less than an object costs; the
 * object that a program sees is made when it is asked for, and kept.
 */
export class Entries {
  static readonly empty = new Entries([], [])

  #object: JsonObject | undefined

  private constructor(
    readonly keys: readonly string[],
    readonly values: readonly Json[],
  ) {}

  static of(object: JsonObject): Entries {
    const keys = Object.keys(object).sort()
    const entries = new Entries(
      keys,
      keys.map((key) => object[key]!),
    )
    entries.#object = object
    return entries
  }

  get object(): JsonObject {
    return (this.#object ??= Object.fromEntries(this.keys.map((key, at) => [key, this.values[at]!])))
  }

  /** The value under a key. O(log n). */
  get(key: string): Json | undefined {
    const at = this.#find(key)
    return this.keys[at] === key ? this.values[at] : undefined
  }

  with(key: string, value: Json): Entries {
    const at = this.#find(key)
    if (this.keys[at] === key) return new Entries(this.keys, this.values.with(at, value))
    return new Entries(this.keys.toSpliced(at, 0, key), this.values.toSpliced(at, 0, value))
  }

  without(key: string): Entries {
    const at = this.#find(key)
    return new Entries(this.keys.toSpliced(at, 1), this.values.toSpliced(at, 1))
  }

  #find(key: string): number {
    return lowerBound(this.keys.length, (at) => this.keys[at]! < key)
  }
}

/** Puts a value under a key, or takes it out. */
export type DictChange =
  | { readonly type: "add" | "change_value"; readonly key: string; readonly value: Json }
  | { readonly type: "remove"; readonly key: string; readonly value?: undefined }

/** What a program is told of a change of a dict. */
export type DictEvent<T = Json> =
  | { readonly type: "added"; readonly key: string; readonly value: T }
  | { readonly type: "removed"; readonly key: string; readonly previous: T }
  | { readonly type: "changed"; readonly key: string; readonly value: T; readonly previous: T }
  | SetEvent<Readonly<Record<string, T>>>

function keyText(key: string): string {
  return `key ${JSON.stringify(key)}`
}

/** Holds values by key. */
export const dict = settable<Entries, DictChange, JsonObject, DictEvent>({
  name: "dict",
  initial: Entries.empty,
  decodeValue(value) {
    if (!isObject(value)) throw wrongValue("a dict", value)
    return Entries.of(value)
  },
  encodeValue: (entries) => entries.object,
  decodeChange(fields) {
    const { type } = fields
    const key = () => stringField(fields, "key")
    if (type === "remove" || type === "pop") return { type: "remove", key: key() }
    if (type !== "add" && type !== "change_value") throw unknownChange("dict", fields)
    return { type, key: key(), value: itemField(fields, "value") }
  },
  apply(entries, { type, key, value }) {
    const there = entries.get(key) !== undefined
    if (there === (type === "add")) {
      throw misplaced(keyText(key), there)
    }
    return value === undefined ? entries.without(key) : entries.with(key, value)
  },
  rebase(incoming, accepted) {
    const [mine, theirs] = [incoming.type, accepted.type]
    // Where one needs the key to be there and the other needs it not to be, no value takes both.
    const apart = incoming.key !== accepted.key || (mine === "add") !== (theirs === "add")
    if (apart) return { incoming, accepted }
    if (mine !== "remove") throw new Conflict(`${keyText(incoming.key)} was ${TOLD[theirs]}`)
    return { incoming: theirs === "remove" ? undefined : incoming, accepted: undefined }
  },
  invert({ type, key }, before) {
    if (type === "add") return { type: "remove", key }
    const value = before.get(key) ?? null
    return { type: type === "remove" ? "add" : "change_value", key, value }
  },
  key: (change) => change.key,
  compose(first, second) {
    // What there is under a key before, between and after: a change of one key leads on to the next.
    if (first.key !== second.key || (first.type === "remove") !== (second.type === "add")) {
      return SEPARATE
    }
    if (second.type === "remove") return first.type === "add" ? undefined : second
    return { ...second, type: first.type === "add" ? "add" : "change_value" }
  },
  diff(from, to) {
    const gone = from.keys.filter((key) => to.get(key) === undefined)
    const changes: DictChange[] = gone.map((key) => ({ type: "remove", key }))
    to.keys.forEach((key, at) => {
      const [old, value] = [from.get(key), to.values[at]!]
      if (old === undefined) changes.push({ type: "add", key, value })
      else if (!equal(old, value)) changes.push({ type: "change_value", key, value })
    })
    return changes
  },
  view: (entries) => entries.object,
  describe({ type, key, value }, before) {
    const previous = type !== "add" && { previous: before.get(key) ?? null }
    const event = { type: TOLD[type], key, ...(value !== undefined && { value }), ...previous }
    return [event as DictEvent]
  },
})

const TOLD = { add: "added", change_value: "changed", remove: "removed" }
