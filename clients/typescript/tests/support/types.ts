/** Random values, and changes that fit them, of every built-in type. */

import fc from "fast-check"
import { dict, Entries } from "../../src/types/dict.js"
import { event } from "../../src/types/event.js"
import { list } from "../../src/types/list.js"
import { float, int } from "../../src/types/number.js"
import { bool, generic } from "../../src/types/register.js"
import { set } from "../../src/types/set.js"
import { string } from "../../src/types/string.js"
import type { AnyType, Fields } from "../../src/types/type.js"
import type { Json } from "../../src/value/json.js"
import { Text } from "../../src/value/text.js"

export const TYPES: readonly AnyType[] = [generic, bool, int, float, string, list, set, dict, event]

/** The type of this name. */
export function typeNamed(name: string): AnyType {
  const type = TYPES.find((it) => it.name === name)
  if (!type) throw new Error(`there is no type ${name}`)
  return type
}

/** A character, now and then beyond the basic plane. */
const character = fc.constantFrom("a", "b", "é", "ß", "世", "😀", "𝄞", "👍🏽"[0]! + "👍🏽"[1]!)
export const shortText = fc.array(character, { maxLength: 4 }).map((it) => it.join(""))
const longText = fc.array(character, { maxLength: 2000, size: "max" }).map((it) => it.join(""))
const text = fc.oneof({ weight: 4, arbitrary: shortText }, { weight: 1, arbitrary: longText })
const key = fc.constantFrom("a", "b", "c", "__proto__", "10", "😀")
const scalar = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom(0.5, -0, 1e21, Number.MAX_SAFE_INTEGER),
  shortText,
)
export const json: fc.Arbitrary<Json> = fc.oneof(
  { weight: 4, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 2 }) },
  { weight: 1, arbitrary: fc.dictionary(key, scalar, { maxKeys: 2 }) },
) as fc.Arbitrary<Json>
const items = fc.array(json, { maxLength: 5 })
const whole = fc.oneof(fc.integer({ min: -5, max: 5 }), fc.maxSafeInteger())
const finite = fc.oneof(whole, fc.double({ noNaN: true, noDefaultInfinity: true }))

/** The encoded value of a topic of each type. */
const VALUES: Record<string, fc.Arbitrary<Json>> = {
  generic: json,
  bool: fc.boolean(),
  int: whole,
  float: finite,
  string: text,
  list: items,
  set: fc.array(json, { maxLength: 5 }).map(distinct),
  dict: fc.dictionary(key, json, { maxKeys: 4 }) as fc.Arbitrary<Json>,
  event: fc.constant(null),
}

function distinct(items: readonly Json[]): Json {
  const kept: Json[] = []
  for (const item of items) {
    try {
      set.decodeValue([...kept, item])
      kept.push(item)
    } catch {
      // It is there already.
    }
  }
  return kept
}

export function valueOf(type: AnyType): fc.Arbitrary<unknown> {
  return VALUES[type.name]!.map((value) => type.decodeValue(value))
}

/** Changes that fit a value, not all of them exact. */
export function changeOf(type: AnyType, value: unknown): fc.Arbitrary<unknown> {
  return fieldsOf(type, value).map((fields) => type.decodeChange(fields))
}

/** The same as on the wire. */
export function fieldsOf(type: AnyType, value: unknown): fc.Arbitrary<Fields> {
  const whole = VALUES[type.name]!.map((value) => ({ type: "set", value }))
  const rare = { weight: 1, arbitrary: whole as fc.Arbitrary<Fields> }
  const own = OWN[type.name]?.(value as never) ?? []
  if (type.name === "event") return own[0]!
  return own.length === 0 ? whole : fc.oneof(rare, ...own.map((arbitrary) => ({ weight: 4, arbitrary })))
}

const at = (length: number) => fc.integer({ min: 0, max: length })

const OWN: Record<string, (value: never) => fc.Arbitrary<Fields>[]> = {
  int: (value: number) => [
    fc.integer({ min: -5, max: 5 }).map((it) => ({
      type: "add",
      value: Number.isSafeInteger(value + it) ? it : 0,
    })),
  ],
  float: (value: number) => [
    finite.map((it) => ({ type: "add", value: Number.isFinite(value + it) ? it : 0 })),
  ],
  string: (value: Text) => [
    fc.record({ type: fc.constant("insert"), position: at(value.points), insertion: shortText }),
    fc.record({ type: fc.constant("insert"), position: fc.constant(-1), insertion: shortText }),
    fc.tuple(at(value.points), at(value.points)).map(([a, b]) => ({
      type: "delete",
      position: Math.min(a, b),
      length: Math.min(Math.abs(a - b), 300),
    })),
    edits(value),
  ],
  list: (value: readonly Json[]) => [
    fc.record({
      type: fc.constant("insert"),
      position: fc.integer({ min: -1, max: value.length }),
      item: json,
    }),
    ...(value.length === 0 ? [] : itemChanges(value.length)),
  ],
  set: (value: readonly Json[]) => [
    json.map((item) => {
      const there = value.some((it) => set.encodeValue([it]) && JSON.stringify(it) === JSON.stringify(item))
      const added = (distinct([...value, item]) as Json[]).length > value.length
      return { type: added ? "append" : there || !added ? "remove" : "append", item }
    }),
  ],
  dict: (value: Entries) => [
    fc.tuple(key, json, fc.boolean()).map(([key, item, removes]): Fields => {
      if (value.get(key) === undefined) return { type: "add", key, value: item }
      return removes ? { type: "remove", key } : { type: "change_value", key, value: item }
    }),
  ],
  event: () => [
    (fc.dictionary(key, json, { maxKeys: 2 }) as fc.Arbitrary<Json>).map((args) => ({ type: "emit", args })),
  ],
}

function itemChanges(length: number): fc.Arbitrary<Fields>[] {
  const position = fc.integer({ min: -1, max: length - 1 })
  return [
    fc.record({ type: fc.constant("pop"), position }),
    fc.record({ type: fc.constant("replace"), position, item: json }),
    fc.record({ type: fc.constant("move"), from: position, to: position }),
  ]
}

/** Edits of several places. */
function edits(value: Text): fc.Arbitrary<Fields> {
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.oneof(shortText, fc.nat(3))), {
    maxLength: 4,
  })
  return steps.map((steps) => {
    let left = value.points
    const edit: Json[] = []
    for (const [keep, what] of steps) {
      const kept = Math.min(keep, left)
      left -= kept
      edit.push(kept)
      if (typeof what === "string") edit.push(what)
      else {
        const deleted = Math.min(what, left)
        left -= deleted
        edit.push({ d: deleted })
      }
    }
    return { type: "edit", edit }
  })
}
