/** Law 7 (convergence) and law 8 (exactly once), at random. */

import fc from "fast-check"
import { describe, test } from "vitest"
import type { LocalChange } from "../../src/replica/local.js"
import { Invalid } from "../../src/value/errors.js"
import { Sim } from "../support/sim.js"
import { fieldsOf, TYPES } from "../support/types.js"

/** A step of the story; its numbers are read as fits. */
type Step = readonly [kind: (typeof KINDS)[number], client: number, numbers: readonly number[]]

const KINDS = [
  ...(Array(10).fill("change") as "change"[]),
  ...(Array(2).fill("act") as "act"[]),
  ...(Array(8).fill("send") as "send"[]),
  ...(Array(8).fill("serve") as "serve"[]),
  ...(Array(12).fill("deliver") as "deliver"[]),
  "disconnect",
  "disconnect",
  "connect",
  "connect",
  "connect",
  "forgetSession",
  "lag",
  "busy",
  "forgetful",
  "newLife",
] as const

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom(...KINDS),
  fc.nat(2),
  fc.array(fc.nat(2 ** 31 - 1), { minLength: 2, maxLength: 3 }),
)

/** A change that fits a client's view, as a number decides. */
function change(sim: Sim, client: number, number: number): LocalChange {
  const topicName = sim.topics[number % sim.topics.length]!
  const { type, view } = sim.clients[client]!.replica.topic(topicName)!
  const [change] = fc.sample(fieldsOf(type, view), { seed: number, numRuns: 1 })
  return { topicName, change: change!, overwriting: number % 3 === 0 }
}

function play(sim: Sim, [kind, client, numbers]: Step): void {
  switch (kind) {
    case "change":
      sim.act(client, [change(sim, client, numbers[0]!)])
      break
    case "act":
      try {
        sim.act(
          client,
          numbers.map((number) => change(sim, client, number)),
        )
      } catch (error) {
        // The second change of a topic may not fit what the first one leaves.
        if (!(error instanceof Invalid)) throw error
      }
      break
    case "lag":
      sim.toy.lag(sim.clients[client]!.session)
      break
    case "busy":
      sim.toy.busy++
      break
    case "forgetful":
      sim.toy.forgetful = numbers[0]! % 2 === 0
      break
    case "newLife":
      if (numbers[0]! % 20 !== 0) return
      sim.clients.forEach((_, client) => sim.disconnect(client))
      sim.newLife(sim.topics[0]!)
      break
    default:
      sim[kind](client)
  }
}

describe("replicas converge", () => {
  const types = TYPES.filter((type) => !type.stateless && type.name !== "float")
  test.each(types.map(({ name }) => name))("of a %s", (name) => {
    const story = fc.array(step, { maxLength: 120, size: "max" })
    fc.assert(
      fc.property(story, (steps) => {
        const sim = new Sim(3, { one: name, two: name })
        for (const step of steps) play(sim, step)
        sim.checkConverged()
      }),
      { numRuns: Number(process.env["RUNS"] ?? 100) },
    )
  })
})
