/** Losing a connection and coming back, with a clock of the test's own. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { connect, OutcomeUnknown } from "../../src/index.js"
import { fakeSockets } from "../support/fake-socket.js"

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** Lets what was promised come about. */
const turn = () => vi.advanceTimersByTimeAsync(0)

async function open(options = {}) {
  const { sockets, webSocket } = fakeSockets()
  const client = connect("ws://test", { webSocket, ...options })
  await turn()
  const at = (index: number) => sockets.at(index)!
  at(0).open()
  at(0).hello(1, "one")
  return { client, sockets, at }
}

describe("a connection", () => {
  test("offers the encodings that it speaks", async () => {
    const { at } = await open()
    expect([at(0).url, at(0).protocols]).toEqual(["ws://test", ["topicsync.v1.json"]])
  })

  test("sends together what is made in one task", async () => {
    const { client, at } = await open()
    const int = client.int("int")
    await turn()
    expect(
      at(0)
        .take()
        .map((it) => it.type),
    ).toEqual(["subscribe"])
    at(0).give("int", "int", 0)
    int.add(1)
    int.add(2)
    expect(at(0).sent).toEqual([])
    await turn()
    expect(at(0).take()).toMatchObject([{ type: "update", content: { change: { type: "add", value: 3 } } }])
  })

  test("comes back at growing intervals, never in step with others", async () => {
    const random = vi.spyOn(Math, "random").mockReturnValue(0)
    const { client, sockets, at } = await open({ retryMinMs: 100, retryMaxMs: 350 })
    for (const wait of [50, 100, 175, 175]) {
      at(-1).close(1006)
      expect(client.status).toBe("offline")
      const before = sockets.length
      await vi.advanceTimersByTimeAsync(wait - 1)
      expect(sockets).toHaveLength(before)
      await vi.advanceTimersByTimeAsync(1)
      expect(sockets).toHaveLength(before + 1)
    }
    expect(random).toHaveBeenCalledTimes(4)
  })

  test("begins again with the shortest wait after it was online", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0)
    const { sockets, at } = await open({ retryMinMs: 100 })
    at(-1).close(1006)
    await vi.advanceTimersByTimeAsync(50)
    at(-1).close(1006)
    await vi.advanceTimersByTimeAsync(100)
    at(-1).open()
    at(-1).hello(2, "two")
    await turn()
    at(-1).say({ type: "hello", content: { id: 1, session: "one", resumed: true } })
    at(-1).close(1006)
    await vi.advanceTimersByTimeAsync(50)
    expect(sockets).toHaveLength(4)
  })

  test("keeps waiting longer while it never gets what it asks for, and says so once", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0)
    const warn = vi.spyOn(console, "warn").mockReturnValue()
    const { client, sockets, at } = await open({ retryMinMs: 100, retryMaxMs: 1000 })
    client.list("small")
    client.list("large")
    await turn()
    for (const wait of [50, 100, 200, 400, 500]) {
      at(-1).give("small", "list", [])
      // The snapshot of the other one is too large to be taken.
      at(-1).onerror?.({ message: "Max payload size exceeded" } as never)
      at(-1).close(1006)
      const before = sockets.length
      await vi.advanceTimersByTimeAsync(wait - 1)
      expect(sockets).toHaveLength(before)
      await vi.advanceTimersByTimeAsync(1)
      expect(sockets).toHaveLength(before + 1)
      at(-1).open()
      at(-1).hello(2, "two")
      await turn()
      at(-1).hello(1, "one", true)
      await turn()
      expect(client.status).toBe("online")
    }
    const said = "topicsync: no connection to ws://test: Max payload size exceeded; trying again"
    expect(warn.mock.calls).toEqual([[said]])
    at(-1).give("small", "list", [])
    at(-1).give("large", "list", [])
    at(-1).close(1006)
    const before = sockets.length
    await vi.advanceTimersByTimeAsync(50)
    expect(sockets).toHaveLength(before + 1)
  })

  test("ends its session when the page goes away, and begins another when it comes back", async () => {
    const page = new EventTarget()
    for (const method of ["addEventListener", "removeEventListener"] as const) {
      vi.stubGlobal(method, page[method].bind(page))
    }
    const { client, sockets, at } = await open()
    const int = client.int("int")
    await turn()
    at(0).give("int", "int", 0)
    at(0).take()
    const added = int.add(1)
    page.dispatchEvent(new Event("pagehide"))
    // What was made last goes out before the close.
    expect(at(0).take()).toMatchObject([{ type: "update", content: { change: { type: "add", value: 1 } } }])
    expect([at(0).closedWith, client.status]).toEqual([1000, "offline"])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(sockets).toHaveLength(1)
    page.dispatchEvent(new Event("pageshow"))
    await turn()
    at(1).open()
    at(1).hello(2, "two")
    await turn()
    at(1).say({ type: "error", content: { code: "session_unknown", to: "resume" } })
    await turn()
    const change = { type: "add", value: 1, id: "1_1" }
    at(1).say(
      { type: "subscribed", content: { topic_name: "int", type: "int", epoch: "e", version: 1, since: 0 } },
      { type: "update", content: { topic_name: "int", version: 1, commit: 1, author: 1, change } },
    )
    expect(await added).toBe("1_1")
    expect([int.value, client.pending]).toEqual([1, 0])
    await client.close()
    page.dispatchEvent(new Event("pageshow"))
    await turn()
    expect(sockets).toHaveLength(2)
    vi.unstubAllGlobals()
  })

  test("resumes its session and sends again, under the same id, what was not answered", async () => {
    const { client, at } = await open()
    const int = client.int("int")
    await turn()
    at(0).give("int", "int", 0)
    const added = int.add(5)
    await turn()
    const [sent] = at(0).take().slice(-1)
    at(0).close(1006)
    await vi.advanceTimersByTimeAsync(100)
    at(1).open()
    at(1).hello(2, "two")
    await turn()
    expect(at(1).take()).toEqual([{ type: "resume", content: { session: "one" } }])
    at(1).hello(1, "one", true)
    await turn()
    const [subscribe, again] = at(1).take()
    expect(subscribe!.content["since"]).toEqual({ epoch: "e", version: 0 })
    expect(again).toEqual(sent)
    const change = { type: "add", value: 5, id: "1_1" }
    at(1).say(
      { type: "subscribed", content: { topic_name: "int", type: "int", epoch: "e", version: 1, since: 0 } },
      { type: "update", content: { topic_name: "int", version: 1, commit: 1, author: 1, change } },
    )
    expect(await added).toBe("1_1")
    expect([int.value, client.pending]).toEqual([5, 0])
  })

  test("of what was in flight when the session ended, the outcome is unknown", async () => {
    const { client, at } = await open()
    const int = client.int("int")
    await turn()
    at(0).give("int", "int", 0)
    const added = int.add(5)
    await turn()
    at(0).close(1006)
    await vi.advanceTimersByTimeAsync(100)
    at(1).open()
    at(1).hello(2, "two")
    await turn()
    at(1).say({ type: "error", content: { code: "session_unknown", to: "resume" } })
    await turn()
    expect(client.id).toBe(2)
    at(1).give("int", "int", 7)
    await expect(added).rejects.toThrow(OutcomeUnknown)
    expect(int.value).toBe(7)
  })

  test("asks a silent server whether it is there, and gives it up", async () => {
    const { client, at } = await open({ silenceMs: 1000 })
    at(0).take()
    await vi.advanceTimersByTimeAsync(1000)
    expect(
      at(0)
        .take()
        .map((it) => it.type),
    ).toEqual(["unsubscribe"])
    at(0).say({ type: "unsubscribed", content: { topic_name: "_topicsync/ping" } })
    await vi.advanceTimersByTimeAsync(1000)
    expect(client.status).toBe("online")
    await vi.advanceTimersByTimeAsync(500)
    expect(client.status).toBe("offline")
  })

  test("sends again after a while what the server had no room for", async () => {
    const { client, at } = await open()
    const int = client.int("int")
    await turn()
    at(0).give("int", "int", 0)
    int.add(5)
    await turn()
    const [sent] = at(0).take().slice(-1)
    const { change } = sent!.content as { change: object }
    at(0).say({ type: "reject_update", content: { topic_name: "int", code: "busy", change } })
    expect(int.value).toBe(5)
    await vi.advanceTimersByTimeAsync(249)
    expect(at(0).take()).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(at(0).take()).toEqual([sent])
  })

  test("does not come back when its session was resumed elsewhere", async () => {
    const { client, sockets, at } = await open()
    at(0).close(4001)
    await vi.advanceTimersByTimeAsync(60_000)
    expect([client.status, sockets.length]).toEqual(["closed", 1])
  })

  test("survives a frame that makes no sense", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue()
    const { client, sockets, at } = await open()
    at(0).onmessage!({ data: "no JSON" } as never)
    expect(client.status).toBe("offline")
    await vi.advanceTimersByTimeAsync(100)
    expect(sockets).toHaveLength(2)
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/ws:\/\/test.*a frame cannot be read/)]])
  })

  test("passes over messages of a later version of the protocol", async () => {
    const { client, at } = await open()
    at(0).say({ type: "confetti", content: {} }, { type: "confetti" })
    expect(client.status).toBe("online")
  })

  test("ends the session with 1000 when it is closed", async () => {
    const { client, at } = await open()
    await client.close()
    expect(at(0).closedWith).toBe(1000)
    expect(client.status).toBe("closed")
    expect(vi.getTimerCount()).toBe(0)
  })
})
