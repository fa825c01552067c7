/** Odd values: each is one that a topic can hold, and that some encoding or language stumbles over. */

import type { Json } from "../../src/value/json.js"

/** A value of so many containers around a number. */
export function nested(depth: number, kind: "list" | "dict"): Json {
  let value: Json = 1
  for (let at = 0; at < depth; at++) value = kind === "list" ? [value] : { k: value }
  return value
}

const EDGES = [
  0,
  1,
  23,
  24,
  31,
  32,
  127,
  128,
  255,
  256,
  32_767,
  32_768,
  65_535,
  65_536,
  2 ** 31,
  2 ** 32,
  2 ** 53 - 1,
]

/** Keys that name what every object inherits, that look like something else, or that hold odd characters. */
export const ODD_KEYS = [
  ...["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "then", "toJSON"],
  ...["", " ", "0", "-1", "1.5", "1e3", "9007199254740993", "null", "true"],
  ...[
    "\u0000",
    "\u0001",
    "\u001f",
    "\u007f",
    "\u0085",
    "\u2028",
    "\ufeff",
    "a\nb",
    '"',
    "\\",
    "/",
    "😀",
    "é",
    "e\u0301",
  ],
]

/** `__proto__` as a key of its own, which only a computed name makes it. */
const proto = (value: Json): Json => ({ ["__proto__"]: value })

/** By what each is. */
export const ODD_VALUES: Readonly<Record<string, Json>> = {
  "whole numbers at every edge": EDGES.flatMap((edge) => [edge, -edge]),
  "floats that are whole": [
    2 ** 53,
    2 ** 53 + 2,
    -(2 ** 53),
    2 ** 63,
    2 ** 64,
    1e16,
    1e20,
    1e21,
    1e22,
    -1e300,
  ],
  "floats at every edge": [
    0.1,
    -0.5,
    5e-324,
    Number.MIN_VALUE,
    Number.EPSILON,
    Number.MAX_VALUE,
    1e-7,
    2 / 3,
  ],
  "a whole number beside texts of digits": [
    2 ** 60,
    "1234567890123456",
    "\u0001null",
    "\u00011e5",
    '"\u00011"',
  ],
  "texts that look like marks": { id: "1234567890123456", t: "\u0001null", u: "\u00011234567890123456" },
  "zero below zero": -0,
  "odd keys": Object.fromEntries(ODD_KEYS.map((key, at) => [key, at])),
  "a prototype within a prototype": proto(proto({ constructor: { prototype: proto([]) } })),
  "odd texts": ODD_KEYS,
  "empty containers": [[], {}, "", null, [[]], [{}], { a: [] }],
  "lists 99 deep": nested(99, "list"),
  "dicts 99 deep": nested(99, "dict"),
  "a text of a mebibyte": "äx😀".repeat(150_000),
  "many small texts": Array.from({ length: 300 }, (_, at) => "x".repeat(at)),
}
