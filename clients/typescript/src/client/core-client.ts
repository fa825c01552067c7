/** The client as a program holds it, without the kinds of topics. */

import type { ConnectionOptions, Status } from "../connection/connection.js"
import type { ErrorMessage } from "../replica/messages.js"
import type { Replica } from "../replica/replica.js"
import type { Fields } from "../types/type.js"
import type { Json } from "../value/json.js"
import { checked, checkName } from "../value/json.js"
import type { Service } from "./core.js"
import { Core } from "./core.js"
import type { Rejected } from "./errors.js"
import type { Cut, History, Moment, PastValue, ViewOf } from "./history.js"
import { ask, PastTopic, valueAt } from "./history.js"
import type { Stop } from "./listeners.js"
import type { Pending, Registration } from "./pending.js"
import type { AnyTopic, Declaration } from "./topic.js"

/** What an undo or redo did. */
export interface Undone {
  /** The id of the action that it is; `null` if there was nothing to do. */
  readonly action_id: string | null
  readonly undone: readonly { readonly topic_name: string; readonly change: Fields }[]
  /** What could not be rebased over others' later work, and why. */
  readonly skipped: readonly {
    readonly topic_name: string
    readonly change: Fields
    readonly reason: string
  }[]
}

/**
 * A client of a topicsync server.
 *
 * It connects by itself, and again after a loss: what was changed meanwhile is sent then. It can be
 * used before the server is there, until it is {@link close | closed}.
 */
export class CoreClient {
  readonly #core: Core

  /**
   * Starts a client of the server at `url`, `ws://host:port/`.
   *
   * @throws `TypeError` if that is no such address.
   */
  constructor(url: string, options: ConnectionOptions = {}) {
    this.#core = new Core(url, options)
  }

  /** Where the connection stands. */
  get status(): Status {
    return this.#core.status
  }

  /** The id of the session in force; `undefined` before the first. */
  get id(): number | undefined {
    return this.#core.replica.clientId
  }

  /** How many actions made here the server has not answered. Those sent as one count as one. */
  get pending(): number {
    return this.#core.replica.actions.size
  }

  /** Calls back when {@link status} changes. */
  onStatus(callback: (status: Status) => void): Stop {
    return this.#core.statusListeners.add(callback)
  }

  /** Calls back for every rejection of a change made here, whether somebody awaits it or not. */
  onRejected(callback: (rejected: Rejected) => void): Stop {
    return this.#core.rejectedListeners.add(callback)
  }

  /** Calls back when the server complains of something that nobody here waits for. */
  onError(callback: (error: ErrorMessage) => void): Stop {
    return this.#core.errorListeners.add(callback)
  }

  /** Calls back when {@link status}, {@link pending} or {@link id} may be another. */
  subscribe(callback: () => void): Stop {
    const stops = [this.onStatus(callback), this.#core.movedListeners.add(callback)]
    return () => stops.forEach((stop) => stop())
  }

  /**
   * Waits until everything that was made, asked and offered here has been answered.
   *
   * @throws {@link TimedOut} or {@link Closed} if it is not.
   */
  settled(): Promise<void> {
    return this.#core.settled()
  }

  /**
   * Waits until the client is online, or closed.
   *
   * @throws {@link TimedOut} if it is neither in time.
   */
  online(): Promise<void> {
    return this.#core.until(() => this.status === "online", "the connection")
  }

  /**
   * Sends what there is, waits until it is answered, and ends the session. Nothing more is taken
   * meanwhile. What is not answered within the limit, `closeTimeoutMs` of the connection's options by
   * default, may be lost.
   *
   * @throws {@link ClosedUnanswered}, once the client is closed, with the changes that were not answered.
   */
  close({ timeoutMs }: { timeoutMs?: number } = {}): Promise<void> {
    return this.#core.close(timeoutMs)
  }

  /** The topic of a declaration. It is subscribed to, and made if there is none. */
  open<T extends AnyTopic>(declaration: Declaration<T>): T {
    return this.handle(declaration).open()
  }

  /** The topic of a declaration, which is not subscribed to until somebody {@link Topic.hold | holds} it. */
  handle<T extends AnyTopic>(declaration: Declaration<T>): T {
    const { name, type, kind } = declaration
    checkName(name)
    const topic = this.#core.topics.get(name) ?? new kind(this.#core, declaration)
    if (topic.type !== type || !(topic instanceof kind)) {
      throw new TypeError(`topic ${JSON.stringify(name)} is declared otherwise`)
    }
    this.#core.topics.set(name, topic)
    return topic
  }

  /**
   * Makes all that `work` changes take effect together or not at all. Within it, topics show the
   * changes already; nobody else sees any of them before it ends. If it throws, none has happened, and
   * the error goes on.
   *
   * ```ts
   * await client.action(() => {
   *   nodes.remove("n1")
   *   edges.pop(0)
   * })
   * ```
   */
  action(work: () => void): Pending {
    return this.#core.action(work)
  }

  /** Undoes this client's newest action. Others' later work stays as it is. */
  undo(): Promise<Undone> {
    return this.#undo("undo")
  }

  /** Redoes what was undone last. */
  redo(): Promise<Undone> {
    return this.#undo("redo")
  }

  #undo(which: "undo" | "redo"): Promise<Undone> {
    return this.#core.call(which, (replica) => replica.undo(which)) as unknown as Promise<Undone>
  }

  /**
   * Asks a service. Without a time-out, that of the connection's options holds.
   *
   * @throws {@link ServiceError} if it is not there, failed, or did not answer in time.
   */
  request<Answer = Json>(
    serviceName: string,
    args: unknown = null,
    { timeoutMs }: { timeoutMs?: number } = {},
  ): Promise<Answer> {
    checkName(serviceName)
    const given = checked(args)
    const ask = (replica: Replica) => replica.request(serviceName, given, timeoutMs)
    return this.#core.call(serviceName, ask, timeoutMs) as Promise<Answer>
  }

  /**
   * Offers a service, in this session and every later one. What it gives, or its promise, is the
   * answer; if it throws, who asks is told the error's message.
   *
   * @returns the offer: it can be awaited, and stopped
   */
  register<Args = Json>(
    serviceName: string,
    service: (args: Args, caller: { clientId: number }) => unknown,
  ): Registration {
    checkName(serviceName)
    return this.#core.register(serviceName, service as Service)
  }

  /** A topic's value as it was. */
  valueAt(topicName: string, moment: Moment): Promise<PastValue> {
    return valueAt(this.#core, topicName, moment)
  }

  /**
   * A topic's changes, from version `from` (1) to `to` (the head), at most `limit` (1,000) at a time.
   */
  history(topicName: string, range: { from?: number; to?: number; limit?: number } = {}): Promise<History> {
    return ask(this.#core, "history", { topic_name: topicName, ...range })
  }

  /**
   * Topics as they stood together at a commit number or a time: those of these names, those whose
   * names begin with `prefix`, or all.
   */
  cut(
    moment: { commit: number } | { time: number },
    which: { topicNames?: readonly string[]; prefix?: string } = {},
  ): Promise<Cut> {
    const { topicNames, prefix } = which
    return ask(this.#core, "cut", { ...moment, topic_names: topicNames, prefix })
  }

  /** A topic as it was, to be looked at and stepped through. */
  subscribeAt<T extends AnyTopic>(
    declaration: Declaration<T>,
    moment: Moment,
  ): Promise<PastTopic<ViewOf<T>>> {
    return PastTopic.at(this.#core, declaration, moment)
  }
}
