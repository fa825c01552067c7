/**
 * How fast text is: the 259,778 keystrokes of the automerge-paper trace, typed here and received from
 * others, and the memory that is in use afterwards.
 *
 * Run it with `npm run bench`; the trace is looked for in the folder that the environment variable
 * TRACES names, or beside the repository.
 */

import { existsSync, readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { connect } from "../dist/index.js"

const folder = process.env.TRACES ?? new URL("../../../../shared/traces/", import.meta.url).pathname
const file = `${folder}/automerge-paper.json.gz`
if (!existsSync(file)) {
  console.log(`skipped: the trace is not there (${file})`)
  process.exit(0)
}
const { endContent, txns } = JSON.parse(gunzipSync(readFileSync(file)))
const keystrokes = txns.flatMap((txn) => txn.patches)
txns.length = 0

/** A socket to a server that is a few lines of this file. */
class LoopSocket {
  static open
  protocol = "topicsync.v1.json"
  readyState = 1
  sent = []
  constructor() {
    LoopSocket.open = this
    queueMicrotask(() => {
      this.onopen({})
      this.say("hello", { id: 1, session: "s", protocol: 1, server: "bench" })
    })
  }
  say(type, content) {
    this.onmessage({ data: JSON.stringify({ type, content }) })
  }
  send(data) {
    const messages = JSON.parse(data)
    for (const { type, content } of [messages].flat()) {
      if (type === "subscribe") {
        const { topic_name } = content
        this.say("subscribed", { topic_name, type: content.type, options: {}, epoch: "e", version: 0 })
        const change = { type: "set", value: "" }
        this.say("update", { topic_name, version: 0, commit: 0, snapshot: true, change })
      } else if (type === "update") this.sent.push(content)
    }
  }
  close() {
    LoopSocket.open = undefined
    this.onclose?.({ code: 1000 })
  }
}

async function open() {
  const client = connect("ws://bench", { webSocket: LoopSocket })
  const text = client.string("text")
  await text.ready()
  return { client, text, socket: LoopSocket.open }
}

/** The heap in use, once everything is gone that can go. */
async function heapMiB() {
  for (let round = 0; round < 3; round++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    globalThis.gc()
  }
  return process.memoryUsage().heapUsed / 2 ** 20
}

/** Runs pieces of work one after the other, and says how long they took together. */
async function measure(name, work) {
  const { client, text, socket } = await open()
  let [seconds, processor] = [0, 0]
  for await (const piece of work(text, socket)) {
    const [start, cpu] = [performance.now(), process.cpuUsage()]
    await piece()
    seconds += (performance.now() - start) / 1000
    const { user, system } = process.cpuUsage(cpu)
    processor += (user + system) / 1e6
  }
  if (text.value !== endContent) throw new Error(`${name}: the text is not that of the trace`)
  const used = (await heapMiB()) - prepared
  console.log(
    `${name}: ${seconds.toFixed(2)} s for ${keystrokes.length.toLocaleString("en")} keystrokes ` +
      `(${processor.toFixed(2)} s of processor time), ${used.toFixed(1)} MiB more in use afterwards`,
  )
  await client.close()
}

/** Keystrokes in portions: what is only of this program is done between them. */
function* portions(size) {
  for (let at = 0; at < keystrokes.length; at += size) yield keystrokes.slice(at, at + size)
}

function type(text, [position, deleted, inserted]) {
  if (deleted > 0) text.delete(position, deleted)
  if (inserted !== "") text.insert(position, inserted)
}

const prepared = await heapMiB()

await measure("typed here, offline", function* (text) {
  for (const some of portions(10_000)) yield () => some.forEach((it) => type(text, it))
  yield () => text.value
})

await measure("typed here, answered after every 100", function* (text, socket) {
  let version = 0
  const answer = async () => {
    // What is in flight is answered, and what waited goes out.
    for (await null; socket.sent.length > 0; await null) {
      const { topic_name, change } = socket.sent.shift()
      const { base, ...published } = change
      version++
      socket.say("update", { topic_name, version, commit: version, author: 1, change: published })
    }
  }
  for (const some of portions(100)) {
    yield () => {
      some.forEach((it) => type(text, it))
      return answer()
    }
  }
  yield () => text.value
})

/** The frames of what another client typed. */
function* received(socket) {
  let version = 0
  for (const some of portions(10_000)) {
    const changes = some.flatMap(([position, deleted, inserted]) => [
      ...(deleted > 0 ? [{ type: "delete", position, length: deleted }] : []),
      ...(inserted !== "" ? [{ type: "insert", position, insertion: inserted }] : []),
    ])
    const frames = changes.map((change) => {
      version++
      const content = {
        topic_name: "text",
        version,
        commit: version,
        author: 2,
        change: { ...change, id: `2_${version}` },
      }
      return JSON.stringify({ type: "update", content })
    })
    yield () => frames.forEach((data) => socket.onmessage({ data }))
  }
}

await measure("received, a frame each", function* (text, socket) {
  yield* received(socket)
  yield () => text.value
})

await measure("received, a frame each, with a listener", function* (text, socket) {
  let events = 0
  text.onChange(() => events++)
  yield* received(socket)
  if (events < keystrokes.length) throw new Error("events are missing")
})
