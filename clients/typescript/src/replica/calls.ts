/** Services, both ways: what this client offers, and what it asks for. */

import type { Json } from "../value/json.js"
import { compareText } from "../value/json.js"
import type { ReplicaEvent } from "./events.js"
import type { ClientMessage, Outcome } from "./messages.js"
import type { BatchId } from "./pending.js"

/** A request that waits for a session, or for the batches up to `after` to meet their fates. */
interface Call {
  readonly call: number
  readonly serviceName: string
  readonly args: Json
  readonly timeoutMs: number | undefined
  readonly after: BatchId
}

/** The services of one client, and its requests. */
export class Calls {
  #made = 0
  #waiting: Call[] = []
  /** By request id. */
  readonly #sent = new Map<string, number>()
  /** The services of this client, and whether its session knows. */
  readonly #offers = new Map<string, boolean>()

  /** Offers a service, now and in every later session. */
  offer(serviceName: string): void {
    if (!this.#offers.has(serviceName)) this.#offers.set(serviceName, false)
  }

  /** Takes back an offer; tells whether the server has to know. */
  withdraw(serviceName: string): boolean {
    const known = this.#offers.get(serviceName) === true
    this.#offers.delete(serviceName)
    return known
  }

  /** Asks a service, once every batch up to `after` has met its fate. */
  ask(serviceName: string, args: Json, timeoutMs: number | undefined, after: BatchId): number {
    const call = ++this.#made
    this.#waiting.push({ call, serviceName, args, timeoutMs, after })
    return call
  }

  /** Gives up a request. */
  cancel(call: number): void {
    this.#waiting = this.#waiting.filter((it) => it.call !== call)
    for (const [requestId, it] of this.#sent) if (it === call) this.#sent.delete(requestId)
  }

  /** Whether there is nothing to send. */
  get isIdle(): boolean {
    return this.#waiting.length === 0 && [...this.#offers.values()].every((known) => known)
  }

  /** Offers that the session does not know of yet. */
  offersToSend(): ClientMessage[] {
    const unknown = [...this.#offers].filter(([, known]) => !known).map(([name]) => name)
    return unknown.sort(compareText).map((serviceName) => {
      this.#offers.set(serviceName, true)
      return { type: "register_service", content: { service_name: serviceName } }
    })
  }

  /** Requests that can go out now, `oldest` being the oldest batch without a fate. */
  toSend(oldest: BatchId, nextId: () => string): ClientMessage[] {
    const ready = this.#waiting.filter(({ after }) => after < oldest)
    this.#waiting = this.#waiting.filter(({ after }) => after >= oldest)
    return ready.map(({ call, serviceName, args, timeoutMs }) => {
      const requestId = nextId()
      this.#sent.set(requestId, call)
      const content = { service_name: serviceName, args, request_id: requestId, timeout_ms: timeoutMs }
      return { type: "request", content }
    })
  }

  /** Takes what a request came to. */
  response(requestId: string, outcome: Outcome): ReplicaEvent[] {
    const call = this.#sent.get(requestId)
    if (call === undefined) return []
    this.#sent.delete(requestId)
    return [{ type: "response", call, outcome }]
  }

  /** The session is gone, and with it its services and what was asked in it. */
  lost(): ReplicaEvent[] {
    for (const name of this.#offers.keys()) this.#offers.set(name, false)
    const error = { code: "failed", reason: "the session ended before the answer" }
    const sent = [...this.#sent.keys()].sort(compareText)
    return sent.flatMap((requestId) => this.response(requestId, { error }))
  }
}
