/** Runs a scripted case: what a replica does, step by step, and what must be seen after each. */

import { expect } from "vitest"
import type { ReplicaEvent } from "../../src/replica/events.js"
import type { ServerMessage } from "../../src/replica/messages.js"
import { Replica } from "../../src/replica/replica.js"
import type { AnyType, Fields } from "../../src/types/type.js"
import { Invalid } from "../../src/value/errors.js"
import type { Json, JsonObject } from "../../src/value/json.js"
import { expectSame } from "./same.js"
import { typeNamed } from "./types.js"

export interface Case {
  readonly case: string
  readonly steps: readonly Step[]
}

/** One of the keys of {@link STEPS}, and what is expected after it. */
type Step = { readonly expect?: Expected } & JsonObject

interface Expected extends JsonObject {
  readonly sent: readonly Json[]
  readonly topics: JsonObject
  readonly fates: readonly JsonObject[]
  readonly changed: readonly JsonObject[]
  readonly told: readonly JsonObject[]
  readonly error: boolean
}

interface Local {
  readonly topic_name: string
  readonly change: Fields
  readonly overwriting?: boolean
}

/** What has the type of a topic, be it there still or not. */
interface Typed {
  readonly type: AnyType
}

type Of<T> = T & { readonly topic_name: string }

/** What each kind of step does; what it gives is what was sent. */
const STEPS: Record<string, (replica: Replica, step: never) => unknown> = {
  receive: (replica, messages: readonly ServerMessage[]) => {
    replica.receiveFrame(messages)
  },
  subscribe: (replica, { topic_name, type, options }: Of<{ type: string; options?: JsonObject }>) =>
    void replica.subscribe(topic_name, typeNamed(type), options),
  unsubscribe: (replica, { topic_name }: Of<object>) => replica.unsubscribe(topic_name),
  local: (replica, changes: readonly Local[]) => {
    const local = changes.map(({ topic_name: topicName, change, overwriting = false }) => ({
      topicName,
      change,
      overwriting,
    }))
    return replica.local(local)
  },
  presence: (replica, { topic_name, entry, remove }: Of<{ entry?: Json; remove?: boolean }>) =>
    replica.setPresence(topic_name, remove ? undefined : entry),
  request: (replica, { service_name, args }: { service_name: string; args: Json }) => {
    const undo = /^_topicsync\/(undo|redo)$/.exec(service_name)?.[1]
    return undo ? replica.undo(undo as "undo" | "redo") : replica.request(service_name, args ?? null)
  },
  disconnect: (replica) => replica.disconnected(),
  // As it is sent: without what is undefined.
  send: (replica) => JSON.parse(JSON.stringify(replica.outbox())) as Json,
  resend_busy: (replica) => replica.resendBusy(),
  composes: (replica, { on }: { on: boolean }) => void (replica.composes = on),
  close: (replica) => replica.close(),
  end: (replica) => replica.end(),
}

/**
 * Reads a case. Whole numbers beyond ±(2^53 − 1) become bigints: a program of this language that has
 * the number has a float, which is a value, where the case has an int, which is none.
 */
export function parseCase(line: string): Case {
  const marked = line.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
    /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token)) ? `{"$int":"${token}"}` : token,
  )
  return JSON.parse(marked, (_key, value: { $int?: string } | null) =>
    typeof value?.$int === "string" ? BigInt(value.$int) : value,
  ) as Case
}

export function runCase({ case: name, steps }: Case): void {
  const replica = new Replica()
  const tickets: number[] = []
  const calls: number[] = []
  let topics: Json = {}
  for (const [index, step] of steps.entries()) {
    const where = `${name}, step ${index}: ${JSON.stringify(step, (_key, it) => (typeof it === "bigint" ? `${it}` : it))}`
    const kind = Object.keys(step).find((key) => Object.hasOwn(STEPS, key))
    if (!kind) throw new Error(`no such step: ${where}`)
    const before = new Map<string, Typed>(replica.topics)
    const { result, error } = play(replica, kind, step[kind]!)
    const types = new Map([...before, ...replica.topics])
    if (kind === "local" && !error) tickets.push(result as number)
    if (kind === "request" && !error) calls.push(result as number)
    // What is absent was not there, and topics are as they were.
    const expected = (step.expect ?? {}) as Partial<Expected>
    topics = expected.topics ?? topics
    expect(error, where).toBe(expected.error ?? false)
    if (kind === "send") expectSame(result, expected.sent ?? [], where)
    expectSame(topicsOf(replica), topics, where)
    const events = replica.takeEvents()
    checkFates(
      events.flatMap((event) => fateOf(event, tickets)),
      expected.fates ?? [],
      where,
    )
    const changed = events.flatMap((event) => changedOf(types, event))
    expectSame(changed, expected.changed ?? [], where)
    const told = events.flatMap((event) => toldOf(event, calls))
    expectSame(told, expected.told ?? [], where)
  }
}

function play(replica: Replica, kind: string, step: Json): { result: unknown; error: boolean } {
  try {
    return { result: STEPS[kind]!(replica, step as never), error: false }
  } catch (error) {
    if (!(error instanceof Invalid)) throw error
    return { result: undefined, error: true }
  }
}

/** The reason is compared where the server gave it. */
function checkFates(fates: readonly JsonObject[], expected: readonly JsonObject[], where: string) {
  const withoutReason = fates.map(({ reason, ...fate }, at) =>
    expected[at] && "reason" in expected[at] ? { ...fate, reason: reason! } : fate,
  )
  expectSame(withoutReason, expected, where)
}

function topicsOf(replica: Replica): Json {
  const topics = [...replica.topics].map(([name, topic]) => {
    const { type, ready, epoch = null, version, confirmed, view, pending } = topic
    const seen = {
      type: type.name,
      ready,
      epoch,
      version,
      confirmed: type.encodeValue(confirmed),
      view: type.encodeValue(view),
      pending: pending.length,
    }
    return [name, seen]
  })
  return Object.fromEntries(topics)
}

/** Tickets count from 1, and only those of the program. */
function fateOf(event: ReplicaEvent, tickets: readonly number[]): JsonObject[] {
  const ticket = "ticket" in event ? tickets.indexOf(event.ticket) + 1 : 0
  if (ticket === 0) return []
  switch (event.type) {
    case "confirmed": {
      const id = event.id === undefined ? {} : { id: event.id }
      return [{ ticket, fate: "confirmed", ...id }]
    }
    case "rejected": {
      const { code, reason } = event.rejection
      return [{ ticket, fate: "rejected", code, reason }]
    }
    case "unknown":
    case "unsent":
      return [{ ticket, fate: event.type }]
    default:
      return []
  }
}

function changedOf(types: ReadonlyMap<string, Typed>, event: ReplicaEvent): Json[] {
  if (event.type !== "changed") return []
  const { topicName, changes, origin } = event
  const { type } = types.get(topicName)!
  return [{ topic_name: topicName, changes: changes.map((it) => type.encodeChange(it)), origin }]
}

/** What else the program is told. Calls count from 1, and only those of the program. */
function toldOf(event: ReplicaEvent, calls: readonly number[]): JsonObject[] {
  switch (event.type) {
    case "online":
      return [{ event: "online", client_id: event.clientId, resumed: event.resumed }]
    case "ready":
      return [{ event: "ready", topic_name: event.topicName }]
    case "closed":
      return [
        { event: "closed", topic_name: event.topicName, ...(event.error && { code: event.error.code }) },
      ]
    case "response": {
      const { response = null, error } = event.outcome
      return [
        {
          event: "response",
          call: calls.indexOf(event.call) + 1,
          ...(error ? { code: error.code } : { response }),
        },
      ]
    }
    case "request":
      return [{ event: "request", ...event.request, args: event.request.args ?? null }]
    case "busy":
      return [{ event: "busy" }]
    case "error": {
      const { code, topic_name } = event.error
      return [{ event: "error", code, ...(topic_name !== undefined && { topic_name }) }]
    }
    default:
      return []
  }
}
