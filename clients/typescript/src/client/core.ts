/** What a client's topics, services and connection share: one replica, and who waits for what. */

import type { Connection, ConnectionOptions, Status } from "../connection/connection.js"
import { keepConnected } from "../connection/connection.js"
import { findWebSocket } from "#websocket"
import type { ReplicaEvent } from "../replica/events.js"
import type { Draft, LocalChange } from "../replica/local.js"
import type { ErrorMessage, Outcome, ServedRequest } from "../replica/messages.js"
import { Replica } from "../replica/replica.js"
import type { Json } from "../value/json.js"
import { checked } from "../value/json.js"
import { Closed, FateUnknown, Rejected, ServiceError, TopicError } from "./errors.js"
import { Listeners } from "./listeners.js"
import { Pending } from "./pending.js"
import type { AnyTopic } from "./topic.js"

/** A service of this client: takes the arguments, and answers or throws. */
export type Provider = (args: never, caller: { clientId: number }) => unknown

/** What the program is yet to be told. */
type News = () => void

export class Core {
  readonly replica = new Replica()
  /** The topics that the program has, subscribed or not. */
  readonly topics = new Map<string, AnyTopic>()
  readonly providers = new Map<string, Provider>()
  readonly statusListeners = new Listeners<Status>()
  readonly rejectedListeners = new Listeners<Rejected>()
  readonly errorListeners = new Listeners<ErrorMessage>()
  /** Told whenever the replica may have moved. */
  readonly movedListeners = new Listeners()
  status: Status = "connecting"
  readonly #connection: Connection
  readonly #tickets = new Map<number, Pending>()
  readonly #calls = new Map<number, (outcome: Outcome) => void>()
  /** The action that is being made. */
  #draft: { readonly draft: Draft; readonly pending: Pending } | undefined
  #news: News[] = []
  #telling = false

  constructor(url: string, options: ConnectionOptions) {
    this.#connection = keepConnected(this.replica, url, options, {
      settle: () => this.settle(),
      status: (status) => this.#setStatus(status),
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
    const pending = new Pending()
    this.#begin(pending, () => this.replica.local([change]))
    return pending
  }

  /**
   * Makes what `work` changes one action; see `Client.action`. An action in an action becomes a part of
   * it, and is rolled back alone.
   */
  action(work: () => void): Pending {
    const outer = this.#draft
    const { draft, pending } = (this.#draft ??= { draft: this.replica.draft(), pending: new Pending() })
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
      if (draft.isEmpty) pending.settle({ id: undefined })
      else this.#begin(pending, () => draft.commit())
    }
    return pending
  }

  #begin(pending: Pending, make: () => number): void {
    if (this.status === "closed") pending.settle({ error: closed() })
    else this.act(() => this.#tickets.set(make(), pending))
  }

  /** A topic's view, with the action that is being made in it. */
  viewOf(topicName: string, otherwise: unknown): unknown {
    return this.#draft ? this.#draft.draft.viewOf(topicName, otherwise) : otherwise
  }

  /** Asks a service. */
  call(ask: (replica: Replica) => number): Promise<Json> {
    return new Promise((resolve, reject) => {
      if (this.status === "closed") return reject(closed())
      const call = ask(this.replica)
      this.#calls.set(call, ({ response = null, error }) => {
        if (error) reject(new ServiceError(error.code, error.reason))
        else resolve(response)
      })
      this.#connection.flushSoon()
    })
  }

  close(): Promise<void> {
    return this.#connection.close()
  }

  /** Takes what happened in the replica: first the views, all of them, then who is to be told. */
  settle(): void {
    for (let events; (events = this.replica.takeEvents()).length > 0;) {
      for (const event of events) this.#take(event)
    }
    this.#tell()
  }

  #take(event: ReplicaEvent): void {
    const topic = "topicName" in event ? this.topics.get(event.topicName) : undefined
    switch (event.type) {
      case "changed":
        topic?.moved(event.value)
        this.#news.push(() => topic?.told(event))
        return
      case "ready":
        this.#news.push(() => topic?.answered())
        return
      case "closed": {
        const { topicName, error } = event
        const reason = error && new TopicError(error.code, error.reason ?? "", `${topicName}: `)
        this.#news.push(() => topic?.closed(reason))
        return
      }
      case "confirmed":
        return this.#settle(event.ticket, { id: event.id })
      case "rejected": {
        const rejected = new Rejected(event.rejection)
        this.#settle(event.ticket, { error: rejected })
        this.#news.push(() => this.rejectedListeners.tell(rejected))
        return
      }
      case "unknown":
        return this.#settle(event.ticket, {
          error: new FateUnknown("the session, or the topic's life, ended before the answer"),
        })
      case "response":
        this.#calls.get(event.call)?.(event.outcome)
        this.#calls.delete(event.call)
        return
      case "request":
        void this.#serve(event.request)
        return
      case "busy":
        return this.#connection.busy()
      case "error":
        this.#news.push(() => this.errorListeners.tell(event.error))
    }
  }

  /** Tells the program what happened, in order; what it changes meanwhile is told behind. */
  #tell(): void {
    if (this.#telling) return
    this.#telling = true
    for (let news = this.#news; news.length > 0; news = this.#news) {
      this.#news = []
      for (const tell of news) tell()
    }
    this.#telling = false
    this.movedListeners.tell()
  }

  #settle(ticket: number, fate: Parameters<Pending["settle"]>[0]): void {
    this.#tickets.get(ticket)?.settle(fate)
    this.#tickets.delete(ticket)
  }

  /** Has a service of the program answer a request. */
  async #serve(request: ServedRequest): Promise<void> {
    const { service_name: name, args = null, request_id: id, client_id: clientId } = request
    let outcome: Outcome
    try {
      const provider = this.providers.get(name)
      if (!provider) throw new Error("it is not offered any more")
      outcome = { response: checked((await provider(args as never, { clientId })) ?? null) }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      outcome = { error: { code: "failed", reason } }
    }
    this.act((replica) => replica.respond(id, outcome))
  }

  #setStatus(status: Status): void {
    this.status = status
    if (status === "closed") this.#close()
    this.#news.push(() => this.statusListeners.tell(status))
    this.#tell()
  }

  /** Ends everything: who still waits is told so. */
  #close(): void {
    const error = closed()
    for (const pending of this.#tickets.values()) pending.settle({ error })
    for (const answer of this.#calls.values()) {
      answer({ error: { code: "failed", reason: error.message } })
    }
    for (const topic of this.topics.values()) topic.closed(error)
    for (const waiting of [this.#tickets, this.#calls, this.providers]) waiting.clear()
  }
}

function closed(): Closed {
  return new Closed("the client was closed before the answer")
}

function refusePromise(result: unknown): void {
  const isPromise = typeof result === "object" && result !== null && "then" in result
  // A promise that a change gives is none: an arrow function may well return it.
  if (isPromise && !(result instanceof Pending)) {
    throw new TypeError("an action is made at once: its function must not be async")
  }
}
