/** Differences of two values (R30), and what they are for: work made offline stands where it was put. */

import fc from "fast-check"
import { expect, test } from "vitest"
import { Replica } from "../../src/replica/replica.js"
import { inCommon } from "../../src/types/alike.js"
import { dict } from "../../src/types/dict.js"
import { list } from "../../src/types/list.js"
import { set } from "../../src/types/set.js"
import { string } from "../../src/types/string.js"
import type { AnyType } from "../../src/types/type.js"
import { Random } from "../support/random.js"
import { expectSame } from "../support/same.js"
import { valueOf } from "../support/types.js"

test.each([
  ["abcdef", "abXef", 3, ["ab", "ef"]],
  ["a1234z", "a-1234-z", 3, ["a", "1234", "z"]],
  ["one two three", "ONE two THREE", 3, [" two "]],
  ["aaaa", "aa", 2, ["aa"]],
  ["", "abc", 2, []],
  // Of what changed places the longer row is kept.
  ["-11111.22222.33333-", "-22222.33333.11111-", 3, ["-", "22222.33333", "-"]],
] as const)("%j and %j have in common, by runs of %i: %j", (old, now, run, expected) => {
  const found = inCommon([...old], [...now], run).map(([from, to, length]) => {
    expect(old.slice(from, from + length)).toBe(now.slice(to, to + length))
    return now.slice(to, to + length)
  })
  expect(found.filter((it) => it !== "")).toEqual(expected)
})

test.each([string, list, set, dict].map((type) => [type.name, type as AnyType] as const))(
  "the difference of two %ss leads from the one to the other",
  (_name, type) => {
    fc.assert(
      fc.property(valueOf(type), valueOf(type), valueOf(type), (a, b, c) => {
        // Texts that share parts, in another order.
        const [from, to] = type === string ? [`${a}${b}${c}`, `${c}${a}x${b}`].map(type.decodeValue) : [a, b]
        const end = type.diff!(from, to).reduce((value, change) => type.apply(value, change), from)
        expectSame(type.encodeValue(end), type.encodeValue(to))
      }),
    )
  },
)

test("words typed offline stand where they were put, however much was missed (B21)", () => {
  const random = new Random(1)
  const lines = Array.from({ length: 400 }, (_, at) => `line ${at}: ${random.next().toString(36)}\n`)
  const replica = new Replica()
  replica.subscribe("text", string)
  replica.receive({ type: "hello", content: { id: 1, session: "s" } })
  const snapshot = (value: string, version: number) => {
    replica.outbox()
    const first = { topic_name: "text", version }
    replica.receive({ type: "subscribed", content: { ...first, type: "string", epoch: "e" } })
    replica.receive({ type: "update", content: { ...first, snapshot: true, change: { type: "set", value } } })
  }
  snapshot(lines.join(""), 0)
  replica.disconnected()
  for (let word = 0; word < 40; word++) {
    const position = String(replica.topic("text")!.view).indexOf(`line ${word * 10}:`)
    replica.local([{ topicName: "text", change: { type: "insert", position, insertion: `<word ${word}>` } }])
  }
  // Others typed in every other line meanwhile, and the log is not kept so far back.
  const theirs = lines.map((line, at) => (at % 10 === 5 ? `${line}${"typed ".repeat(300)}\n` : line))
  replica.receive({ type: "hello", content: { id: 2, session: "t" } })
  replica.receive({ type: "hello", content: { id: 1, session: "s", resumed: true } })
  snapshot(theirs.join(""), 10_100)
  const expected = theirs.map((line, at) => (at % 10 === 0 ? `<word ${at / 10}>${line}` : line))
  expect(String(replica.topic("text")!.view)).toBe(expected.join(""))
})
