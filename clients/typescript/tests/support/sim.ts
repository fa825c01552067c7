/** Replicas, a toy server, and the network between them, moved by hand. */

import { expect } from "vitest"
import type { ReplicaEvent } from "../../src/replica/events.js"
import type { LocalChange } from "../../src/replica/local.js"
import type { ClientMessage } from "../../src/replica/messages.js"
import { Replica } from "../../src/replica/replica.js"
import type { Fields } from "../../src/types/type.js"
import { expectSame } from "./same.js"
import { Toy } from "./toy.js"
import { typeNamed } from "./types.js"

export type Fate = Extract<ReplicaEvent, { type: "confirmed" | "rejected" | "unknown" }>

export class SimClient {
  readonly replica = new Replica()
  session = 0
  connected = false
  /** On the way to the server. */
  up: ClientMessage[] = []
  readonly fates = new Map<number, Fate>()
  readonly tickets: number[] = []
  readonly events: ReplicaEvent[] = []
  /** The ids under which actions of this client were accepted, as it was told. */
  readonly accepted = new Set<string>()
  /** Each view as the events tell it. */
  readonly #told = new Map<string, unknown>()

  /** Looks at what happened: every view is told in full, and every ticket has one fate. */
  hear(): void {
    for (const event of this.replica.takeEvents()) {
      this.events.push(event)
      if (event.type === "changed") this.#hearChanged(event)
      if (event.type === "error") throw new Error(JSON.stringify(event.error))
      if (event.type === "confirmed" && event.id !== undefined) this.accepted.add(event.id)
      if (event.type === "confirmed" || event.type === "rejected" || event.type === "unknown") {
        expect(this.fates.has(event.ticket), "a ticket has one fate").toBe(false)
        this.fates.set(event.ticket, event)
      }
    }
  }

  #hearChanged({ topicName, before, value, changes }: Extract<ReplicaEvent, { type: "changed" }>) {
    const { type } = this.replica.topic(topicName)!
    let told = this.#told.has(topicName) ? this.#told.get(topicName) : type.initial
    expectSame(type.encodeValue(before), type.encodeValue(told), "the view before")
    for (const change of changes) told = type.apply(told, change)
    if (changes.length === 0) told = value
    expectSame(type.encodeValue(told), type.encodeValue(value), "the view after")
    this.#told.set(topicName, value)
  }

  view(topicName: string): unknown {
    const { type, view } = this.replica.topic(topicName)!
    return type.encodeValue(view)
  }
}

export class Sim {
  readonly toy = new Toy()
  readonly clients: SimClient[]
  readonly topics: readonly string[]
  /** A topic lost its log, or a session was forgotten: what was accepted is not known to all. */
  #forgot = false

  constructor(clients: number, topics: Record<string, string>) {
    this.clients = Array.from({ length: clients }, () => new SimClient())
    this.topics = Object.keys(topics)
    for (const { replica } of this.clients) {
      for (const [name, type] of Object.entries(topics)) replica.subscribe(name, typeNamed(type))
    }
    this.clients.forEach((_, client) => this.connect(client))
    this.settle()
  }

  connect(client: number): void {
    const it = this.clients[client]!
    if (it.connected) return
    it.connected = true
    it.session = this.toy.connect()
  }

  disconnect(client: number): void {
    const it = this.clients[client]!
    if (!it.connected) return
    it.connected = false
    it.up = []
    this.toy.disconnect(it.session)
    it.replica.disconnected()
    it.hear()
  }

  /** The server forgets the session of a client that is not connected. */
  forgetSession(client: number): void {
    const it = this.clients[client]!
    if (it.connected) return
    this.#forgot = true
    this.toy.sessions.delete(it.session)
  }

  /** The server loses all of a topic. */
  newLife(topicName: string): void {
    this.#forgot = true
    this.toy.newLife(topicName)
  }

  act(client: number, changes: readonly LocalChange[]): number {
    const it = this.clients[client]!
    const ticket = it.replica.local(changes)
    it.tickets.push(ticket)
    it.hear()
    return ticket
  }

  change(client: number, topicName: string, change: Fields, overwriting = false): number {
    return this.act(client, [{ topicName, change, overwriting }])
  }

  /** The client puts on the wire what it has to send. */
  send(client: number): void {
    const it = this.clients[client]!
    const messages = it.replica.outbox()
    it.hear()
    if (it.connected) it.up.push(...messages)
  }

  /** The server takes one message of a client. */
  serve(client: number): boolean {
    const it = this.clients[client]!
    const message = it.up.shift()
    if (message) it.session = this.toy.receive(it.session, structuredClone(message))
    return message !== undefined
  }

  /** The client takes one message of the server. */
  deliver(client: number): boolean {
    const it = this.clients[client]!
    const message = it.connected ? this.toy.sessions.get(it.session)?.out.shift() : undefined
    if (message) it.replica.receive(message)
    it.hear()
    return message !== undefined
  }

  /** Lets everything that is under way arrive. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      let any = false
      this.clients.forEach((it, client) => {
        it.replica.resendBusy()
        this.send(client)
        while (this.serve(client) || this.deliver(client)) any = true
      })
      if (!any && this.clients.every((it) => it.up.length === 0)) return
    }
    throw new Error("the network never becomes quiet")
  }

  /** Laws 7 and 8: all hold one value, and every change has met one fate. */
  checkConverged(): void {
    this.clients.forEach((_, client) => this.connect(client))
    this.settle()
    for (const { replica, tickets, fates } of this.clients) {
      for (const topicName of this.topics) {
        const { type, confirmed, view, pending } = replica.topic(topicName)!
        const published = type.encodeValue(this.toy.topics.get(topicName)!.value)
        expectSame(type.encodeValue(confirmed), published, "confirmed")
        expectSame(type.encodeValue(view), published, "view")
        expect(pending).toEqual([])
      }
      expect(replica.batches.size).toBe(0)
      for (const ticket of tickets) expect(fates.has(ticket), "has a fate").toBe(true)
    }
    this.#checkExactlyOnce()
  }

  #checkExactlyOnce(): void {
    const entries = [...this.toy.topics.values()].flatMap(({ log }) => log)
    for (const { log } of this.toy.topics.values()) {
      const ids = log.map(({ id }) => id)
      expect(new Set(ids).size, "accepted once").toBe(ids.length)
    }
    if (this.#forgot) return
    const accepted = new Set(entries.map(({ actionId, id }) => actionId ?? id))
    const told = new Set(this.clients.flatMap((client) => [...client.accepted]))
    expect(told).toEqual(accepted)
  }
}
