/**
 * Law 10: nothing waits for ever. Whatever is asked at any time, with the line cut, frozen or open one way alone at
 * any instant, or the server restarted, ends within the client's time-out: by an answer, or by an error that names
 * what it was about (R25, R39, R40, R45).
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Client } from "../../src/index.js"
import {
  Closed,
  ClosedUnanswered,
  connect,
  OutcomeUnknown,
  Rejected,
  ServiceError,
  TimedOut,
  TopicError,
} from "../../src/index.js"
import { Random, seeds } from "../support/random.js"
import { Relay } from "../support/relay.js"
import { Proxy, Server, until } from "../support/server.js"

const TIMEOUT_MS = 1500
const ERRORS = [Closed, OutcomeUnknown, Rejected, ServiceError, TimedOut, TopicError]

let server: Server

beforeAll(async () => {
  server = await Server.start()
})
afterAll(() => server.end())

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Something to wait for, and what an error of it has to name. */
function ask(
  client: Client,
  random: Random,
  of: string,
): readonly [wait: PromiseLike<unknown>, name: string] {
  const list = client.list<number>(`${of}/list`)
  const text = client.string(`${of}/text`)
  const version = { version: 1 }
  switch (random.below(14)) {
    case 0:
      return [list.append(1), list.name]
    case 1:
      return [text.append("x"), text.name]
    case 2:
      return [client.action(() => void (list.append(1), text.append("y"))), "action"]
    case 3: {
      const topic = client.dict(`${of}/${random.below(1000)}`)
      return [topic.ready(), topic.name]
    }
    case 4:
      return [client.undo(), "undo"]
    case 5:
      return [client.redo(), "redo"]
    case 6:
      return [client.valueAt(list.name, version), "value_at"]
    case 7:
      return [client.history(text.name), "history"]
    case 8:
      return [client.cut({ time: Date.now() }, { prefix: of }), "cut"]
    case 9:
      return [client.request(`${of}/never`), `${of}/never`]
    case 10:
      return [client.request(`${of}/slow`, random.below(50)), `${of}/slow`]
    case 11:
      return [client.settled(), "pending"]
    case 12:
      return [client.online(), "connection"]
    default: {
      const name = `${of}/service/${random.below(10)}`
      return [client.register(name, () => 1), name]
    }
  }
}

test.each(seeds(8))(
  "every wait ends, whatever happens to the line, by seed %i",
  async (seed) => {
    const random = new Random(seed)
    const relay = await Relay.start(server.url)
    const of = `waits/${seed}/${Date.now()}`
    const options = { timeoutMs: TIMEOUT_MS, retryMinMs: 5, retryMaxMs: 100, silenceMs: 600 }
    const client = connect(relay.url, options)
    const provider = connect(relay.url, options)
    for (const it of [client, provider]) it.onRejected(() => {})
    provider.register(`${of}/never`, () => new Promise(() => {}))
    provider.register(`${of}/slow`, (ms: number) => sleep(ms))

    let open = 0
    const wrong: unknown[] = []
    for (let step = 0; step < 60; step++) {
      const kind = random.next()
      if (kind < 0.75) {
        const [wait, name] = ask(client, random, of)
        open++
        Promise.resolve(wait)
          .catch((error: Error) => {
            const isTyped = ERRORS.some((it) => error instanceof it)
            if (!isTyped || !error.message.includes(name)) wrong.push([name, error])
          })
          .finally(() => open--)
      } else if (kind < 0.8) relay.cut()
      else if (kind < 0.83) relay.let({ up: false, down: false })
      else if (kind < 0.86) relay.let({ up: true, down: false })
      else if (kind < 0.89) relay.let({ up: false, down: true })
      else if (kind < 0.94) relay.let({ up: true, down: true })
      else if (kind < 0.95) {
        await server.stop(random.next() < 0.5 ? "SIGKILL" : "SIGTERM")
        await server.start()
      } else await sleep(random.below(150))
    }
    await sleep(TIMEOUT_MS + 200)
    expect([open, wrong]).toEqual([0, []])

    // Once the line is well again, all that is pending gets its answer, and nothing is lost.
    relay.let({ up: true, down: true })
    await until(() => client.status === "online", "a connection")
    await until(() => client.pending === 0, "an answer to each change")
    const closing = performance.now()
    await Promise.all([client, provider].map((it) => it.close({ timeoutMs: 500 })))
    expect(performance.now() - closing).toBeLessThan(3000)
    relay.close()
  },
  60_000,
)

describe("a close", () => {
  test("waits until all that was made is answered (B6)", async () => {
    for (let round = 0; round < 5; round++) {
      const [client, other] = [connect(server.url), connect(server.url)]
      const list = client.list<number>(`close/${round}`)
      for (let n = 0; n < 20; n++) {
        list.append(n)
        if (n % 7 === 0) await sleep(1)
      }
      await client.close()
      expect(list.pending).toBe(0)
      const seen = await other.list(`close/${round}`).ready()
      expect(seen.value).toEqual(Array.from({ length: 20 }, (_, n) => n))
      await other.close()
    }
  })

  test("comes back for it, if the line is lost meanwhile", async () => {
    const proxy = await Proxy.start(server.url)
    const client = connect(proxy.url, { retryMaxMs: 50 })
    const list = await client.list<number>("close/lost").ready()
    proxy.open = false
    proxy.cut()
    await until(() => client.status === "offline")
    list.append(1)
    const closed = client.close()
    await sleep(100)
    proxy.open = true
    await closed
    expect([client.status, list.pending, list.confirmed]).toEqual(["closed", 0, [1]])
    proxy.close()
  })

  test("ends in time when the server is silent, and says what is not answered", async () => {
    const relay = await Relay.start(server.url)
    const client = connect(relay.url, { closeTimeoutMs: 300 })
    const list = await client.list<number>("close/silent").ready()
    relay.let({ up: false, down: false })
    const change = list.append(1).catch((error: Error) => error)
    await sleep(10)
    const start = performance.now()
    const error = await client.close().catch((error: unknown) => error as ClosedUnanswered)
    expect(performance.now() - start).toBeLessThan(1600)
    expect(error).toBeInstanceOf(ClosedUnanswered)
    expect([(error as ClosedUnanswered).unknown.length, (error as ClosedUnanswered).unsent.length]).toEqual([
      1, 0,
    ])
    expect(await change).toBeInstanceOf(OutcomeUnknown)
    relay.close()
  })
})

test("an undo, a read and a request that are under way when the line is lost all end (B1)", async () => {
  const relay = await Relay.start(server.url)
  const client = connect(relay.url, { retryMinMs: 5, retryMaxMs: 20 })
  const list = await client.list<number>("lost").ready()
  await list.append(1)
  relay.let({ up: false, down: false })
  const asked = [client.undo(), client.request("nobody"), client.valueAt("lost", { version: 1 })]
  const ends = Promise.all(asked.map((it) => it.then((answer) => answer, String)))
  await sleep(20)
  relay.let({ up: true, down: true })
  relay.cut()
  const [undo, nobody, value] = await ends
  expect(undo).toMatch(/^ServiceError: undo: lost: .*whether it was done is not known/)
  expect(nobody).toMatch(/^ServiceError: nobody: lost: /)
  expect(value).toMatchObject({ version: 1, value: [1] })
  await client.close()
  relay.close()
})
