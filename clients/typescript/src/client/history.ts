/** The past: values, changes, and whole workspaces as they were. */

import type { Fields } from "../types/type.js"
import type { Json, JsonObject } from "../value/json.js"
import { frozen } from "../value/json.js"
import type { Core } from "./core.js"
import type { Stop } from "./listeners.js"
import { Listeners } from "./listeners.js"
import type { AnyTopic, Declaration, Topic } from "./topic.js"

/** A moment of a topic: a version, a commit number, or a time in milliseconds since 1970, UTC. */
export type Moment = { readonly version: number } | { readonly commit: number } | { readonly time: number }

/** A value as it was. */
export interface PastValue {
  readonly version: number
  /** The commit in which it came to be so. */
  readonly commit: number
  readonly value: Json
}

/** One change of a topic's history. */
export interface HistoryEntry {
  readonly version: number
  readonly commit: number
  /** The change, as on the wire. */
  readonly change: Fields
  /** Who made it, by client id. */
  readonly author: number | null
  readonly action_id: string | null
  /** The action that it undoes or redoes. */
  readonly undoes: string | null
  readonly redoes: string | null
  /** In milliseconds since 1970, UTC. */
  readonly time: number
}

/** A part of a topic's history. */
export interface History {
  readonly entries: readonly HistoryEntry[]
  /** The version to go on from; `null` at the end. */
  readonly next: number | null
}

/** Topics as they stood together. */
export interface Cut {
  readonly commit: number
  readonly topics: {
    readonly [topicName: string]: {
      readonly type: string
      readonly version: number
      readonly value: Json
    }
  }
}

/** What a topic's view is. */
export type ViewOf<T> = T extends Topic<infer View, infer _Event> ? View : never

/** Asks one of the server's services. */
export function ask<T>(core: Core, service: string, args: object): Promise<T> {
  const serviceName = `_topicsync/${service}`
  return core.call(serviceName, (replica) => replica.request(serviceName, args as JsonObject)) as Promise<T>
}

/**
 * A topic as it was, to look at and to step through. It does not change by itself.
 *
 * @typeParam View - its value
 */
export class PastTopic<View> {
  /** The topic's name. */
  readonly name: string
  readonly #core: Core
  readonly #declaration: Declaration
  readonly #listeners = new Listeners()
  #past: PastValue
  #view: View

  /** @internal */
  static async at<T extends AnyTopic>(
    core: Core,
    declaration: Declaration<T>,
    moment: Moment,
  ): Promise<PastTopic<ViewOf<T>>> {
    const past = await valueAt(core, declaration.name, moment)
    return new PastTopic(core, declaration as unknown as Declaration, past)
  }

  private constructor(core: Core, declaration: Declaration, past: PastValue) {
    this.name = declaration.name
    this.#core = core
    this.#declaration = declaration
    this.#past = past
    this.#view = this.#viewOf(past.value)
  }

  /** The value at {@link version}. */
  get value(): View {
    return this.#view
  }

  /** Which version it is. */
  get version(): number {
    return this.#past.version
  }

  /** The commit in which the value came to be so. */
  get commit(): number {
    return this.#past.commit
  }

  /** Goes to another moment. */
  async goTo(moment: Moment): Promise<this> {
    this.#past = await valueAt(this.#core, this.name, moment)
    this.#view = this.#viewOf(this.#past.value)
    this.#listeners.tell()
    return this
  }

  /** Goes some versions on, or, negative, back. Version 0 is the initial value. */
  step(versions: number): Promise<this> {
    return this.goTo({ version: this.version + versions })
  }

  /** The change that made this version, if it is not the initial one. */
  async entry(): Promise<HistoryEntry | undefined> {
    if (this.version === 0) return undefined
    const range = { topic_name: this.name, from: this.version, to: this.version }
    return (await ask<History>(this.#core, "history", range)).entries[0]
  }

  /** Calls back whenever it was gone to another moment. */
  subscribe(callback: () => void): Stop {
    return this.#listeners.add(callback)
  }

  #viewOf(value: Json): View {
    const { type } = this.#declaration
    const inner = type.decodeValue(value)
    return frozen(type.view ? type.view(inner) : inner) as View
  }
}

/** Asks for a value as it was. */
export function valueAt(core: Core, topicName: string, moment: Moment): Promise<PastValue> {
  return ask(core, "value_at", { topic_name: topicName, ...moment })
}
