/** Services, both ways: what this client offers, and what it asks for. */

import type { Json } from "../value/json.js"
import { compareText } from "../value/json.js"
import type { ReplicaEvent } from "./events.js"
import type { ClientMessage, Outcome } from "./messages.js"
import type { Order } from "./pending.js"

/** A request of this client. */
interface Request {
  /** Names it, until its outcome is there. */
  readonly call: number
  readonly serviceName: string
  readonly args: Json
  readonly timeoutMs: number | undefined
  /** For undo and redo: it stands in the queue behind this action (R16). */
  readonly after: Order | undefined
}

/** A service of this client, or one that it is about to take back. */
interface Offer {
  readonly wanted: boolean
  /** The session was told. */
  sent: boolean
  /** The session answered. */
  answered: boolean
}

/** The services that only read: to ask them twice does no harm (R39). */
const READING = /^_topicsync\/(value_at|history|cut|stats)$/

/** The services of one client, and its requests. */
export class Requests {
  #made = 0
  /** In the order made. */
  #waiting: Request[] = []
  /** By the ids that they were sent under. */
  readonly #sent = new Map<string, Request>()
  /** Those of them that are to be sent again under their ids, in order. */
  #resend: string[] = []
  readonly #offers = new Map<string, Offer>()

  /** Offers a service, now and in every later session (R41). */
  offer(serviceName: string): void {
    if (this.#offers.get(serviceName)?.wanted) return
    this.#offers.set(serviceName, { wanted: true, sent: false, answered: false })
  }

  /** Takes back an offer; `isKnown` says whether there was a session that may know of it. */
  withdraw(serviceName: string, isKnown: boolean): void {
    if (!isKnown) this.#offers.delete(serviceName)
    else if (this.#offers.has(serviceName)) {
      this.#offers.set(serviceName, { wanted: false, sent: false, answered: false })
    }
  }

  /** Asks a service; for undo and redo, behind the action `after`. */
  ask(serviceName: string, args: Json, timeoutMs?: number, after?: Order): number {
    const call = ++this.#made
    this.#waiting.push({ call, serviceName, args, timeoutMs, after })
    return call
  }

  /** Gives up a request: it is not sent any more, and its answer is passed over (R40). */
  cancel(call: number): void {
    this.#waiting = this.#waiting.filter((it) => it.call !== call)
    for (const [requestId, it] of this.#sent) if (it.call === call) this.#sent.delete(requestId)
  }

  /** The last action made before an undo or redo that was not sent yet; 0 if there is none. */
  get lastBarrier(): Order {
    return this.#waiting.findLast((it) => it.after !== undefined)?.after ?? 0
  }

  /** The first such action: nothing that was made after it goes out. */
  get firstBarrier(): Order {
    return this.#waiting.find((it) => it.after !== undefined)?.after ?? Infinity
  }

  /** Whether the server has yet to answer a request, or a service that is offered or taken back. */
  get isOpen(): boolean {
    const offers = [...this.#offers.values()]
    return this.#waiting.length + this.#sent.size > 0 || offers.some((offer) => !offer.answered)
  }

  /** Services that the session does not know of yet, and those that it is to forget. */
  offersToSend(): ClientMessage[] {
    const unsent = [...this.#offers].filter(([, offer]) => !offer.sent)
    return unsent
      .sort(([a], [b]) => compareText(a, b))
      .map(([serviceName, offer]) => {
        offer.sent = true
        const type = offer.wanted ? "register_service" : "unregister_service"
        return { type, content: { service_name: serviceName } }
      })
  }

  /** Requests that can go out now, `oldest` being the oldest action of a logged topic without an outcome. */
  toSend(oldest: Order, nextId: () => string): ClientMessage[] {
    const again = this.#resend.map((requestId) => requestMessage(requestId, this.#sent.get(requestId)))
    this.#resend = []
    const isReady = ({ after = 0 }: Request) => after < oldest
    const ready = this.#waiting.filter(isReady)
    this.#waiting = this.#waiting.filter((it) => !isReady(it))
    const first = ready.map((request) => {
      const requestId = nextId()
      this.#sent.set(requestId, request)
      return requestMessage(requestId, request)
    })
    return [...again, ...first].flat()
  }

  /** Takes what a request came to. */
  response(requestId: string, outcome: Outcome): ReplicaEvent[] {
    const request = this.#sent.get(requestId)
    this.#sent.delete(requestId)
    return request ? [{ type: "response", call: request.call, outcome }] : []
  }

  /** The session has a service of this client, or has it no more. */
  answered(serviceName: string, isRegistered: boolean): void {
    const offer = this.#offers.get(serviceName)
    if (!offer?.sent || offer.wanted !== isRegistered) return
    if (isRegistered) offer.answered = true
    else this.#offers.delete(serviceName)
  }

  /**
   * The connection is lost. Reading requests are asked again; whether others were done is not known (R39).
   * What the session was told of services may not have come.
   */
  disconnected(): ReplicaEvent[] {
    this.#resend = [...this.#sent].filter(([, it]) => READING.test(it.serviceName)).map(([id]) => id)
    for (const offer of this.#offers.values()) offer.sent = offer.answered
    return [...this.#sent.keys()].flatMap((id) => (this.#resend.includes(id) ? [] : this.#lost(id)))
  }

  #lost(requestId: string): ReplicaEvent[] {
    const reason = "the connection was lost before the answer: whether it was done is not known"
    return this.response(requestId, { error: { code: "lost", reason } })
  }

  /** Gives up all requests (R38). */
  end(): ReplicaEvent[] {
    const lost = [...this.#sent.keys()].flatMap((requestId) => this.#lost(requestId))
    const error = { code: "closed", reason: "the client was closed before it was sent" }
    const unsent = this.#waiting.map(({ call }) => ({ type: "response", call, outcome: { error } }) as const)
    this.#waiting = []
    this.#offers.clear()
    return [...lost, ...unsent]
  }

  /** The session is gone, and with it its services. What is asked again is asked under new ids. */
  sessionLost(): void {
    this.#waiting = [...this.#sent.values(), ...this.#waiting].sort((a, b) => a.call - b.call)
    this.#sent.clear()
    this.#resend = []
    for (const [serviceName, offer] of this.#offers) {
      if (offer.wanted) offer.sent = offer.answered = false
      else this.#offers.delete(serviceName)
    }
  }
}

function requestMessage(requestId: string, request: Request | undefined): ClientMessage[] {
  if (!request) return []
  const { serviceName, args, timeoutMs } = request
  const content = { service_name: serviceName, args, request_id: requestId, timeout_ms: timeoutMs }
  return [{ type: "request", content }]
}
