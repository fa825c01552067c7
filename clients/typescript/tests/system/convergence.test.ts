/**
 * Laws 7, 8 and 11 with the real server: clients that edit at random, on lines that are cut, hold one value in the
 * end; every change has one outcome; and what each made in one order is accepted in it (R12).
 */

import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Client, TypedTopic } from "../../src/index.js"
import { connect, Invalid, Rejected } from "../../src/index.js"
import { msgpack } from "../../src/msgpack.js"
import { Random, seeds } from "../support/random.js"
import { expectSame } from "../support/same.js"
import { Proxy, Server, until } from "../support/server.js"
import { fieldsOf, TYPES } from "../support/types.js"

type AnyTyped = TypedTopic<unknown, unknown, unknown>

let server: Server

beforeAll(async () => void (server = await Server.start()))
afterAll(() => server.end())

/** One client, on a line of its own. */
class Participant {
  readonly outcomes: Promise<string>[] = []
  #cut: ReturnType<typeof setTimeout> | undefined

  constructor(
    readonly proxy: Proxy,
    readonly client: Client,
  ) {}

  static async join(number: number): Promise<Participant> {
    const proxy = await Proxy.start(server.url)
    const codec = number % 2 === 0 ? {} : { codec: msgpack }
    const client = connect(proxy.url, { retryMinMs: 5, retryMaxMs: 50, ...codec })
    client.onRejected(() => {})
    client.onError((error) => expect.fail(JSON.stringify(error)))
    return new Participant(proxy, client)
  }

  /** Cuts the line, for a while. */
  cut(ms: number): void {
    this.proxy.open = false
    this.proxy.cut()
    clearTimeout(this.#cut)
    this.#cut = setTimeout(() => (this.proxy.open = true), ms)
  }

  made(change: PromiseLike<string | undefined>): void {
    const outcome = change.then(
      (id) => id ?? "nothing was left to do",
      (error: unknown) => {
        if (!(error instanceof Rejected)) throw error
        return "rejected"
      },
    )
    this.outcomes.push(Promise.resolve(outcome))
  }

  async leave(): Promise<void> {
    await this.client.close()
    this.proxy.close()
  }
}

async function settle(all: readonly Participant[], topicsOf: (client: Client) => AnyTyped[]): Promise<void> {
  for (const { proxy } of all) proxy.open = true
  await Promise.all(all.map(({ client }) => client.settled()))
  const topics = all.map(({ client }) => topicsOf(client))
  await Promise.all(topics.flat().map((topic) => topic.ready()))
  await until(() =>
    topics.every((own) => own.every((topic, at) => topic.version === topics[0]![at]!.version)),
  )
}

describe.each(TYPES.filter((type) => !type.stateless).map((type) => [type.name, type] as const))(
  "clients of %s topics",
  (name, type) => {
    test.each(seeds(4))("converge, by seed %i", async (seed) => {
      const random = new Random(seed)
      const all = await Promise.all([0, 1, 2].map((number) => Participant.join(number)))
      const names = ["one", "two"].map((it) => `converge/${name}/${seed}/${it}`)
      const topicsOf = (client: Client) => names.map((it) => client.topic(it, type) as AnyTyped)
      all.forEach(({ client }) => topicsOf(client))

      const change = (client: Client) => {
        const topic = random.pick(topicsOf(client))
        const inner = type.decodeValue(type.encodeValue(viewOf(topic)))
        const [fields] = fc.sample(fieldsOf(type, inner), { seed: random.below(2 ** 31), numRuns: 1 })
        const made = type.decodeChange(fields!)
        return random.next() < 0.3 ? topic.overwrite(made) : topic.change(made)
      }
      for (let step = 0; step < 80; step++) {
        const participant = random.pick(all)
        const { client } = participant
        const kind = random.next()
        try {
          if (kind < 0.6) participant.made(change(client))
          else if (kind < 0.75) {
            participant.made(
              client.action(() => [1, 2, 3].forEach(() => random.next() < 0.8 && change(client))),
            )
          } else if (kind < 0.8) client.undo().catch(() => {})
          else if (kind < 0.84) participant.cut(random.below(40))
          else await new Promise((resolve) => setTimeout(resolve, random.below(5)))
        } catch (error) {
          // The second change of a topic may not fit what the first one leaves.
          if (!(error instanceof Invalid)) throw error
        }
      }

      await settle(all, topicsOf)
      const outcomes = await Promise.all(all.map((it) => Promise.all(it.outcomes)))
      const [first] = all as [Participant]
      for (const [at, topic] of topicsOf(first.client).entries()) {
        const { value } = await first.client.valueAt(topic.name, { version: topic.version })
        for (const { client } of all) {
          const { confirmed, pending } = topicsOf(client)[at]!
          expectSame(type.encodeValue(innerOf(confirmed, type)), value, "confirmed")
          expect(pending).toBe(0)
        }
      }

      // Exactly once: what was confirmed is in the log, each change once, and nothing else is.
      const histories = await Promise.all(names.map((it) => first.client.history(it)))
      const entries = histories.flatMap((it) => it.entries)
      expect(histories.every((it) => it.next === null)).toBe(true)
      const ids = entries.map(({ change }) => change["id"])
      expect(new Set(ids).size).toBe(ids.length)
      const own = entries.filter(({ undoes, redoes }) => undoes === null && redoes === null)
      const accepted = new Set(own.map(({ action_id, change }) => action_id ?? change["id"]))
      const confirmed = new Set(outcomes.flat().filter((it) => /^\d+_\d+$/.test(it)))
      expect(confirmed).toEqual(accepted)
      await Promise.all(all.map((it) => it.leave()))
    })
  },
)

/** What the program sees of a topic, as its type has it. */
function viewOf(topic: AnyTyped): unknown {
  return (topic as unknown as { inner: unknown }).inner
}

function innerOf(view: unknown, type: (typeof TYPES)[0]): unknown {
  return type.name === "string" || type.name === "dict" ? type.decodeValue(view as never) : view
}

test.each(seeds(6))("what one made in one order is accepted in it, by seed %i", async (seed) => {
  const random = new Random(seed)
  const all = await Promise.all([0, 1, 2].map((number) => Participant.join(number)))
  const names = ["a", "b", "c", "d"].map((it) => `order/${seed}/${it}`)
  const lists = all.map(({ client }) => names.map((it) => client.list<{ by: number; n: number }>(it)))
  const dicts = all.map(({ client }) => client.dict<{ by: number; n: number }>(`order/${seed}/dict`))
  for (let n = 0; n < 120; n++) {
    const by = random.below(3)
    const { client } = all[by]!
    const item = { by, n }
    const list = random.pick(lists[by]!)
    const kind = random.next()
    if (kind < 0.55) list.append(item)
    else if (kind < 0.7) list.insert(random.below(list.length + 1), item)
    else if (kind < 0.8) dicts[by]!.put(`k${random.below(3)}`, item)
    else if (kind < 0.87) {
      client.action(() => {
        list.append(item)
        random.pick(lists[by]!).append(item)
      })
    } else if (kind < 0.92) all[by]!.cut(random.below(60))
    else await new Promise((resolve) => setTimeout(resolve, random.below(8)))
  }
  for (const { proxy } of all) proxy.open = true
  await Promise.all(all.map(({ client }) => client.settled()))
  const [{ client }] = all as [Participant]
  const topics = [...names, `order/${seed}/dict`]
  const entries = (await Promise.all(topics.map((it) => client.history(it)))).flatMap((it) => it.entries)
  for (const [by] of all.entries()) {
    /** By commit, the first and the last that were made of what it holds. */
    const commits = new Map<number, [first: number, last: number]>()
    for (const { commit, change } of entries) {
      const item = (change["item"] ?? change["value"]) as { by: number; n: number }
      if (item.by !== by) continue
      const [first, last] = commits.get(commit) ?? [item.n, item.n]
      commits.set(commit, [Math.min(first, item.n), Math.max(last, item.n)])
    }
    const inOrder = [...commits].sort(([a], [b]) => a - b).flatMap(([, ends]) => ends)
    expect(inOrder).toEqual(inOrder.toSorted((a, b) => a - b))
  }
  await Promise.all(all.map((it) => it.leave()))
})

test("a move, another and an edge: the edge is undone, on a line of 100 ms (B5)", async () => {
  const proxy = await Proxy.start(server.url, 50)
  const client = connect(proxy.url)
  const [nodes, edges] = [client.dict<number>("order/nodes"), client.list<string>("order/edges")]
  await Promise.all([nodes.ready(), edges.ready()])
  await nodes.put("n1", 0)
  nodes.changeValue("n1", 1)
  await new Promise((resolve) => setTimeout(resolve, 10))
  nodes.changeValue("n1", 2)
  edges.append("n1-n2")
  const { undone } = await client.undo()
  expect(undone.map((it) => it.topic_name)).toEqual([edges.name])
  expect([nodes.value, edges.value]).toEqual([{ n1: 2 }, []])
  const [moved, drawn] = await Promise.all([client.history(nodes.name), client.history(edges.name)])
  const last = moved.entries.at(-1)!
  expect(last.commit).toBeLessThanOrEqual(drawn.entries[0]!.commit)
  await client.close()
  proxy.close()
})
