/** Both encodings: whatever a topic can hold goes through, and comes out as it was. */

import { decode, encode } from "@msgpack/msgpack"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { Codec, Frame } from "../../src/connection/codec.js"
import { json } from "../../src/connection/codec.js"
import { msgpack } from "../../src/msgpack.js"
import type { Json } from "../../src/value/json.js"
import { checked, equal } from "../../src/value/json.js"
import { nested, ODD_VALUES } from "../support/values.js"

/** What a socket gives of a frame that was sent. */
function received(frame: Frame): string | ArrayBuffer {
  return typeof frame === "string" ? frame : (frame.slice().buffer as ArrayBuffer)
}

function through(codec: Codec, message: object): Json {
  return codec.decode(received(codec.encode(message)))
}

describe.each([
  ["json", json],
  ["msgpack", msgpack],
] as const)("%s", (_name, codec) => {
  test.each(Object.entries(ODD_VALUES))("passes %s", (_what, value) => {
    const message = { type: "update", content: { value: checked(value) } }
    expect(equal(through(codec, message), message)).toBe(true)
  })

  test("passes a value of 100 containers, in a message and in an array of messages", () => {
    const message = { type: "action", content: { changes: [{ change: { value: nested(100, "dict") } }] } }
    expect(through(codec, message)).toEqual(message)
    const joined = codec.join([codec.encode(message), codec.encode(message)])
    expect(codec.decode(received(joined))).toEqual([message, message])
  })

  test("passes any value", () => {
    const value = fc.jsonValue({ maxDepth: 4 })
    fc.assert(
      fc.property(fc.oneof(value, fc.object({ key: fc.constantFrom("__proto__", "a", "") })), (value) => {
        const message = { value: JSON.parse(JSON.stringify(value ?? null)) as Json }
        expect(equal(through(codec, message), message)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test("leaves out what is undefined", () => {
    expect(through(codec, { a: undefined, b: [1], c: { d: undefined } })).toEqual({ b: [1], c: {} })
    expect(through(codec, { a: undefined, b: 2 ** 60 })).toEqual({ b: 2 ** 60 })
  })
})

test("a whole number that only a float can hold is written as a float, texts of digits as they are", () => {
  const message = { n: 2 ** 53, m: [-(2 ** 64)], safe: 2 ** 53 - 1, id: "1234567890123456", t: "\u0001null" }
  expect(json.encode(message)).toBe(
    '{"n":9.007199254740992e+15,"m":[-1.8446744073709552e+19],"safe":9007199254740991,' +
      '"id":"1234567890123456","t":"\\u0001null"}',
  )
})

test("MessagePack is read and written as others do", () => {
  const number = fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.double({ noNaN: true }))
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      number,
      fc.string({ unit: "binary", maxLength: 40 }),
      fc.constantFrom(null, true, false),
      fc.array(tie("any"), { maxLength: 20 }),
      fc.dictionary(fc.string(), tie("any"), { maxKeys: 20, noNullPrototype: true }),
    ),
  })).any
  fc.assert(
    fc.property(value, (value) => {
      fc.pre(!JSON.stringify(value).includes("__proto__"))
      const message = { value }
      expect(msgpack.encode(message)).toEqual(encode(message))
      expect(msgpack.decode(received(encode(message)))).toEqual(decode(encode(message)))
    }),
    { numRuns: 1000 },
  )
  const float32 = encode({ value: [0.5, 1e20] }, { forceFloat32: true })
  expect(msgpack.decode(received(float32))).toEqual(decode(float32))
})

test("bytes that are no MessagePack are refused, and nothing is made of lengths that are not there", () => {
  const bytes = (...bytes: number[]) => Uint8Array.from(bytes).buffer
  for (const cut of [
    [],
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xdb, 0xff, 0xff, 0xff, 0xff, 0x61],
    [0x81, 0xa1],
  ]) {
    expect(() => msgpack.decode(bytes(...cut))).toThrow(RangeError)
  }
  for (const wrong of [[0xc1], [0xc4, 0], [0xd4, 0, 0], [0x81, 1, 1], [0xa1, 0xff]]) {
    expect(() => msgpack.decode(bytes(...wrong))).toThrow(TypeError)
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), (some) => {
      try {
        msgpack.decode(bytes(...some))
      } catch (error) {
        expect(error instanceof RangeError || error instanceof TypeError).toBe(true)
      }
    }),
    { numRuns: 2000 },
  )
})
