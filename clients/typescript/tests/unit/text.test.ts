/** Text, beside a plain array of its characters. */

import { existsSync, readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Replica } from "../../src/replica/replica.js"
import { string } from "../../src/types/string.js"
import { Text } from "../../src/value/text.js"
import { Random } from "../support/random.js"

const character = fc.constantFrom("a", "b", "é", "世", "😀", "𝄞")
const piece = fc
  .tuple(fc.array(character, { minLength: 1, maxLength: 5 }), fc.nat(600))
  .map(([some, times]) => some.join("").repeat(times % 7 === 0 ? times : 1))

test("a text is what its edits made of it, wherever they are", () => {
  const edit = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(2000), piece)
  fc.assert(
    fc.property(piece, fc.array(edit, { maxLength: 60, size: "max" }), (start, edits) => {
      let text = Text.of(start)
      let model = [...start]
      for (const [share, length, insertion] of edits) {
        const from = Math.round(share * model.length)
        const to = Math.min(model.length, from + (length % 3 === 0 ? length : 0))
        const before = text
        text = text.splice(from, to, insertion)
        expect(before.points).toBe(model.length)
        model = model.toSpliced(from, to - from, ...insertion)
        const plain = model.join("")
        expect([text.points, text.units]).toEqual([model.length, plain.length])
        expect(text.slice(0, text.points)).toBe(plain)
        const unit = model.slice(0, from).join("").length
        expect([text.unitAt(from), text.pointAt(unit)]).toEqual([unit, from])
        expect(text.slice(from, to)).toBe(model.slice(from, to).join(""))
      }
      expect(text.toString()).toBe(model.join(""))
    }),
    { numRuns: 100 },
  )
})

test("no position is between the halves of a surrogate pair", () => {
  for (const start of ["", "x".repeat(511), "x".repeat(5000)]) {
    const text = Text.of(`${start}😀y`)
    expect(() => text.pointAt(start.length + 1)).toThrow(/halves/)
    expect(text.pointAt(start.length + 2)).toBe(start.length + 1)
    expect(() => text.pointAt(start.length + 4)).toThrow(/out of bounds/)
    expect(() => text.pointAt(0.5)).toThrow(/out of bounds/)
  }
})

test("what is typed here and there costs no more the more there is, nor does hearing of others' (R46, R47)", () => {
  const COUNT = 5000
  const [replica, other] = [new Replica(), new Replica()]
  const start = "x".repeat(10_000)
  const random = new Random(1)
  for (const it of [replica, other]) {
    it.subscribe("text", string)
    it.receive({ type: "hello", content: { id: 1, session: "s" } })
    it.outbox()
    const first = { topic_name: "text", version: 0 }
    it.receive({ type: "subscribed", content: { ...first, type: "string", epoch: "e" } })
    it.receive({
      type: "update",
      content: { ...first, snapshot: true, change: { type: "set", value: start } },
    })
  }
  const insert = (insertion: string) => ({ type: "insert", position: random.below(10_000), insertion })
  for (let at = 0; at < COUNT; at++) replica.local([{ topicName: "text", change: insert("mine") }])
  const messages = Array.from({ length: COUNT }, (_, at) => {
    const content = { topic_name: "text", version: at + 1, author: 2, change: insert("theirs") }
    return { type: "update", content } as const
  })
  for (let at = 0; at < COUNT; at += 250) {
    replica.receiveFrame(messages.slice(at, at + 250))
    for (const message of messages.slice(at, at + 250)) other.receive(message)
  }
  const topic = replica.topic("text")!
  expect(String(topic.confirmed)).toBe(String(other.topic("text")!.confirmed))
  // The view is what comes of applying what is pending (R1).
  const pending = topic.pending[0]!
  expect(String(string.apply(topic.confirmed as Text, pending.form as never))).toBe(String(topic.view))
  // What follows the program's events has the view (R42).
  let told = Text.of("")
  for (const event of replica.takeEvents()) {
    if (event.type !== "changed") continue
    if (event.changes.length === 0) told = event.value as Text
    for (const change of event.changes) told = string.apply(told, change as never)
  }
  expect(String(told)).toBe(String(topic.view))
})

const TRACE = new URL("../../../../../shared/traces/automerge-paper.json.gz", import.meta.url)
const found = existsSync(TRACE)
if (!found) console.log(`skipped: the editing trace is not there (${TRACE.pathname})`)

describe.skipIf(!found)("the automerge-paper trace", () => {
  interface Trace {
    readonly endContent: string
    readonly txns: readonly { readonly patches: readonly [number, number, string][] }[]
  }
  const read = () => JSON.parse(gunzipSync(readFileSync(TRACE)).toString()) as Trace
  const fields = ([position, deleted, inserted]: [number, number, string]) => [
    ...(deleted > 0 ? [{ type: "delete", position, length: deleted }] : []),
    ...(inserted === "" ? [] : [{ type: "insert", position, insertion: inserted }]),
  ]

  test("typed here while offline, it is one change that waits, and the text of the trace", () => {
    const { endContent, txns } = read()
    const replica = new Replica()
    replica.subscribe("text", string)
    for (const change of txns.flatMap((txn) => txn.patches).flatMap(fields)) {
      replica.local([{ topicName: "text", change }])
      replica.takeEvents()
    }
    const topic = replica.topic("text")!
    topic.composeTails()
    const { view, pending } = topic
    expect(String(view)).toBe(endContent)
    expect(pending).toHaveLength(1)
    expect(string.encodeChange(pending[0]!.form as never)["insertion"]).toBe(endContent)
  })

  test("received, it is the text of the trace", () => {
    const { endContent, txns } = read()
    const replica = new Replica()
    replica.subscribe("text", string)
    replica.receive({ type: "hello", content: { id: 1, session: "s" } })
    replica.outbox()
    const first = { topic_name: "text", version: 0 }
    replica.receive({ type: "subscribed", content: { ...first, type: "string", epoch: "e" } })
    replica.receive({
      type: "update",
      content: { ...first, snapshot: true, change: { type: "set", value: "" } },
    })
    txns
      .flatMap((txn) => txn.patches)
      .flatMap(fields)
      .forEach((change, at) => {
        replica.receive({
          type: "update",
          content: { topic_name: "text", version: at + 1, author: 2, change },
        })
        replica.takeEvents()
      })
    expect(String(replica.topic("text")!.view)).toBe(endContent)
  })
})
