/** The client and the real server. */

import type { AddressInfo } from "node:net"
import { WebSocketServer } from "ws"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import type { Client, ConnectionOptions } from "../../src/index.js"
import { Closed, connect, Invalid, Rejected, ServiceError, TopicError, topics } from "../../src/index.js"
import { msgpack } from "../../src/msgpack.js"
import { Proxy, Server, until } from "../support/server.js"

let server: Server
let proxy: Proxy
const clients: Client[] = []
let count = 0

beforeAll(async () => {
  server = await Server.start()
  proxy = await Proxy.start(server.url)
})
afterEach(async () => {
  proxy.open = true
  await Promise.all(clients.splice(0).map((client) => client.close().catch(() => {})))
})
afterAll(async () => {
  proxy.close()
  await server.end()
})

function open(url = server.url, options?: ConnectionOptions): Client {
  const client = connect(url, { retryMaxMs: 200, ...options })
  clients.push(client)
  return client
}

/** A name that no other test has. */
function name(of: string): string {
  return `test/${of}/${++count}`
}

describe("topics", () => {
  test("what one client does shows in the other", async () => {
    const [a, b] = [open(), open(server.url, { codec: msgpack })]
    const of = {
      list: name("list"),
      text: name("text"),
      dict: name("dict"),
      set: name("set"),
      int: name("int"),
    }
    const [list, text, dict] = [a.list<string>(of.list), a.string(of.text), a.dict<number>(of.dict)]
    const [set, int] = [a.set<number>(of.set), a.int(of.int)]
    await Promise.all([list.append("b"), list.insert(0, "a"), text.insert(0, "h😀llo"), text.delete(1, 2)])
    await Promise.all([dict.add("k", 1), set.append(2), set.append(1), int.add(5)])
    dict.changeValue("k", 1e20)
    await a.settled()
    const there = [b.list(of.list), b.string(of.text), b.dict(of.dict), b.set(of.set), b.int(of.int)]
    await Promise.all(there.map((topic) => topic.ready()))
    expect(there.map((topic) => topic.value)).toEqual([["a", "b"], "hllo", { k: 1e20 }, [1, 2], 5])
    expect(list.version).toBe(2)
    expect(list.pending).toBe(0)
  })

  test("two that type at once converge", async () => {
    const [a, b] = [open(), open(server.url, { codec: msgpack })]
    const topic = name("text")
    const texts = [a.string(topic), b.string(topic)] as const
    await Promise.all(texts.map((text) => text.ready()))
    for (let at = 0; at < 200; at++) {
      for (const [text, letter] of [
        [texts[0], "ä"],
        [texts[1], "😀"],
      ] as const) {
        text.insert(at % 3 === 0 ? 0 : text.length, letter)
      }
      if (at % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await Promise.all([a.settled(), b.settled()])
    await until(() => texts[0].version === texts[1].version)
    expect(texts[0].value).toBe(texts[1].value)
    expect([...texts[0].value]).toHaveLength(400)
  })

  test("a value is the same object until it changes", async () => {
    const client = open()
    const list = await client.list<number>(name("list")).ready()
    const before = list.value
    expect(list.value).toBe(before)
    const added = list.append(1)
    const after = list.value
    expect(after).not.toBe(before)
    await added
    expect(list.value).toBe(after)
    expect(list.confirmed).toEqual([1])
  })

  test("events tell what changed, who did it, and whether it was here", async () => {
    const [a, b] = [open(), open()]
    const topic = name("text")
    const [mine, theirs] = [a.string(topic), b.string(topic)]
    await Promise.all([mine.ready(), theirs.ready()])
    const events: unknown[] = []
    mine.onChange((event) => events.push(event))
    await mine.insert(0, "a😀b")
    await until(() => theirs.value === "a😀b")
    await theirs.insert(3, "x")
    await theirs.delete(0, 3)
    await until(() => mine.value === "xb")
    const remote = { origin: "remote", local: false, author: b.id }
    expect(events).toEqual([
      { type: "inserted", position: 0, text: "a😀b", origin: "local", local: true, author: undefined },
      { type: "inserted", position: 3, text: "x", ...remote },
      { type: "deleted", position: 0, text: "a😀", ...remote },
    ])
  })

  test("a surrogate pair is never split, and half a pair is refused", async () => {
    const text = await open().string(name("text")).ready()
    text.insert(0, "a😀b😁")
    await text.delete(4, 1)
    expect(text.value).toBe("a😀b")
    expect(() => text.insert(0, "😀"[0]!)).toThrow(/half of a surrogate pair/)
    expect(() => text.insert(5, "x")).toThrow(Invalid)
    await text.edit([1, "é", { d: 2 }, 1, "!"])
    expect(text.value).toBe("aéb!")
  })

  test("an event topic passes on what is emitted", async () => {
    const [a, b] = [open(), open()]
    const topic = name("event")
    const [bell, other] = [a.event<{ n: number }>(topic), b.event<{ n: number }>(topic)]
    await Promise.all([bell.ready(), other.ready()])
    const heard: number[] = []
    other.onChange(({ args }) => heard.push(args.n))
    await bell.emit({ n: 1 })
    await bell.emit({ n: 2 })
    await until(() => heard.length === 2)
    expect(heard).toEqual([1, 2])
  })

  test("a topic of another type is told of", async () => {
    const [a, b] = [open(), open()]
    const topic = name("int")
    await a.int(topic).ready()
    const wrong = b.list(topic)
    await expect(wrong.ready()).rejects.toThrow(TopicError)
    expect((wrong.error as TopicError).code).toBe("wrong_type")
    expect(() => a.list(topic)).toThrow(TypeError)
    expect(() => a.open(topics.presence("p")) && a.dict("p")).toThrow(TypeError)
  })

  test("a topic that was removed can be taken up again", async () => {
    const client = open()
    const int = await client.int(name("int")).ready()
    await int.add(3)
    await client.request("_topicsync/remove_topic", { topic_name: int.name })
    await until(() => int.error !== undefined)
    expect(int.error).toMatchObject({ code: "topic_removed" })
    expect(() => int.add(1)).toThrow(/not subscribed/)
    await client.int(int.name).ready()
    await int.add(1)
    expect([int.value, int.error]).toEqual([1, undefined])
  })

  test("a topic that is left is no longer subscribed, and can be taken up again", async () => {
    const [a, b] = [open(), open()]
    const topic = name("int")
    const int = await a.int(topic).ready()
    int.leave()
    const stop = int.hold()
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect(int.isReady).toBe(true)
    stop()
    await until(() => !int.isReady)
    await b.int(topic).add(7)
    await a.int(topic).ready()
    expect(int.value).toBe(7)
  })
})

describe("rejections", () => {
  test("of two that add a key, one is rejected, with the reason", async () => {
    const [a, b] = [open(), open()]
    const topic = name("dict")
    const [mine, theirs] = [a.dict<number>(topic), b.dict<number>(topic)]
    await Promise.all([mine.ready(), theirs.ready()])
    const told: Rejected[] = []
    for (const client of [a, b]) client.onRejected((rejected) => told.push(rejected))
    const outcomes = await Promise.allSettled([mine.add("k", 1), theirs.add("k", 2)])
    const rejected = outcomes.filter((it) => it.status === "rejected").map((it) => it.reason as Rejected)
    expect(rejected).toEqual(told)
    expect(rejected[0]).toBeInstanceOf(Rejected)
    expect(rejected[0]).toMatchObject({ code: "stale", topicName: topic })
    expect(rejected[0]!.reason).toMatch(/key "k" was added/)
    await until(() => mine.get("k") === theirs.get("k"))
  })

  test("a rejection that nobody awaits is told, and disturbs nobody", async () => {
    const [a, b] = [open(proxy.url), open()]
    const int = await a.int(name("int")).ready()
    proxy.open = false
    proxy.cut()
    await until(() => a.status === "offline")
    const told: Rejected[] = []
    a.onRejected((rejected) => told.push(rejected))
    int.setIfUnchanged(7)
    await b.int(int.name).set(3)
    proxy.open = true
    await until(() => told.length === 1)
    expect(told[0]).toMatchObject({ code: "stale", topicName: int.name })
    expect(int.value).toBe(3)
  })

  test("what does not fit is refused at once", async () => {
    const client = open()
    const list = await client.list<string>(name("list")).ready()
    expect(() => list.pop(3)).toThrow(/position 3 is out of bounds, the length is 0/)
    expect(() => list.insert(-1, "a")).toThrow(Invalid)
    expect(() => list.append(new Date() as never)).toThrow(/Date is not a value/)
    expect(() => list.append(NaN as never)).toThrow(/not finite/)
    expect(() => list.insert(9, "a")).toThrow(/the length is 0, an insert may go from 0 to 0/)
    expect(() => client.int(name("int")).add(2 ** 53)).toThrow(/must be a whole number, not float/)
    expect(client.pending).toBe(0)
  })

  test("what is too large is rejected here, and the connection holds", async () => {
    const client = open()
    const text = await client.string(name("text")).ready()
    await expect(text.insert(0, "x".repeat(5_000_000))).rejects.toMatchObject({ code: "too_large" })
    expect(text.value).toBe("")
    await text.insert(0, "y")
    expect(client.status).toBe("online")
  })
})

describe("actions", () => {
  test("an action takes effect as a whole", async () => {
    const [a, b] = [open(), open()]
    const [dict, list] = [a.dict<number>(name("dict")), a.list<string>(name("list"))]
    const seen = b.dict(dict.name)
    await Promise.all([dict.ready(), list.ready(), seen.ready()])
    const views: unknown[] = []
    seen.subscribe(() => views.push(seen.value))
    await a.action(() => {
      dict.add("n1", 1)
      dict.add("n2", 2)
      list.append("n1")
      expect(dict.value).toEqual({ n1: 1, n2: 2 })
    })
    await until(() => seen.size === 2)
    expect(dict.version).toBe(2)
  })

  test("an action that throws has not happened", async () => {
    const client = open()
    const [dict, list] = [client.dict<number>(name("dict")), client.list<string>(name("list"))]
    await Promise.all([dict.ready(), list.ready()])
    const events: unknown[] = []
    dict.onChange((event) => events.push(event))
    const work = () => {
      dict.add("n1", 1)
      list.append("n1")
      throw new Error("no")
    }
    expect(() => client.action(work)).toThrow("no")
    expect([dict.value, list.value, events]).toEqual([{}, [], []])
    expect(client.pending).toBe(0)
    expect(() => client.action(async () => {})).toThrow(/must not be async/)
    await client.action(() => {})
  })

  test("an action in an action is a part of it, and is rolled back alone", async () => {
    const client = open()
    const list = await client.list<string>(name("list")).ready()
    await client.action(() => {
      list.append("a")
      expect(() =>
        client.action(() => {
          list.append("b")
          throw new Error("no")
        }),
      ).toThrow("no")
      client.action(() => list.append("c"))
    })
    expect(list.value).toEqual(["a", "c"])
  })

  test("an action is rejected as a whole", async () => {
    const [a, b] = [open(proxy.url), open()]
    const [dict, list] = [a.dict<number>(name("dict")), a.list<string>(name("list"))]
    await Promise.all([dict.ready(), list.ready()])
    proxy.open = false
    proxy.cut()
    await until(() => a.status !== "online")
    const action = a.action(() => {
      dict.add("n1", 1)
      list.append("n1")
    })
    await b.dict<number>(dict.name).add("n1", 2)
    proxy.open = true
    await expect(action).rejects.toMatchObject({ code: "stale" })
    expect([dict.value, list.value]).toEqual([{ n1: 2 }, []])
  })
})

describe("connections", () => {
  test("what is made offline is sent later", async () => {
    const [a, b] = [open(proxy.url), open()]
    const topic = name("text")
    const text = await a.string(topic).ready()
    proxy.open = false
    proxy.cut()
    await until(() => a.status === "offline")
    const made = [text.append("off"), text.append("line")]
    await b.string(topic).append("> ")
    expect(a.pending).toBeGreaterThan(0)
    proxy.open = true
    await Promise.all(made)
    expect(text.value).toBe("> offline")
  })

  test("a client that was there before the server finds it", async () => {
    const later = await Server.start()
    await later.stop()
    const client = open(later.url)
    const int = client.int(name("int"))
    const added = int.add(1)
    await until(() => client.status === "offline")
    await later.start()
    await added
    expect(int.value).toBe(1)
    await client.close()
    await later.end()
  })

  test("a session is resumed after its connections are cut, and nothing is done twice", async () => {
    const client = open(proxy.url)
    const int = await client.int(name("int")).ready()
    const id = client.id
    for (let round = 0; round < 10; round++) {
      for (let at = 0; at < 20; at++) int.add(1)
      await new Promise((resolve) => setTimeout(resolve, round))
      proxy.cut()
    }
    await client.settled()
    expect(int.value).toBe(200)
    expect(client.id).toBe(id)
    const other = await open().int(int.name).ready()
    expect(other.value).toBe(200)
  })

  test("a snapshot of more than 100 MiB arrives", async () => {
    const large = new WebSocketServer({ port: 0, host: "127.0.0.1" })
    await new Promise((resolve) => large.on("listening", resolve))
    const value = "x".repeat(101 * 2 ** 20)
    large.on("connection", (socket) => {
      const say = (...messages: object[]) => socket.send(JSON.stringify(messages))
      say({ type: "hello", content: { id: 1, session: "s", limits: {} } })
      socket.on("message", (data) => {
        if (!String(data).includes('"subscribe"')) return
        const change = { type: "set", value }
        say(
          { type: "subscribed", content: { topic_name: "large", type: "string", epoch: "e", version: 1 } },
          { type: "update", content: { topic_name: "large", version: 1, snapshot: true, change } },
        )
      })
    })
    const client = open(`ws://127.0.0.1:${(large.address() as AddressInfo).port}/`)
    expect((await client.string("large").ready()).length).toBe(value.length)
    await client.close()
    large.close()
  })

  test("the server restarts, and nothing is lost", async () => {
    const own = await Server.start()
    const [a, b] = [open(own.url), open(own.url)]
    const [list, other] = [a.list<number>("list"), b.list<number>("list")]
    await Promise.all([list.ready(), other.ready()])
    // A session is kept from its first accepted change on.
    await list.append(-100)
    for (let round = 0; round < 3; round++) {
      for (let at = 0; at < 50; at++) list.append(round * 50 + at)
      await new Promise((resolve) => setTimeout(resolve, 3))
      await own.stop(round === 1 ? "SIGTERM" : "SIGKILL")
      list.append(-round)
      await own.start()
      await a.settled()
    }
    await until(() => other.version === list.version)
    expect(other.value).toEqual(list.value)
    expect(list.value).toHaveLength(154)
    await Promise.all([a.close(), b.close()])
    await own.end()
  })

  test("the status is told, and who waits for a closed client is told so", async () => {
    const client = open(proxy.url)
    const told: string[] = [client.status]
    client.onStatus((status) => told.push(status))
    await client.online()
    const int = await client.int(name("int")).ready()
    proxy.open = false
    proxy.cut()
    await until(() => client.status === "offline")
    const added = int.add(1)
    const asked = client.request("nobody")
    const closed = client.close({ timeoutMs: 50 })
    const late = int.add(1)
    const ends = [added, asked, late, client.settled()].map((it) => expect(it).rejects.toThrow(Closed))
    await expect(closed).rejects.toMatchObject({ unsent: [{ topicName: int.name }], unknown: [] })
    await Promise.all(ends)
    await expect(int.add(1)).rejects.toThrow(Closed)
    await expect(client.list(name("list")).ready()).rejects.toThrow(Closed)
    expect(int.value).toBe(1)
    expect(told.slice(0, 3)).toEqual(["connecting", "online", "offline"])
    expect(told.at(-1)).toBe("closed")
  })
})

describe("services, presence, undo and history", () => {
  test("services, both ways", async () => {
    const [a, b] = [open(), open(server.url, { codec: msgpack })]
    const service = name("double")
    await b.online()
    const offer = a.register(service, (n: number, { clientId }) => {
      if (n < 0) throw new Error("negative")
      return Promise.resolve({ double: n * 2, by: clientId })
    })
    await offer
    expect(await b.request(service, 21)).toEqual({ double: 42, by: b.id })
    await expect(b.request(service, -1)).rejects.toMatchObject({ code: "failed", reason: "negative" })
    offer.stop()
    await expect
      .poll(() => b.request(service, 1).catch((error: ServiceError) => error.code))
      .toBe("no_such_service")
  })

  test("presence comes and goes with its session", async () => {
    const [a, b] = [open(proxy.url), open()]
    const topic = name("cursors")
    const [mine, theirs] = [a.presence<{ x: number }>(topic), b.presence<{ x: number }>(topic)]
    mine.set({ x: 1 })
    theirs.set({ x: 2 })
    await until(() => Object.keys(mine.all).length === 2)
    expect(mine.others).toEqual({ [b.id!]: { x: 2 } })
    expect(mine.others).toBe(mine.others)
    mine.set({ x: 3 })
    await until(() => theirs.others[a.id!]?.x === 3)
    proxy.cut()
    mine.set({ x: 4 })
    await until(() => theirs.others[a.id!]?.x === 4)
    await b.close()
    await until(() => Object.keys(mine.others).length === 0)
    mine.set(undefined)
    await until(() => Object.keys(mine.all).length === 0)
  })

  test("undo undoes one's own work, and redo brings it back", async () => {
    const [a, b] = [open(), open()]
    const topic = name("text")
    const [mine, theirs] = [a.string(topic), b.string(topic)]
    await Promise.all([mine.ready(), theirs.ready()])
    await mine.append("mine")
    await theirs.append(" theirs")
    await until(() => mine.value === "mine theirs")
    const undone = await a.undo()
    expect(undone.undone).toHaveLength(1)
    await until(() => mine.value === " theirs")
    await a.redo()
    await until(() => theirs.value === "mine theirs")
    const nothing = await open().undo()
    expect(nothing.action_id).toBeNull()
  })

  test("every past version can be read, and stepped through", async () => {
    const client = open()
    const declared = topics.dict<number>(name("dict"))
    const [dict, list] = [client.open(declared), client.list<string>(name("list"))]
    await dict.add("a", 1)
    await list.append("x")
    await dict.add("b", 2)
    await list.append("y")
    expect(await client.valueAt(dict.name, { version: 1 })).toMatchObject({ version: 1, value: { a: 1 } })
    const { entries, next } = await client.history(dict.name)
    expect(entries.map(({ change }) => change.type)).toEqual(["add", "add"])
    expect(next).toBeNull()
    const { commit } = entries[1]!
    const cut = await client.cut({ commit }, { topicNames: [dict.name, list.name] })
    expect(cut.topics[dict.name]!.value).toEqual({ a: 1, b: 2 })
    expect(cut.topics[list.name]!.value).toEqual(["x"])
    const past = await client.subscribeAt(declared, { version: 2 })
    let moved = 0
    past.subscribe(() => moved++)
    expect(past.value).toEqual({ a: 1, b: 2 })
    await past.step(-1)
    expect([past.version, past.value["a"], moved]).toEqual([1, 1, 1])
    expect((await past.entry())?.author).toBe(client.id)
    await past.goTo({ commit })
    expect(past.version).toBe(2)
    await expect(past.goTo({ version: 9 })).rejects.toThrow(ServiceError)
  })
})
