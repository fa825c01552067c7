/** The least server that keeps the protocol: topics with whole logs, sessions, no journal. */

import type {
  ClientMessage,
  Part,
  RejectCode,
  SentChange,
  ServerMessage,
} from "../../src/replica/messages.js"
import type { AnyType, Fields, Maybe } from "../../src/types/type.js"
import { carryOne, resolve } from "../../src/types/type.js"
import { Conflict, Invalid } from "../../src/value/errors.js"
import { typeNamed } from "./types.js"

interface Entry {
  readonly change: Maybe<unknown>
  readonly id: string
  readonly author: number
  readonly actionId: string | undefined
}

export interface ToyTopic {
  readonly type: AnyType
  readonly epoch: string
  value: unknown
  readonly log: Entry[]
}

interface ToySession {
  readonly subscribed: Set<string>
  readonly out: ServerMessage[]
}

/** A change that the server does not take. */
class Refusal extends Error {
  constructor(
    readonly sent: SentChange,
    readonly code: RejectCode,
    reason: string,
  ) {
    super(reason)
  }
}

type Content<T extends ClientMessage["type"]> = Extract<ClientMessage, { type: T }>["content"]

export class Toy {
  readonly topics = new Map<string, ToyTopic>()
  readonly sessions = new Map<number, ToySession>()
  #made = 0
  #commit = 0
  /** Subscriptions are answered by snapshots alone. */
  forgetful = false
  /** So many changes more are answered with `busy`. */
  busy = 0

  connect(): number {
    const session = ++this.#made
    this.sessions.set(session, { subscribed: new Set(), out: [] })
    this.#say(session, hello(session, false))
    return session
  }

  /** The connection is lost; its session stays. */
  disconnect(session: number): void {
    if (this.sessions.has(session)) {
      this.sessions.set(session, { subscribed: new Set(), out: [] })
    }
  }

  /** Throws away what a session was to be told of its topics, and gives it snapshots instead. */
  lag(session: number): void {
    const it = this.sessions.get(session)
    if (!it) return
    const kept = it.out.filter(({ type }) => type !== "update" && type !== "action")
    it.out.splice(0, Infinity, ...kept)
    for (const topicName of it.subscribed) this.#giveSnapshot(session, topicName)
  }

  /** A topic loses all and begins a new life. */
  newLife(topicName: string): void {
    const { type } = this.topics.get(topicName)!
    const epoch = `epoch${this.#made}-${this.#commit}`
    this.topics.set(topicName, { type, epoch, value: type.initial, log: [] })
  }

  /** Takes a message; gives the session that the connection then has. */
  receive(session: number, message: ClientMessage): number {
    switch (message.type) {
      case "resume":
        return this.#resume(session, message.content.session)
      case "subscribe":
        this.#subscribe(session, message.content)
        break
      case "unsubscribe":
        this.sessions.get(session)!.subscribed.delete(message.content.topic_name)
        this.#say(session, { type: "unsubscribed", content: message.content })
        break
      case "update":
        this.#submit(session, undefined, [message.content])
        break
      case "action":
        this.#submit(session, message.content.action_id, message.content.changes)
        break
      case "request": {
        const { request_id, args } = message.content
        this.#say(session, { type: "response", content: { request_id, response: args } })
      }
    }
    return session
  }

  #say(session: number, message: ServerMessage): void {
    this.sessions.get(session)?.out.push(structuredClone(message))
  }

  #resume(session: number, token: string): number {
    const old = Number(token.replace("token", ""))
    if (!this.sessions.has(old)) {
      const content = { code: "session_unknown", to: "resume" }
      this.#say(session, { type: "error", content })
      return session
    }
    this.sessions.delete(session)
    this.#say(old, hello(old, true))
    return old
  }

  #subscribe(session: number, { topic_name, type: name, since }: Content<"subscribe">): void {
    if (!this.topics.has(topic_name)) {
      const type = typeNamed(name)
      const epoch = `epoch${this.topics.size}`
      this.topics.set(topic_name, { type, epoch, value: type.initial, log: [] })
    }
    const { type, epoch, log } = this.topics.get(topic_name)!
    const continues = since?.epoch === epoch && !this.forgetful
    this.sessions.get(session)!.subscribed.add(topic_name)
    const content = { topic_name, type: type.name, epoch, version: log.length }
    const from = continues ? { since: since!.version } : {}
    this.#say(session, { type: "subscribed", content: { ...content, ...from } })
    if (!continues) return type.stateless ? undefined : this.#giveSnapshot(session, topic_name)
    for (let version = since!.version + 1; version <= log.length; version++) {
      const { author } = log[version - 1]!
      const part = { ...this.#part(topic_name, version), author }
      this.#say(session, { type: "update", content: part })
    }
  }

  /**
   * Gives a session a topic's whole value, and after it its own changes, as their confirmations may
   * have been thrown away.
   */
  #giveSnapshot(session: number, topic_name: string): void {
    const { type, value, log } = this.topics.get(topic_name)!
    const change = { type: "set", value: type.encodeValue(value) }
    const content = { topic_name, version: log.length, snapshot: true, change }
    this.#say(session, { type: "update", content })
    log.forEach(({ author, actionId }, at) => {
      if (author !== session) return
      this.#say(session, this.#published(author, actionId, [this.#part(topic_name, at + 1)]))
    })
  }

  #part(topic_name: string, version: number): Part {
    const { type, log } = this.topics.get(topic_name)!
    const { change, id } = log[version - 1]!
    const fields: Fields = change === undefined ? { type: "none" } : type.encodeChange(change)
    return { topic_name, version, change: { ...fields, id } }
  }

  #submit(session: number, actionId: string | undefined, changes: readonly SentChange[]): void {
    if (this.#confirmAgain(session, actionId, changes)) return
    try {
      if (this.busy > 0) {
        this.busy--
        throw new Refusal(changes[0]!, "busy", "later")
      }
      const parts = this.#accept(session, actionId, changes)
      this.#publish(session, actionId, parts)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { sent, code, message: reason } = error
      const action = actionId === undefined ? {} : { action_id: actionId }
      const content = { topic_name: sent.topic_name, change: sent.change, code, reason, ...action }
      this.#say(session, { type: "reject_update", content })
    }
  }

  #accept(author: number, actionId: string | undefined, changes: readonly SentChange[]): Part[] {
    const known = changes.find((it) => this.#versionOf(it) > 0)
    if (known) throw new Refusal(known, "invalid", "known in part")
    const saved = [...this.topics].map(([name, topic]): [string, ToyTopic] => [
      name,
      { ...topic, log: [...topic.log] },
    ])
    try {
      const runs = new Map<string, Maybe<unknown>[]>()
      for (const { topic_name: name } of changes) {
        if (runs.has(name)) continue
        runs.set(
          name,
          this.#carried(
            this.topics.get(name)!,
            changes.filter((it) => it.topic_name === name),
          ),
        )
      }
      return changes.map((sent) =>
        this.#acceptOne(sent, runs.get(sent.topic_name)!.shift(), author, actionId),
      )
    } catch (error) {
      for (const [name, topic] of saved) this.topics.set(name, topic)
      throw error
    }
  }

  #acceptOne(sent: SentChange, change: Maybe<unknown>, author: number, actionId: string | undefined): Part {
    const topic = this.topics.get(sent.topic_name)!
    try {
      if (change !== undefined) {
        change = resolve(topic.type, change, topic.value)
        topic.value = topic.type.apply(topic.value, change)
      }
    } catch (error) {
      if (!(error instanceof Invalid)) throw error
      const code = sent.change.base === undefined ? "invalid" : "stale"
      throw new Refusal(sent, code, error.message)
    }
    topic.log.push({ change, id: sent.change.id!, author, actionId })
    return this.#part(sent.topic_name, topic.log.length)
  }

  /** The changes of one batch on a topic, carried to the head. */
  #carried({ type, epoch, log }: ToyTopic, changes: readonly SentChange[]): Maybe<unknown>[] {
    const [first] = changes as [SentChange]
    const { base } = first.change
    if (changes.some((it) => it.change.base !== base)) {
      throw new Refusal(first, "invalid", "bases differ")
    }
    if (changes.some((it) => it.epoch !== undefined && it.epoch !== epoch)) {
      throw new Refusal(first, "stale", "another epoch")
    }
    let run: Maybe<unknown>[]
    try {
      run = changes.map(({ change }) => type.decodeChange(change))
    } catch (error) {
      throw new Refusal(first, "invalid", String(error))
    }
    if (base === undefined) return run
    if (run.some((change) => type.takesBase && !type.takesBase(change))) {
      throw new Refusal(first, "invalid", "goes without a base")
    }
    if (base > log.length) throw new Refusal(first, "stale", "base past the head")
    try {
      for (const entry of log.slice(base)) {
        let accepted = entry.change
        run = run.map((change) => {
          const [carried, left] = carryOne(type, change, accepted)
          accepted = left
          return carried
        })
      }
    } catch (error) {
      if (!(error instanceof Conflict)) throw error
      throw new Refusal(first, "stale", error.message)
    }
    return run
  }

  #publish(session: number, actionId: string | undefined, parts: Part[]): void {
    this.#commit++
    for (const [number, { subscribed }] of this.sessions) {
      const wanted = parts.filter((it) => number === session || subscribed.has(it.topic_name))
      if (wanted.length > 0) this.#say(number, this.#published(session, actionId, wanted))
    }
  }

  #published(author: number, actionId: string | undefined, changes: readonly Part[]): ServerMessage {
    if (actionId === undefined) return { type: "update", content: { ...changes[0]!, author } }
    return { type: "action", content: { action_id: actionId, author, changes } }
  }

  #versionOf({ topic_name, change }: SentChange): number {
    return this.topics.get(topic_name)!.log.findIndex((entry) => entry.id === change.id) + 1
  }

  /** Answers a resend with what was published first, if it was accepted. */
  #confirmAgain(session: number, actionId: string | undefined, changes: readonly SentChange[]): boolean {
    const versions = changes.map((it) => this.#versionOf(it))
    if (versions.includes(0)) return false
    const parts = changes.map((it, at) => this.#part(it.topic_name, versions[at]!))
    this.#say(session, this.#published(session, actionId, parts))
    return true
  }
}

function hello(session: number, resumed: boolean): ServerMessage {
  return { type: "hello", content: { id: session, session: `token${session}`, resumed } }
}
