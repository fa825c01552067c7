/** What a program is told, when, and how its waits end, with a clock and a server of the test's own. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { connect, Invalid, topics } from "../../src/index.js"
import { fakeSockets } from "../support/fake-socket.js"

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(console, "warn").mockReturnValue()
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const turn = () => vi.advanceTimersByTimeAsync(0)

async function open(options = {}) {
  const { sockets, webSocket } = fakeSockets()
  const client = connect("ws://test", { webSocket, ...options })
  await turn()
  const [socket] = sockets as [(typeof sockets)[0]]
  socket.open()
  socket.hello(1, "one")
  await turn()
  return { client, socket }
}

const warned = () => vi.mocked(console.warn).mock.calls.map(([text]) => String(text))

describe("every wait ends", () => {
  test("after the client's own time-out, with what it was about", async () => {
    const { client, socket } = await open({ timeoutMs: 3000 })
    const int = client.int("silent")
    await turn()
    const waits: Record<string, Promise<unknown>> = {
      "TimedOut: the value of silent: no answer within 3 s": int.ready(),
      "TimedOut: silent: no answer within 3 s": int.add(1).then(),
      "TimedOut: what is pending: no answer within 3 s": client.settled(),
      "TimedOut: mine: no answer within 3 s": client.register("mine", () => 1).then(),
      "ServiceError: theirs: timeout: no answer within 3 s": client.request("theirs"),
      "ServiceError: quick: timeout: no answer within 0.5 s": client.request("quick", 1, { timeoutMs: 500 }),
      "ServiceError: undo: timeout: no answer within 3 s": client.undo(),
      "ServiceError: _topicsync/value_at: timeout: no answer within 3 s": client.valueAt("t", { version: 1 }),
      "ServiceError: _topicsync/cut: timeout: no answer within 3 s": client.cut({ commit: 1 }),
      "ServiceError: _topicsync/history: timeout: no answer within 3 s": client.history("t"),
    }
    const ends = Object.values(waits).map((it) => it.then(() => "it came", String))
    await vi.advanceTimersByTimeAsync(2999)
    expect(await Promise.race([...ends.filter((_, at) => at !== 5), "open"])).toBe("open")
    await vi.advanceTimersByTimeAsync(1)
    expect(await Promise.all(ends)).toEqual(Object.keys(waits))
    expect(socket.sent.length).toBeGreaterThan(0)
    expect([client.pending, int.value]).toEqual([1, 1])
  })

  test("of a client that never gets a connection", async () => {
    const { webSocket } = fakeSockets()
    const client = connect("ws://test", { webSocket, timeoutMs: 1000 })
    const waits = [client.online(), client.int("n").ready(), client.undo(), client.int("n").set(1).then()]
    const ends = waits.map((it) =>
      it.then(
        () => "it came",
        (error: Error) => error.name,
      ),
    )
    await vi.advanceTimersByTimeAsync(1000)
    expect(await Promise.all(ends)).toEqual(["TimedOut", "TimedOut", "ServiceError", "TimedOut"])
  })

  test("a request that was given up is not sent later", async () => {
    const { sockets, webSocket } = fakeSockets()
    const client = connect("ws://test", { webSocket, timeoutMs: 100 })
    await expect(Promise.all([client.undo(), vi.advanceTimersByTimeAsync(100)])).rejects.toThrow(
      "undo: timeout",
    )
    sockets[0]!.open()
    sockets[0]!.hello(1, "one")
    await turn()
    expect(sockets[0]!.sent).toEqual([])
  })

  test("at a close, which waits for what is not answered, and says what did not go", async () => {
    const { client, socket } = await open()
    const list = client.list("list")
    await turn()
    socket.give("list", "list", [])
    await turn()
    const made = [list.append("a"), list.append("b")].map((it) => it.then(String, String))
    const asked = client.request("theirs").catch(String)
    const offered = client.register("mine", () => 1).then(String, String)
    const closed = client.close().catch((error) => error as { name: string })
    expect(await list.append("late").catch(String)).toBe(
      "Unsent: list: the client was closed before it was sent",
    )
    await vi.advanceTimersByTimeAsync(4000)
    expect(client.status).toBe("online")
    await vi.advanceTimersByTimeAsync(1000)
    expect(await closed).toMatchObject({
      name: "ClosedUnanswered",
      message: "closed with 0 changes not sent and 2 not answered: list",
      unsent: [],
      unknown: [
        { topicName: "list", change: { type: "insert", item: "a" } },
        { topicName: "list", change: { type: "insert", item: "b" } },
      ],
    })
    for (const end of await Promise.all(made)) expect(end).toMatch(/^OutcomeUnknown: list/)
    expect(await Promise.all([asked, offered])).toEqual([
      "ServiceError: theirs: lost: the connection was lost before the answer: whether it was done is not known",
      "Closed: mine: the client was closed before the answer",
    ])
    expect(vi.getTimerCount()).toBe(0)
  })

  test("of a service that is taken, or taken back", async () => {
    const { client, socket } = await open()
    const [taken, stopped] = [client.register("taken", () => 1), client.register("stopped", () => 1)]
    const given = client.register("given", () => 1)
    const ends = [taken, stopped, given].map((it) => it.then(() => "given", String))
    await turn()
    const refusal = { code: "service_taken", to: "register_service", service_name: "taken", reason: "no" }
    socket.say({ type: "error", content: refusal })
    socket.say({ type: "registered", content: { service_name: "given" } })
    stopped.stop()
    await turn()
    socket.say({ type: "unregistered", content: { service_name: "stopped" } })
    await client.settled()
    expect(await Promise.all(ends)).toEqual([
      "ServiceError: taken: service_taken: no",
      "ServiceError: stopped: failed: the offer was taken back",
      "given",
    ])
    expect(await client.register("given", () => 2)).toBeUndefined()
  })
})

describe("what cannot be is refused at once", () => {
  test.each([undefined, null, "", "localhost:9101", "http://host/", "ws:", "ws://host/#a", 8765])(
    "an address that is none: %s",
    (url) => expect(() => connect(url as string)).toThrow(/is no address of a server: one is ws:/),
  )

  test.each(["", "a\nb", "\u0000", "\u0085", "x".repeat(513), "é".repeat(257), "\ud83d", undefined, 3])(
    "a name that is none: %j",
    async (name) => {
      const { client } = await open()
      const none = name as string
      for (const use of [
        () => client.list(none),
        () => client.open(topics.presence(none)),
        () => client.register(none, () => 1),
        () => void client.request(none),
      ]) {
        expect(use).toThrow(/is no name: one has 1 to 512 bytes, no control characters/)
      }
      client.list("x".repeat(512))
      client.list("é".repeat(256))
    },
  )

  test("options are plain, and may be null", async () => {
    const { client, socket } = await open()
    client.dict("d", null as never)
    expect(() => client.dict("e", { keep: () => 1 } as never)).toThrow(Invalid)
    await turn()
    expect(socket.take()).toEqual([{ type: "subscribe", content: { topic_name: "d", type: "dict" } }])
  })
})

describe("nothing that is thrown ends the program", () => {
  test("a message that cannot be encoded is refused in its place", async () => {
    const { client, socket } = await open()
    const list = client.list("list")
    await turn()
    socket.give("list", "list", [])
    await turn()
    const stringify = vi.spyOn(JSON, "stringify").mockImplementationOnce(() => {
      throw new RangeError("no")
    })
    const refused = list.append("a").catch(String)
    await turn()
    stringify.mockRestore()
    expect(await refused).toBe("Rejected: list: invalid: the message cannot be encoded: RangeError: no")
    expect([list.value, client.status]).toEqual([[], "online"])
  })

  test("an answer that is too large is told to who asked", async () => {
    const { client, socket } = await open()
    socket.say({ type: "hello", content: { id: 1, session: "one", limits: { message_bytes: 200 } } })
    client.register("large", () => "x".repeat(300))
    const content = { service_name: "large", request_id: "s1", client_id: 2 }
    await turn()
    socket.take()
    socket.say({ type: "request", content })
    await turn()
    const reason = expect.stringMatching(/the message has \d+ bytes, at most 200 are allowed/)
    expect(socket.take()).toEqual([
      { type: "response", content: { request_id: "s1", error: { code: "failed", reason } } },
    ])
  })
})

describe("what nobody listens for is said once in the console", () => {
  test("a rejected change, a refused topic, a taken service, an error", async () => {
    const { client, socket } = await open()
    const list = client.list("list")
    client.list("wrong")
    client.register("taken", () => 1)
    await turn()
    socket.give("list", "list", [])
    await turn()
    const refuse = async () => {
      list.append("a")
      await turn()
      const { change } = socket.take().at(-1)!.content as { change: object }
      const content = { topic_name: "list", code: "invalid", reason: "no", change }
      socket.say({ type: "reject_update", content })
      await turn()
    }
    await refuse()
    await refuse()
    const taken = { code: "service_taken", to: "register_service", service_name: "taken", reason: "no" }
    const wrong = { code: "wrong_type", to: "subscribe", topic_name: "wrong", reason: "an int" }
    for (const content of [taken, wrong, { code: "limit", reason: "too many" }]) {
      socket.say({ type: "error", content })
      socket.say({ type: "error", content })
    }
    await turn()
    expect(warned()).toEqual([
      "topicsync: Rejected: list: invalid: no",
      "topicsync: taken: service_taken: no",
      "topicsync: TopicError: wrong: wrong_type: an int",
      "topicsync: limit: too many",
    ])
  })

  test("not if somebody listens or waits", async () => {
    const { client, socket } = await open()
    const told: string[] = []
    client.onRejected((it) => told.push(it.message))
    client.onError((it) => told.push(it.code))
    const wrong = client.list("wrong").ready().catch(String)
    await turn()
    socket.say({ type: "error", content: { code: "wrong_type", to: "subscribe", topic_name: "wrong" } })
    socket.say({ type: "error", content: { code: "limit" } })
    expect(await wrong).toBe("TopicError: wrong: wrong_type: ")
    expect([told, warned()]).toEqual([["limit"], []])
  })

  test("a server that cannot be reached, once until it was", async () => {
    const { sockets, webSocket } = fakeSockets()
    connect("ws://test", { webSocket })
    await turn()
    for (let attempt = 0; attempt < 5; attempt++) {
      sockets.at(-1)!.onerror?.({ message: "connect ECONNREFUSED" } as never)
      sockets.at(-1)!.close(1006)
      await vi.advanceTimersByTimeAsync(10_000)
    }
    expect(warned()).toEqual(["topicsync: no connection to ws://test: connect ECONNREFUSED; trying again"])
  })

  test("a class of sockets that throws, once", async () => {
    const webSocket = class {
      constructor() {
        throw new SyntaxError("no sockets here")
      }
    }
    const client = connect("ws://test", { webSocket: webSocket as never })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(client.status).not.toBe("online")
    expect(warned()).toHaveLength(1)
    expect(warned()[0]).toMatch(/no sockets here/)
  })
})

describe("what is made is told after the call", () => {
  test("of presence, of changes, of actions, of the status", async () => {
    const { client, socket } = await open()
    const [text, cursors] = [client.string("text"), client.presence("cursors")]
    await turn()
    socket.give("text", "string", "")
    socket.give("cursors", "dict", {})
    await turn()
    let within = false
    const told: [string, boolean][] = []
    text.onChange(({ type }) => told.push([type, within]))
    text.subscribe(() => told.push(["text", within]))
    cursors.subscribe(() => told.push(["cursors", within]))
    client.subscribe(() => told.push(["client", within]))
    client.onStatus((status) => told.push([status, within]))
    within = true
    text.insert(0, "a")
    text.edit(["b"])
    cursors.set({ x: 1 })
    client.action(() => text.append("c"))
    void client.close().catch(() => {})
    expect([text.value, cursors.value]).toEqual(["bac", { 1: { x: 1 } }])
    within = false
    await turn()
    expect(told.filter(([, within]) => within)).toEqual([])
    const kinds = told.map(([what]) => what)
    expect(kinds.filter((it) => it === "inserted")).toHaveLength(3)
    expect(kinds).toContain("cursors")
  })

  test("who begins to listen later is not told of what was there already", async () => {
    const { client, socket } = await open()
    const list = client.list<string>("list")
    await turn()
    socket.give("list", "list", [])
    await turn()
    list.append("a")
    const mirror = [...list.value]
    const stop = list.onChange((event) => event.type === "inserted" && mirror.push(event.item))
    list.append("b")
    await turn()
    expect(mirror).toEqual(["a", "b"])
    list.append("c")
    stop()
    await turn()
    expect(mirror).toEqual(["a", "b"])
  })

  test("what a callback makes is told behind, and what it throws disturbs nobody", async () => {
    const error = vi.spyOn(console, "error").mockReturnValue()
    const { client, socket } = await open()
    const int = client.int("int")
    await turn()
    socket.give("int", "int", 0)
    await turn()
    const told: number[] = []
    int.onChange((event) => {
      told.push(event.value)
      if (event.value < 3) int.set(event.value + 1)
      throw new Error("no")
    })
    int.onChange((event) => told.push(event.value * 10))
    int.set(1)
    await turn()
    expect(told).toEqual([1, 10, 2, 20, 3, 30])
    expect(error).toHaveBeenCalledTimes(3)
  })
})

describe("texts", () => {
  async function text(value: string) {
    const { client, socket } = await open()
    const text = client.string("text")
    await turn()
    socket.give("text", "string", value)
    return text
  }

  test("an insertion between the halves of a pair goes behind it, a deletion takes the pair", async () => {
    const it = await text("a😀b")
    it.insert(2, "x")
    expect(it.value).toBe("a😀xb")
    it.delete(2, 0)
    expect(it.value).toBe("a😀xb")
    it.delete(2, 1)
    expect(it.value).toBe("axb")
    expect(() => it.insert(4, "x")).toThrow(/position 4 is out of bounds/)
    expect(() => it.insert(0, "\ud83d")).toThrow(/half of a surrogate pair/)
    expect(it.value).toBe("axb")
  })

  test.each([
    // 😀 is d83d de00, 😁 is d83d de01, 🐀 is d83d dc00, 𐀀 is d800 dc00.
    ["the second half is replaced", "a😀b", [2, { d: 1 }, "\ude01"], "a😁b"],
    ["… with the insertion first", "a😀b", [2, "\ude01", { d: 1 }], "a😁b"],
    ["the first half is replaced", "a🐀b", [1, { d: 1 }, "\ud800"], "a𐀀b"],
    ["half is deleted", "a😀b", [2, { d: 1 }], "ab"],
    ["half and more is deleted", "a😀bc", [2, { d: 2 }], "ac"],
    ["what is left of two is a third", "a😀b😁c", [2, { d: 3 }], "a😁c"],
    ["half is replaced by something whole", "a😀b", [2, { d: 1 }, "x"], "axb"],
    ["something is inserted within", "a😀b", [2, "x"], "a😀xb"],
    [
      "halves of two pairs are replaced at once",
      "😀😀",
      [1, { d: 1 }, "\ude01", 1, { d: 1 }, "\ude01"],
      "😁😁",
    ],
    ["what lies between two halves goes", "😀xyz😁", [1, { d: 5 }], "😁"],
    ["whole characters stay as they are", "a😀b", [1, { d: "😀" }, "y", 1, "z"], "aybz"],
  ] as const)("an edit that splits a pair: %s", async (_what, before, steps, after) => {
    const it = await text(before)
    it.edit(steps)
    expect(it.value).toBe(after)
  })

  test("an edit that would leave half of a pair is refused before anything happened", async () => {
    const it = await text("a😀b")
    expect(() => it.edit([2, "\ude01", 1])).toThrow(Invalid)
    expect(() => it.edit([9, "x"])).toThrow(/position 9 is out of bounds/)
    expect([it.value, it.pending]).toEqual(["a😀b", 0])
  })
})

test("values cannot be changed in place", async () => {
  const { client, socket } = await open()
  const dict = client.dict<{ x: number; tags: string[] }>("d")
  await turn()
  socket.give("d", "dict", { n1: { x: 1, tags: [] } })
  const given = { x: 2, tags: ["a"] }
  dict.add("n2", given)
  const events: object[] = []
  dict.onChange((event) => events.push(event))
  dict.put("n1", { x: 3, tags: [] })
  await turn()
  const [event] = events as [{ previous: { x: number } }]
  for (const node of [dict.value["n2"], dict.get("n2"), dict.confirmed["n1"], event.previous]) {
    expect(() => ((node as { x: number }).x = 99)).toThrow(TypeError)
  }
  expect(() => (dict.get("n2")!.tags as string[]).push("b")).toThrow(TypeError)
  given.x = 5
  given.tags.push("b")
  expect(dict.get("n2")).toEqual({ x: 2, tags: ["a"] })
})

test("put adds a key, or changes its value", async () => {
  const { client, socket } = await open()
  const dict = client.dict<number>("d")
  await turn()
  socket.give("d", "dict", { a: 1 })
  await turn()
  const events: unknown[] = []
  dict.onChange(({ type }) => events.push(type))
  dict.put("a", 2)
  dict.put("b", 3)
  client.action(() => {
    dict.put("c", 4)
    dict.put("c", 5)
  })
  await turn()
  expect(dict.value).toEqual({ a: 2, b: 3, c: 5 })
  expect(events).toEqual(["changed", "added", "added", "changed"])
})
