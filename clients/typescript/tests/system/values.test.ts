/** Any value that the server takes passes from each client to each, live and in snapshots, and back. */

import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Client, Json, JsonObject } from "../../src/index.js"
import { connect, json } from "../../src/index.js"
import { msgpack } from "../../src/msgpack.js"
import { expectSame } from "../support/same.js"
import { Server, until } from "../support/server.js"
import { nested, ODD_KEYS, ODD_VALUES } from "../support/values.js"

const CODECS = { json, msgpack }

let server: Server
const clients: Client[] = []
let count = 0

beforeAll(async () => void (server = await Server.start()))
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()))
  await server.end()
})

function open(codec: keyof typeof CODECS): Client {
  const client = connect(server.url, { codec: CODECS[codec] })
  client.onError((error) => expect.fail(JSON.stringify(error)))
  clients.push(client)
  return client
}

describe.each([
  ["json", "msgpack"],
  ["msgpack", "json"],
  ["json", "json"],
  ["msgpack", "msgpack"],
] as const)("from %s to %s", (from, to) => {
  let [a, b]: Client[] = []

  beforeAll(() => void ([a, b] = [open(from), open(to)]))

  test.each(Object.entries(ODD_VALUES))("%s", async (_what, value) => {
    const name = `values/${++count}`
    const [mine, theirs] = [a!.list(name), b!.list(name)]
    await Promise.all([mine.ready(), theirs.ready()])
    await mine.append(value)
    await until(() => theirs.version === 1)
    expectSame(theirs.value, [value])
    // What was read is written again as it is.
    await theirs.append(theirs.value[0]!)
    await until(() => mine.version === 2)
    expectSame(mine.value, [value, value])
    const late = open(to)
    expectSame((await late.list(name).ready()).value, [value, value])
    const [all, other] = [a!.generic(`${name}/all`), b!.generic(`${name}/all`)]
    await all.set(value)
    await other.ready()
    await until(() => other.version === 1)
    expectSame(other.value, value)
    await late.close()
  })

  test("odd keys of a dict, each changed and removed", async () => {
    const name = `values/${++count}`
    const [mine, theirs] = [a!.dict<Json>(name), b!.dict<Json>(name)]
    await Promise.all([mine.ready(), theirs.ready()])
    for (const key of ODD_KEYS) mine.add(key, { [key]: key })
    await a!.settled()
    await until(() => theirs.size === ODD_KEYS.length)
    const wanted = Object.fromEntries(ODD_KEYS.map((key) => [key, { [key]: key }])) as JsonObject
    expectSame(theirs.value, wanted)
    for (const key of ODD_KEYS) theirs.put(key, theirs.get(key) ? [key] : "it is not there")
    await b!.settled()
    await until(() => ODD_KEYS.every((key) => Array.isArray(mine.get(key))))
    for (const key of ODD_KEYS) mine.remove(key)
    await a!.settled()
    await until(() => theirs.size === 0)
  })

  test("values of 100 containers, and none of more", async () => {
    const name = `values/${++count}`
    const [mine, theirs] = [a!.generic(name), b!.generic(name)]
    for (const depth of [97, 98, 99, 100]) {
      const value = nested(depth, depth % 2 === 0 ? "list" : "dict")
      await mine.set(value)
      await theirs.ready()
      await until(() => theirs.version === mine.version)
      expectSame(theirs.value, value)
    }
    expect(() => mine.set(nested(101, "list"))).toThrow(/more than 100 containers nest/)
    expect(a!.status).toBe("online")
  })

  test("a text of 4 MB, and a snapshot of several", async () => {
    const name = `values/${++count}`
    const [mine, theirs] = [a!.string(name), b!.string(name)]
    const text = "x😀".repeat(750_000)
    await mine.append(text)
    await theirs.ready()
    await until(() => theirs.length === text.length)
    await theirs.insert(0, "y".repeat(4_000_000))
    const late = await open(from).string(name).ready()
    expect(late.value === theirs.value).toBe(true)
  })
})

test("what cannot be a value is refused at once", async () => {
  const topic = await open("msgpack").generic<unknown>("values/none").ready()
  const cyclic: unknown[] = []
  cyclic.push(cyclic)
  const none = [NaN, Infinity, -Infinity, 5n, Symbol("s"), () => 1, new Map(), new Date(), "\ud83d", cyclic]
  for (const value of none) {
    expect(() => topic.set(value), String(value)).toThrow(/value|finite|surrogate|containers/)
    expect(() => topic.set({ key: [value] })).toThrow(/value|finite|surrogate|containers/)
  }
  expect(() => topic.set({ "\ud83d": 1 })).toThrow(/surrogate/)
})
