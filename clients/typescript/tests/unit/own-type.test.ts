/** A type of one's own: it is written against the interface that the built-in types use. */

import { expect, test } from "vitest"
import type { JsonObject, TopicType } from "../../src/index.js"
import { connect, Invalid } from "../../src/index.js"
import { fakeSockets } from "../support/fake-socket.js"

type Votes = Readonly<Record<string, number>>
interface Vote {
  readonly type: "vote"
  readonly option: string
}

/** Options and their votes. Votes commute. */
const poll: TopicType<Votes, Vote, readonly string[]> = {
  name: "poll",
  initial: {},
  decodeValue: (value) => value as JsonObject as Votes,
  encodeValue: (votes) => votes,
  decodeChange({ type, option }) {
    if (type !== "vote" || typeof option !== "string") throw new Invalid("no vote")
    return { type, option }
  },
  encodeChange: (vote) => ({ ...vote }),
  apply: (votes, { option }) => ({ ...votes, [option]: (votes[option] ?? 0) + 1 }),
  rebase: (incoming, accepted) => ({ incoming, accepted }),
  invert: () => undefined,
  view: (votes) =>
    Object.entries(votes)
      .sort(([, a], [, b]) => b - a)
      .map(([option]) => option),
}

test("a topic of one's own type works as any other", async () => {
  const { sockets, webSocket } = fakeSockets()
  const client = connect("ws://test", { webSocket })
  const lunch = client.topic("lunch", poll)
  await new Promise((resolve) => setTimeout(resolve))
  const [socket] = sockets as [(typeof sockets)[0]]
  socket.open()
  socket.hello(1, "one")
  await new Promise((resolve) => setTimeout(resolve))
  socket.give("lunch", "poll", { soup: 1, rice: 2 })
  const events: unknown[] = []
  lunch.onChange(({ type, local }) => events.push([type, local]))
  expect(lunch.value).toEqual(["rice", "soup"])
  lunch.change({ type: "vote", option: "soup" })
  const voted = lunch.change({ type: "vote", option: "soup" })
  expect(lunch.value).toEqual(["soup", "rice"])
  expect(() => lunch.change({ type: "vote", option: 3 } as never)).toThrow(Invalid)
  await new Promise((resolve) => setTimeout(resolve))
  const [sent] = socket.take().slice(-1)
  expect(sent!.type).toBe("action")
  const { action_id, changes } = sent!.content as { action_id: string; changes: { change: object }[] }
  const parts = changes.map(({ change }, at) => ({ topic_name: "lunch", version: at + 1, change }))
  socket.say({ type: "action", content: { action_id, author: 1, changes: parts } })
  expect(await voted).toBe(action_id)
  expect(lunch.confirmed).toEqual(["soup", "rice"])
  expect(events).toEqual([
    ["vote", true],
    ["vote", true],
  ])
  await client.close()
})
