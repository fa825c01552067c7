/**
 * One participant of the soak: `node soak/participant.mjs URL SEED`, after `npm run build`.
 *
 * It reads commands from its standard input, a line each, and answers each with a line: `edit N`,
 * `settle`, `values`, `quit`. Whatever goes wrong ends it, with the reason on standard error.
 */

import { createInterface } from "node:readline"
import { connect, Invalid, Rejected } from "../dist/index.js"

const [url, seed] = process.argv.slice(2)
if (!url || !seed) fail("usage: participant.mjs URL SEED")
process.on("unhandledRejection", fail)
process.on("uncaughtException", fail)

function fail(error) {
  console.error(error)
  process.exit(1)
}

/** A generator of Tommy Ettinger's ("Mulberry32", 2017): the same numbers for the same seed. */
let state = Number(seed) >>> 0
function random() {
  state = (state + 0x6d2b79f5) >>> 0
  let mixed = Math.imul(state ^ (state >>> 15), state | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

const below = (limit) => Math.floor(random() * limit)
const pick = (choices) => choices[below(choices.length)]

const client = connect(url, { retryMaxMs: 500 })
const topics = {
  "soak/list": client.list("soak/list"),
  "soak/text": client.string("soak/text"),
  "soak/dict": client.dict("soak/dict"),
  "soak/set": client.set("soak/set"),
  "soak/int": client.int("soak/int"),
  "soak/float": client.float("soak/float"),
}
const [list, text, dict, set, int, float] = Object.values(topics)

/** Each view as its events tell it: they must leave out nothing. */
const told = { list: [...list.value], text: text.value }
list.onChange((event) => {
  const { type, position, item } = event
  if (type === "set") told.list = [...event.value]
  if (type === "inserted") told.list.splice(position, 0, item)
  if (type === "popped") told.list.splice(position, 1)
  if (type === "replaced") told.list[position] = item
  if (type === "moved") told.list.splice(event.to, 0, ...told.list.splice(event.from, 1))
})
text.onChange(({ type, position, text, value }) => {
  if (type === "set") told.text = value
  if (type === "inserted") told.text = told.text.slice(0, position) + text + told.text.slice(position)
  if (type === "deleted") told.text = told.text.slice(0, position) + told.text.slice(position + text.length)
})

const words = ["a", "bc", "é", "世界", "😀", "👩‍👩‍👧", "𝄞x"]
const words1024 = () => (below(4096) - 2048) / 1024

/** A position in the text that is not between the halves of a pair. */
function textPosition() {
  const position = below(text.length + 1)
  const unit = text.value.charCodeAt(position)
  return unit >= 0xdc00 && unit < 0xe000 ? position - 1 : position
}

const edits = {
  list() {
    const position = below(list.length)
    if (list.length > 0 && random() < 0.4) {
      const kinds = ["pop", "replace", "move"]
      const kind = list.length > 60 ? "pop" : pick(kinds)
      if (kind === "pop") list.pop(random() < 0.2 ? undefined : position)
      if (kind === "replace") list.replace(position, pick(words))
      if (kind === "move") list.move(position, below(list.length))
    } else if (random() < 0.3) list.append(below(1000))
    else list.insert(below(list.length + 1), { by: client.id ?? 0, n: below(1000) })
  },
  text() {
    const [a, b] = [textPosition(), textPosition()].sort((a, b) => a - b)
    if (b > a && random() < (text.length > 400 ? 0.8 : 0.3))
      text.delete(a, Math.min(b, a + 40) - a + repair(a, b))
    else if (random() < 0.2) text.append(pick(words))
    else text.insert(a, pick(words))
  },
  dict() {
    const key = `k${below(12)}`
    if (!dict.has(key)) dict.add(key, below(100))
    else if (random() < 0.3) dict.remove(key)
    else if (random() < 0.5) dict.changeValue(key, { v: below(100) })
    else dict.changeValueIfUnchanged(key, pick(words))
  },
  set() {
    const item = below(12)
    if (set.value.includes(item)) set.remove(item)
    else set.append(item)
  },
  int: () => (random() < 0.1 ? int.set(below(100)) : int.add(below(21) - 10)),
  float: () => (random() < 0.1 ? float.set(words1024()) : float.add(words1024())),
}

/** One unit less where a deletion would end within a pair. */
function repair(start, end) {
  const stop = Math.min(end, start + 40)
  const unit = text.value.charCodeAt(stop)
  return unit >= 0xdc00 && unit < 0xe000 ? -1 : 0
}

async function edit(count) {
  for (let made = 0; made < count; made++) {
    const kind = random()
    if (kind < 0.04) void pick([client.undo, client.redo]).call(client).catch(ignoreLost)
    else if (kind < 0.2) {
      client.action(() => {
        for (let part = 0; part < 2 + below(3); part++) pick(Object.values(edits))()
      })
    } else pick(Object.values(edits))()
    await check()
    const wait = below(6)
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
  }
}

/** A request whose connection's session is gone is told so. */
function ignoreLost(error) {
  if (error.name !== "ServiceError") fail(error)
}

client.onRejected((error) => {
  if (!(error instanceof Rejected)) fail(error)
})
client.onError((error) => fail(new Error(JSON.stringify(error))))

/** What is made is told once the call is over that made it. */
async function check() {
  await new Promise((resolve) => queueMicrotask(resolve))
  if (told.text !== text.value) fail("the events of the text tell another one")
  if (JSON.stringify(told.list) !== JSON.stringify(list.value))
    fail("the events of the list tell another one")
}

async function settle() {
  do await Promise.all([client.online(), client.settled()])
  while (client.status !== "online" || client.pending > 0)
  await check()
}

const values = () =>
  JSON.stringify(Object.fromEntries(Object.entries(topics).map(([name, topic]) => [name, topic.value])))

for await (const line of createInterface({ input: process.stdin })) {
  const [command, count] = line.trim().split(" ")
  try {
    if (command === "edit") await edit(Number(count)).then(() => console.log("edited"))
    else if (command === "settle") await settle().then(() => console.log("settled"))
    else if (command === "values") console.log(values())
    else if (command === "quit") break
    else fail(`no such command: ${line}`)
  } catch (error) {
    fail(error instanceof Invalid ? new Error("an edit did not fit", { cause: error }) : error)
  }
}
await client.close()
process.exit(0)
