/** `dict`: values by key. */

import { Conflict, Invalid, tryTo } from "../value/errors.js"
import type { Json, JsonObject } from "../value/json.js"
import { equal, isObject } from "../value/json.js"
import { itemField, required, stringField, unknownChange, wrongValue } from "./fields.js"
import type { SetEvent, SetTo } from "./register.js"
import type { TopicType } from "./type.js"
import { changed, overwritten, SEPARATE, unaffected } from "./type.js"

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
    const entries = new Entries(keys, keys.map((key) => object[key]!))
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
    let [low, high] = [0, this.keys.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.keys[middle]! < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** A change of a dict. */
export type DictChange =
  | SetTo<Entries>
  | { readonly type: "add" | "change_value"; readonly key: string; readonly value: Json }
  | { readonly type: "remove"; readonly key: string; readonly value?: undefined }

/** What a program is told of a change of a dict. */
export type DictEvent<T = Json> =
  | { readonly type: "added"; readonly key: string; readonly value: T }
  | { readonly type: "removed"; readonly key: string; readonly previous: T }
  | { readonly type: "changed"; readonly key: string; readonly value: T; readonly previous: T }
  | SetEvent<Readonly<Record<string, T>>>

function decodeEntries(value: Json): Entries {
  if (!isObject(value)) throw wrongValue("a dict", value)
  return Entries.of(value)
}

function apply(entries: Entries, change: DictChange): Entries {
  if (change.type === "set") return change.value
  const { type, key, value } = change
  const there = entries.get(key) !== undefined
  if (type === "add") {
    if (there) throw new Invalid(`key ${JSON.stringify(key)} is there already`)
  } else if (!there) {
    throw new Invalid(`key ${JSON.stringify(key)} is not there`)
  }
  return type === "remove" ? entries.without(key) : entries.with(key, value)
}

/** Holds values by key. */
export const dict: TopicType<Entries, DictChange, JsonObject, DictEvent> = {
  name: "dict",
  initial: Entries.empty,
  decodeValue: decodeEntries,
  encodeValue: (entries) => entries.object,
  decodeChange(fields) {
    const { type } = fields
    if (type === "set") return { type, value: decodeEntries(required(fields, "value")) }
    if (type === "remove" || type === "pop") return { type: "remove", key: stringField(fields, "key") }
    if (type !== "add" && type !== "change_value") throw unknownChange("dict", fields)
    return { type, key: stringField(fields, "key"), value: itemField(fields, "value") }
  },
  encodeChange: (change) =>
    change.type === "set" ? { type: "set", value: change.value.object } : ({ ...change } as never),
  apply,
  rebase(incoming, accepted) {
    if (incoming.type === "set") throw changed()
    if (accepted.type === "set") throw overwritten()
    const { type, key } = incoming
    if (key !== accepted.key) return unaffected<DictChange>(incoming, accepted)
    if (type === accepted.type) {
      if (type === "remove") return { incoming: undefined, accepted: undefined }
      throw new Conflict(`key ${JSON.stringify(key)} was ${type === "add" ? "added" : "changed"}`)
    }
    if (type === "change_value" && accepted.type === "remove") {
      throw new Conflict(`key ${JSON.stringify(key)} was removed`)
    }
    if (type === "remove" && accepted.type === "change_value") {
      return { incoming, accepted: undefined }
    }
    // One needs the key to be there and the other needs it not to be: no value takes both.
    return unaffected<DictChange>(incoming, accepted)
  },
  invert(change, before) {
    if (change.type === "set") return { type: "set", value: before }
    const { type, key } = change
    if (type === "add") return { type: "remove", key }
    const value = before.get(key) ?? null
    return { type: type === "remove" ? "add" : "change_value", key, value }
  },
  key: (change) => (change.type === "set" ? undefined : change.key),
  compose(first, second) {
    if (second.type === "set") return second
    if (first.type === "set") {
      const value = tryTo(() => apply(first.value, second))
      return value ? { type: "set", value } : SEPARATE
    }
    if (first.key !== second.key) return SEPARATE
    switch (`${first.type} ${second.type}`) {
      case "add change_value":
        return { ...second, type: "add" } as DictChange
      case "add remove":
        return undefined
      case "change_value change_value":
      case "change_value remove":
        return second
      case "remove add":
        return { ...second, type: "change_value" } as DictChange
      default:
        return SEPARATE
    }
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
  describe(change, before) {
    if (change.type === "set") return [{ type: "set", value: change.value.object }]
    const { type, key, value } = change
    if (type === "add") return [{ type: "added", key, value }]
    const previous = before.get(key) ?? null
    return [type === "remove" ? { type: "removed", key, previous } : { type: "changed", key, value, previous }]
  },
}
