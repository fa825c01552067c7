/** A topic as a program holds it; the kinds of topics add the changes of their types. */

import type { Changed } from "../replica/events.js"
import type { TopicReplica } from "../replica/topic-replica.js"
import type { AnyType, Fields, TopicType } from "../types/type.js"
import type { JsonObject } from "../value/json.js"
import { frozen } from "../value/json.js"
import type { Core } from "./core.js"
import { Closed, TimedOut } from "./errors.js"
import type { Source, Stop } from "./listeners.js"
import { Listeners } from "./listeners.js"
import type { Pending } from "./pending.js"
import { within } from "./pending.js"

/** What a topic is made with, by who subscribes first. */
export interface TopicOptions {
  /** False: no log beyond what resuming needs, and no undo. */
  readonly history?: boolean
  /** How much of the log is kept; all of it by default. */
  readonly keep?: { readonly versions: number } | { readonly seconds: number }
  /** `latest`: at most one update every 50 ms, composed. */
  readonly delivery?: "every" | "latest"
  /** When a change counts as done; by default as the server does. */
  readonly durability?: "commit" | "relaxed" | "memory"
  /** A dict in which each session has the entry under its own id, gone with the session. */
  readonly presence?: boolean
}

/** A topic's name and type, and what a program has it as: what a client subscribes to. */
export interface Declaration<T extends AnyTopic = AnyTopic> {
  readonly name: string
  readonly type: AnyType
  readonly options: TopicOptions
  /** @internal */
  readonly kind: new (core: Core, declaration: Declaration) => T
}

/** A topic of any kind. */
export type AnyTopic = Topic<any, any>

/** How long a topic that nobody holds any more stays subscribed, in milliseconds. */
const GRACE_MS = 1000

/**
 * A topic: a value that many share.
 *
 * {@link value} is the same object until the value changes, and never changes itself. It cannot be changed in
 * place: its type is read-only at any depth, and it is frozen unless `NODE_ENV` is `production`.
 *
 * @typeParam View - its value
 * @typeParam Event - what it tells of changes
 */
export class Topic<View, Event> {
  /** The topic's name. */
  readonly name: string
  /** The topic's type. */
  readonly type: AnyType
  /** @internal */
  protected readonly core: Core
  readonly #options: TopicOptions
  readonly #changeListeners = new Listeners<Event & Source>()
  readonly #moveListeners = new Listeners()
  /** Told within the call that moves the view. */
  readonly #observers = new Listeners()
  #waiting: { resolve: () => void; reject: (error: Error) => void }[] = []
  #error: Error | undefined
  #holders = 0
  #own: Stop | undefined
  #grace: ReturnType<typeof setTimeout> | undefined
  /** The view as its type has it, and as the program sees it. */
  #inner: unknown
  #seen: { readonly inner: unknown; readonly view: View } | undefined

  /** @internal */
  constructor(core: Core, { name, type, options }: Declaration) {
    this.name = name
    this.type = type
    this.core = core
    this.#options = options
    this.#inner = type.initial
  }

  /**
   * The value as it is seen here, own changes included that the server has not answered yet. Until it
   * came it is the type's initial one.
   */
  get value(): View {
    const inner = this.inner
    if (this.#seen?.inner !== inner) this.#seen = { inner, view: this.#view(inner) }
    return this.#seen!.view
  }

  /** The value at {@link version}, without what is pending. */
  get confirmed(): View {
    const topic = this.#replica
    return this.#view(topic ? topic.confirmed : this.type.initial)
  }

  /** The last version received: how many changes the topic had accepted by then. */
  get version(): number {
    return this.#replica?.version ?? 0
  }

  /** How many changes made here the server has not answered. Those that wait are composed. */
  get pending(): number {
    return this.#replica?.pending.length ?? 0
  }

  /** Whether the value has been received. */
  get isReady(): boolean {
    return this.#replica?.ready ?? false
  }

  /** Why the topic cannot be had, or is no longer: it has another type, say. */
  get error(): Error | undefined {
    return this.#error
  }

  /**
   * Waits for the first value.
   *
   * @returns the topic itself
   * @throws {@link TopicError} if there will be none, {@link TimedOut} if it does not come in time,
   * {@link Closed} if the client is closed.
   */
  async ready(): Promise<this> {
    if (this.#error) throw this.#error
    if (this.isReady) return this
    if (this.core.status === "closed") throw new Closed(this.name)
    const { timeoutMs } = this.core
    const come = new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }))
    await within(come, timeoutMs, () => new TimedOut(`the value of ${this.name}`, timeoutMs))
    return this
  }

  /**
   * Calls back for every change of the value, in order. Each event says what changed, and whether it
   * was made here. A whole value, as the first is, comes as `set`. A change that is made here is told
   * once the call that made it is over: {@link value} may be a later one by then.
   *
   * @returns what ends it
   */
  onChange(callback: (event: Event & Source) => void): Stop {
    return this.#changeListeners.add(callback)
  }

  /**
   * Calls back whenever {@link value} is another, or the topic's state changed, without saying how, and
   * as late as {@link onChange}.
   *
   * @returns what ends it
   */
  subscribe(callback: () => void): Stop {
    return this.#moveListeners.add(callback)
  }

  /**
   * @internal Calls back as {@link subscribe} does, but within the call that makes {@link value}
   * another: a framework has to know before the event is over in which somebody typed.
   */
  observe(callback: () => void): Stop {
    const stops = [this.#observers.add(callback), this.subscribe(callback)]
    return () => stops.forEach((stop) => stop())
  }

  /**
   * Keeps the topic subscribed until the answer is called. It stays so for a second longer, so that
   * who takes it up again at once finds it as it was.
   *
   * @returns what lets it go
   */
  hold(): Stop {
    clearTimeout(this.#grace)
    if (this.#holders++ === 0) this.#subscribe()
    let held = true
    return () => {
      if (!held) return
      held = false
      if (--this.#holders > 0) return
      this.#grace = setTimeout(() => this.#unsubscribe(), GRACE_MS)
      // Who takes it up again tries anew.
      this.#error = undefined
    }
  }

  /**
   * @internal Keeps the topic subscribed until {@link leave}, and takes it up again if it was removed.
   */
  open(): this {
    if (this.#error && this.#own) this.#subscribe()
    this.#own ??= this.hold()
    return this
  }

  /** Ends the subscription, unless somebody else {@link hold | holds} the topic. */
  leave(): void {
    this.#own?.()
    this.#own = undefined
  }

  /** The view as its type has it. */
  protected get inner(): unknown {
    return this.core.viewOf(this.name, this.#inner)
  }

  /**
   * Makes a change, as on the wire: with a base if it can have one, or, `overwriting`, of whatever is
   * there by then.
   */
  protected make(change: Fields, overwriting = false): Pending {
    return this.core.make({ topicName: this.name, change, overwriting })
  }

  get #replica(): Readonly<TopicReplica> | undefined {
    return this.core.replica.topic(this.name)
  }

  #view(inner: unknown): View {
    return frozen(this.type.view ? this.type.view(inner) : inner) as View
  }

  #subscribe(): void {
    this.#error = undefined
    this.core.act((replica) => {
      replica.subscribe(this.name, this.type, this.#options as JsonObject)
    })
  }

  #unsubscribe(): void {
    if (this.#holders === 0) this.core.act((replica) => replica.unsubscribe(this.name))
  }

  /** @internal Takes the view that it has now; gives what tells so those who listen. */
  moved(changed: Changed): () => void {
    this.#inner = changed.value
    this.#observers.tell()
    if (this.#changeListeners.size === 0) return () => this.#moveListeners.tell()
    const tell = this.#changeListeners.later()
    return () => {
      const { origin, author } = changed
      const local = origin === "local"
      for (const event of this.#describe(changed)) tell(frozen({ local, origin, author, ...event }))
      this.#moveListeners.tell()
    }
  }

  #describe({ before, value, changes }: Changed): Event[] {
    if (changes.length === 0) return [{ type: "set", value: this.#view(value) } as Event]
    const events: Event[] = []
    let at = before
    for (const change of changes) {
      events.push(...(this.type.describe?.(change, at) ?? [change]))
      if (changes.length > 1) at = this.type.apply(at, change)
    }
    return events
  }

  /** @internal It is no longer subscribed, or cannot be. */
  closed(error: Error | undefined): void {
    this.#error = error
    this.#inner = this.#replica?.view ?? this.type.initial
    if (error && !this.answered(error) && !(error instanceof Closed)) this.core.warn(`${error}`)
    // Somebody holds it again, who came while it was being left.
    if (!error && this.#holders > 0 && !this.#replica) this.#subscribe()
  }

  /**
   * @internal Lets go on who waits for the first value: there is one, or will be none. Gives whether
   * somebody waited.
   */
  answered(error?: Error): boolean {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { resolve, reject } of waiting) error ? reject(error) : resolve()
    this.#moveListeners.tell()
    return waiting.length > 0
  }
}

/** A topic of a type of one's own: its changes are made as the type has them. */
export class TypedTopic<C, View, Event> extends Topic<View, Event> {
  /**
   * Makes a change, with a base if it can have one: it is rebased over others' changes, or rejected.
   *
   * @throws {@link Invalid} if it does not fit the value.
   */
  change(change: C): Pending {
    return this.make(this.#fields(change))
  }

  /**
   * Makes a change of whatever is there by then: it simply wins.
   *
   * @throws {@link Invalid} if it does not fit the value.
   */
  overwrite(change: C): Pending {
    return this.make(this.#fields(change), true)
  }

  #fields(change: C): Fields {
    return (this.type as TopicType<unknown, C>).encodeChange(change)
  }
}
