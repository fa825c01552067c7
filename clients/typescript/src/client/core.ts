/** What a client's topics, services and connection share: one replica, and who waits for what. */

import type { Connection, ConnectionOptions, Status } from "../connection/connection.js"
import { keepConnected } from "../connection/connection.js"
import { findWebSocket } from "#websocket"
import type { ReplicaEvent } from "../replica/events.js"
import type { Draft, LocalChange } from "../replica/local.js"
import type { ErrorMessage, Outcome, ServedRequest } from "../replica/messages.js"
import { Replica } from "../replica/replica.js"
import { report } from "../report.js"
import type { Json } from "../value/json.js"
import { checked } from "../value/json.js"
import {
  Closed,
  ClosedUnanswered,
  OutcomeUnknown,
  Rejected,
  ServiceError,
  TimedOut,
  TopicError,
  Unsent,
} from "./errors.js"
import { Listeners } from "./listeners.js"
import { Awaitable, Pending, Registration, within } from "./pending.js"
import type { AnyTopic } from "./topic.js"

/** A service of this client: takes the arguments, and answers or throws. */
export type Service = (args: never, caller: { clientId: number }) => unknown

/** A service that is offered. */
interface Offer {
  readonly service: Service
  readonly registration: Registration
}

export class Core {
  readonly replica = new Replica()
  /** The topics that the program has, subscribed or not. */
  readonly topics = new Map<string, AnyTopic>()
  readonly statusListeners = new Listeners<Status>()
  readonly rejectedListeners = new Listeners<Rejected>()
  readonly errorListeners = new Listeners<ErrorMessage>()
  /** Told whenever the replica may have moved. */
  readonly movedListeners = new Listeners()
  /** How long whatever is awaited may take, in milliseconds. */
  readonly timeoutMs: number
  readonly #closeTimeoutMs: number
  status: Status = "connecting"
  readonly #connection: Connection
  readonly #changes = new Map<number, Pending>()
  readonly #calls = new Map<number, Awaitable<Json>>()
  readonly #offers = new Map<string, Offer>()
  readonly #warned = new Set<string>()
  /** The action that is being made. */
  #draft: { readonly draft: Draft; readonly pending: Pending } | undefined
  #closing: Promise<void> | undefined
  /** The client ended before all was answered. */
  #lost = false
  /** What the program is to be told, in order. */
  #news: (() => void)[] = []
  #telling = false

  constructor(url: string, options: ConnectionOptions) {
    this.timeoutMs = options.timeoutMs ?? 30_000
    this.#closeTimeoutMs = options.closeTimeoutMs ?? 5_000
    this.#connection = keepConnected(this.replica, url, options, {
      settle: () => this.settle(),
      status: (status) => this.#setStatus(status),
      warn: (text) => this.warn(text),
      findWebSocket,
    })
  }

  /** Runs what changes the replica, and passes on what happened in it. */
  act<T>(work: (replica: Replica) => T): T {
    const result = work(this.replica)
    this.settle()
    this.#connection.flushSoon()
    return result
  }

  /** Makes a change, or adds it to the action that is being made. */
  make(change: LocalChange): Pending {
    if (this.#draft) {
      this.#draft.draft.add(change)
      return this.#draft.pending
    }
    const pending = new Pending(change.topicName, this.timeoutMs)
    this.#begin(pending, () => this.replica.local([change]))
    return pending
  }

  /**
   * Makes what `work` changes one action; see `Client.action`. An action in an action becomes a part of
   * it, and is rolled back alone.
   */
  action(work: () => void): Pending {
    const outer = this.#draft
    const { draft, pending } = (this.#draft ??= {
      draft: this.replica.draft(),
      pending: new Pending("an action", this.timeoutMs),
    })
    const rollBack = draft.mark()
    try {
      refusePromise(work())
    } catch (error) {
      rollBack()
      if (!outer) pending.settle({ error: error as Error })
      throw error
    } finally {
      this.#draft = outer
    }
    if (!outer) {
      if (draft.isEmpty) pending.settle({ value: undefined })
      else this.#begin(pending, () => draft.commit())
    }
    return pending
  }

  #begin(pending: Pending, make: () => number): void {
    if (this.replica.isClosed) pending.settle({ error: new Unsent(pending.what) })
    else this.act(() => this.#changes.set(make(), pending))
  }

  /** A topic's view, with the action that is being made in it. */
  viewOf(topicName: string, otherwise: unknown): unknown {
    return this.#draft ? this.#draft.draft.viewOf(topicName, otherwise) : otherwise
  }

  /** Asks a service. */
  async call(
    serviceName: string,
    ask: (replica: Replica) => number,
    timeoutMs = this.timeoutMs,
  ): Promise<Json> {
    if (this.replica.isClosed) throw new Closed(serviceName)
    const call = ask(this.replica)
    const answer = new Awaitable<Json>(serviceName, Infinity)
    this.#calls.set(call, answer)
    this.#connection.flushSoon()
    return within(answer.then(), timeoutMs, () => {
      this.replica.cancel(call)
      this.#calls.delete(call)
      // As the server says it, which may come first.
      return new ServiceError(serviceName, "timeout", `no answer within ${timeoutMs / 1000} s`)
    })
  }

  #answer(call: number, { response = null, error }: Outcome): void {
    const answer = this.#calls.get(call)
    this.#calls.delete(call)
    if (!answer) return
    const { what } = answer
    if (!error) answer.settle({ value: response })
    else if (error.code === "closed") answer.settle({ error: new Closed(what) })
    else answer.settle({ error: new ServiceError(what, error.code, error.reason) })
  }

  /** Offers a service; a later offer of the same name takes the place of an earlier one. */
  register(serviceName: string, service: Service): Registration {
    const before = this.#offers.get(serviceName)?.registration
    const registration = new Registration(serviceName, this.timeoutMs, () => this.#stop(registration))
    if (this.replica.isClosed) {
      registration.close()
      return registration
    }
    this.#offers.set(serviceName, { service, registration })
    if (before?.isSettled) registration.settle({ value: undefined })
    else this.act((replica) => replica.registerService(serviceName))
    return registration
  }

  #stop(registration: Registration): void {
    const serviceName = registration.what
    if (this.#offers.get(serviceName)?.registration !== registration) return
    this.#withdrawn(serviceName, "failed", "the offer was taken back")
    this.act((replica) => replica.unregisterService(serviceName))
  }

  /** A service is no longer offered. */
  #withdrawn(serviceName: string, code: string, reason: string): boolean {
    const registration = this.#offers.get(serviceName)?.registration
    this.#offers.delete(serviceName)
    return registration?.settle({ error: new ServiceError(serviceName, code, reason) }) ?? false
  }

  /** Waits until something is so, or the client is closed. */
  until(isSo: () => boolean, what: string, timeoutMs = this.timeoutMs): Promise<void> {
    let stop: (() => void) | undefined
    const come = new Promise<void>((resolve) => {
      const look = () => {
        if (isSo() || this.status === "closed") resolve()
      }
      stop = this.movedListeners.add(look)
      look()
    })
    return within(come, timeoutMs, () => new TimedOut(what, timeoutMs)).finally(stop)
  }

  /** Waits until everything made, asked and offered here has its outcome. */
  async settled(): Promise<void> {
    await this.until(() => this.replica.isSettled, "what is pending")
    if (this.#lost) throw new Closed("what is pending")
  }

  /** Sends what there is, waits for the answers, and ends the session. */
  close(timeoutMs = this.#closeTimeoutMs): Promise<void> {
    return (this.#closing ??= this.#close(timeoutMs))
  }

  async #close(timeoutMs: number): Promise<void> {
    if (this.status === "closed") return
    const { replica } = this
    replica.close()
    await this.until(() => replica.isSettled, "close", timeoutMs).catch(() => {})
    const [unsent, unknown] = [replica.unanswered(false), replica.unanswered(true)]
    await this.#connection.close()
    if (unsent.length + unknown.length > 0) throw new ClosedUnanswered(unsent, unknown)
  }

  /** Takes what happened in the replica: first the views, all of them, then who is to be told. */
  settle(): void {
    for (let events; (events = this.replica.takeEvents()).length > 0;) {
      for (const event of events) this.#take(event)
    }
    this.#tellSoon()
  }

  #take(event: ReplicaEvent): void {
    if (event.type === "busy") return this.#connection.busy()
    const told = event.type === "changed" && this.topics.get(event.topicName)?.moved(event)
    this.#news.push(told || (() => this.#tell(event)))
  }

  #tell(event: ReplicaEvent): void {
    const topic = "topicName" in event ? this.topics.get(event.topicName) : undefined
    switch (event.type) {
      case "ready":
        return void topic?.answered()
      case "closed": {
        const { topicName, error } = event
        const reason = error && new TopicError(topicName, error.code, error.reason ?? "")
        return topic?.closed(reason)
      }
      case "confirmed":
        return void this.#settle(event.ticket, { value: event.id })
      case "rejected": {
        const error = new Rejected(event.rejection)
        const isAwaited = this.#settle(event.ticket, { error })
        if (!isAwaited && this.rejectedListeners.size === 0) this.warn(`${error}`)
        return this.rejectedListeners.tell(error)
      }
      case "unknown":
      case "unsent": {
        const what = this.#changes.get(event.ticket)?.what ?? "a change"
        const error = event.type === "unsent" ? new Unsent(what) : new OutcomeUnknown(what)
        if (!this.#settle(event.ticket, { error })) this.warn(`${error}`)
        return
      }
      case "response":
        return this.#answer(event.call, event.outcome)
      case "request":
        return void this.#serve(event.request)
      case "registered":
        return void this.#offers.get(event.serviceName)?.registration.settle({ value: undefined })
      case "error":
        return this.#tellError(event.error)
    }
  }

  #tellError(error: ErrorMessage): void {
    const { code, reason = "", to, topic_name, service_name } = error
    const isAwaited = to === "register_service" && this.#withdrawn(service_name ?? "", code, reason)
    if (!isAwaited && this.errorListeners.size === 0) {
      this.warn([topic_name ?? service_name, code, reason].filter(Boolean).join(": "))
    }
    this.errorListeners.tell(error)
  }

  /** Says in the console, once, what nobody listens for. */
  warn(text: string): void {
    if (this.#warned.has(text)) return
    this.#warned.add(text)
    console.warn(`topicsync: ${text}`)
  }

  /**
   * Tells the program what happened, in order, once the call is over in which it did: who changes
   * something from within an editor's update is not called back within it.
   */
  #tellSoon(): void {
    if (this.#telling) return
    this.#telling = true
    queueMicrotask(() => {
      for (let news = this.#news; news.length > 0; news = this.#news) {
        this.#news = []
        for (const tell of news) {
          try {
            tell()
          } catch (error) {
            report(error)
          }
        }
      }
      this.#telling = false
      this.movedListeners.tell()
    })
  }

  #settle(ticket: number, outcome: Parameters<Pending["settle"]>[0]): boolean {
    const pending = this.#changes.get(ticket)
    this.#changes.delete(ticket)
    return pending?.settle(outcome) ?? false
  }

  /** Has a service of the program answer a request. */
  async #serve(request: ServedRequest): Promise<void> {
    const { service_name: name, args = null, request_id: id, client_id: clientId } = request
    let outcome: Outcome
    try {
      const offer = this.#offers.get(name)
      if (!offer) throw new Error("it is not offered any more")
      outcome = { response: checked((await offer.service(args as never, { clientId })) ?? null) }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      outcome = { error: { code: "failed", reason } }
    }
    this.act((replica) => replica.respond(id, outcome))
  }

  #setStatus(status: Status): void {
    this.status = status
    if (status === "closed") this.#end()
    this.#news.push(() => this.statusListeners.tell(status))
    this.#tellSoon()
  }

  /** Ends everything: who still waits is told so. */
  #end(): void {
    this.#lost = !this.replica.isSettled
    this.replica.end()
    this.settle()
    const topics = [...this.topics.values()]
    const offers = [...this.#offers.values()]
    this.#offers.clear()
    this.#news.push(() => {
      for (const { registration } of offers) registration.close()
      for (const topic of topics) topic.closed(new Closed(topic.name))
    })
  }
}

function refusePromise(result: unknown): void {
  const isPromise = typeof result === "object" && result !== null && "then" in result
  // A promise that a change gives is none: an arrow function may well return it.
  if (isPromise && !(result instanceof Pending)) {
    throw new TypeError("an action is made at once: its function must not be async")
  }
}
