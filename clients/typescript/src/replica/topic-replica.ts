/** One topic as one client sees it: what the server has confirmed, then what it has not. */

import { Invalid, tryTo } from "../value/errors.js"
import type { Json, JsonObject } from "../value/json.js"
import { required } from "../types/fields.js"
import { lowerBound } from "../types/search.js"
import type { AnyType, Fields, Maybe } from "../types/type.js"
import { compose, composeAll, overwritten, rebaseOne, resolve, SEPARATE } from "../types/type.js"
import type { ClientMessage, Part, Subscribed } from "./messages.js"
import type { Dropped, Order, Pending } from "./pending.js"
import { applied, BaseChange, pushTail, sameChange, sameValue, withoutTail } from "./pending.js"

/** How far back a change looks for one of the same key to be composed with. */
const COMPOSE_REACH = 1024

/**
 * Where a subscription stands, on the present connection: not asked for yet, to continue from the
 * version that is here or to start afresh; asked for; with the whole value to come next; or live,
 * with every version coming in order.
 */
export type Link = "continue" | "afresh" | "asked" | "snapshot" | "live"

/** A published change of one topic, or its whole value. */
export interface News {
  readonly version: number
  /** If it holds several versions: the one before the first. */
  readonly since: number | undefined
  readonly snapshot: boolean
  readonly fields: Fields
  /** Those of its ids that are of changes in flight here. */
  readonly ids: readonly string[]
}

/** How a view moved. */
export interface Moved {
  readonly before: unknown
  /** From the view as it was to the view as it is; if that is unknown, it is to be taken as a whole. */
  readonly changes?: Maybe<readonly unknown[]>
  readonly dropped: readonly Dropped[]
}

/** What a published change led to: the view moved, or it was known already, or versions are missing before it. */
export type Taken = Moved | "known" | "gap"

/**
 * One topic's replica.
 *
 * ```text
 *   view = confirmed · in flight · waiting      (R1)
 * ```
 *
 * Changes in flight come first in `pending`, and belong to one batch (R6). What waits is relative to them:
 * each change is made on the value that the one before leaves.
 */
export class TopicReplica {
  readonly type: AnyType
  readonly options: JsonObject
  link: Link = "continue"
  /** Names one life of the topic; there is none before the first `subscribed`. */
  epoch: string | undefined
  /** The last version received. */
  version = 0
  /** The head when the subscription began: from there on nothing is missing. */
  head = 0
  /** Whether a first value was received. Before, it is the type's initial one. */
  ready = false
  /** The value at `version`, without what is pending. */
  confirmed: unknown
  /** The value as the program sees it: confirmed and pending. */
  view: unknown
  pending: Pending[] = []
  /** To be unsubscribed once nothing is pending. */
  closing = false
  /** This client's entry in a presence topic, as the program wants it. */
  presence: Json | undefined

  constructor(type: AnyType, options: JsonObject) {
    this.type = type
    this.options = options
    this.confirmed = this.view = type.initial
  }

  get isPresence(): boolean {
    return this.options["presence"] === true
  }

  /** Whether the server is yet to be asked for this topic. */
  get unasked(): boolean {
    return this.link === "continue" || this.link === "afresh"
  }

  /** Whether a batch can be sent: the topic is live, and nothing of it is in flight (R13). */
  get isFree(): boolean {
    return this.link === "live" && this.pending[0]?.id === undefined
  }

  subscribe(topicName: string): ClientMessage {
    const { type, epoch, version, link, ready } = this
    const options = Object.keys(this.options).length > 0 ? this.options : undefined
    const goesOn = link === "continue" && ready && epoch !== undefined
    const since = goesOn ? { epoch, version } : undefined
    this.link = "asked"
    return { type: "subscribe", content: { topic_name: topicName, type: type.name, options, since } }
  }

  /** Takes the answer to `subscribe`, the topic's epoch being the known one or the first (R26). */
  subscribed({ epoch, version, since }: Subscribed): void {
    this.epoch = epoch
    this.head = version
    if (since !== undefined && this.ready) {
      this.link = "live"
    } else if (this.type.stateless) {
      this.version = version
      this.ready = true
      this.link = "live"
    } else {
      this.link = "snapshot"
    }
  }

  /** Forgets value and version: the topic has a new life (R32). */
  startAfresh(): Moved {
    const before = this.view
    this.epoch = undefined
    this.version = this.head = 0
    this.ready = false
    this.confirmed = this.view = this.type.initial
    this.pending = []
    return { before, dropped: [] }
  }

  /**
   * Appends a local change that was made on the view and gives `view`. It is composed with an earlier one
   * where that can be and `mayCompose` agrees. Gives the action that it became part of, if it did.
   */
  push(pending: Pending, view: unknown, mayCompose: (earlier: Order) => boolean): Maybe<Order> {
    this.view = view
    const into = this.#composeWithEarlier(pending, mayCompose)
    if (into === undefined) this.pending.push(pending)
    return into
  }

  /**
   * Composes a change with a waiting one: the last, or the last of the same key if all between are of
   * other keys, as those do not touch each other (R7).
   */
  #composeWithEarlier(added: Pending, mayCompose: (earlier: Order) => boolean): Maybe<Order> {
    const keyOf = (change: unknown) => this.type.key?.(change)
    const key = keyOf(added.made)
    const last = this.pending.length - 1
    for (let at = last; at >= 0 && at > last - COMPOSE_REACH; at--) {
      const earlier = this.pending[at]!
      const fits = earlier.id === undefined && earlier.overwriting === added.overwriting
      if (!fits || earlier.form === undefined) return undefined
      const sameKey = key !== undefined && keyOf(earlier.form) === key
      if (key === undefined && mayCompose(earlier.order) && pushTail(this.type, earlier, added.form)) {
        return earlier.order
      }
      if (sameKey || at === last) {
        if (mayCompose(earlier.order) && this.#compose(at, earlier, added)) return earlier.order
        if (sameKey) return undefined
      }
      if (key === undefined || keyOf(earlier.form) === undefined) return undefined
    }
    return undefined
  }

  /** Makes one of the change at `at` and one that follows it, or none if that takes it back. */
  #compose(at: number, first: Pending, second: Pending): boolean {
    const form = compose(this.type, first.form, second.form)
    const made = first.overwriting ? compose(this.type, first.made, second.made) : form
    if (form === SEPARATE || made === SEPARATE) return false
    if ((form === undefined) !== (made === undefined)) return false
    if (form === undefined) {
      this.pending.splice(at, 1)
    } else {
      first.form = form
      first.made = made
      first.weight++
    }
    return true
  }

  /** Composes what is pending as far as that was put off (R46). */
  composeTails(): void {
    if (this.pending.some((it) => it.tail.length > 0)) {
      this.pending = this.pending.flatMap((it) => withoutTail(this.type, it))
    }
  }

  /**
   * Takes published news: in version order, each once (R5).
   *
   * @throws {@link Invalid} if the change cannot be read, or does not fit the confirmed value.
   */
  take(news: News): Taken {
    this.composeTails()
    const ahead = news.version > this.version
    if (news.snapshot && (this.link === "snapshot" || (this.link === "live" && ahead))) {
      return this.#takeSnapshot(news)
    }
    if (this.link === "live" && ahead && !news.snapshot) return this.#takeChange(news)
    if (!ahead && news.ids.length > 0) return this.remove(isOneOf(news.ids))
    return "known"
  }

  #takeChange({ version, since, fields, ids }: News): Taken {
    if ((since ?? version - 1) !== this.version) return "gap"
    let confirmed = this.confirmed
    let change: Maybe<unknown>
    if (fields.type !== "none") {
      change = resolve(this.type, this.type.decodeChange(fields), confirmed)
      confirmed = this.type.apply(confirmed, change)
    }
    const from = this.confirmed
    const asPredicted = this.#isAsPredicted(change, ids)
    this.version = version
    this.confirmed = confirmed
    let moved: Moved = { before: this.view, changes: [], dropped: [] }
    if (asPredicted) this.pending.shift()
    else if (ids.length === 0 && change !== undefined) moved = this.#moveOver(from, [change])
    else moved = this.#changeBase(from, change === undefined ? [] : [change], isOneOf(ids))
    if (this.pending.length === 0) this.view = confirmed
    return moved
  }

  /** Whether a published change is the next one in flight, in just the form that it has in the view. */
  #isAsPredicted(change: Maybe<unknown>, ids: readonly string[]): boolean {
    const first = this.pending[0]
    if (ids.length !== 1 || first?.id !== ids[0]) return false
    const { form } = first!
    if (form === undefined) return change === undefined
    const exact = tryTo(() => resolve(this.type, form, this.confirmed))
    return exact !== undefined && sameChange(this.type, exact, change)
  }

  /** Takes changes out of what is pending; those behind them are rebased over their inverse. */
  remove(leaves: (pending: Pending) => boolean): Moved {
    this.composeTails()
    return this.#changeBase(this.confirmed, [], leaves)
  }

  /**
   * What is in flight waits again, without ids, but for what `leaves` says (R22). What was hidden shows again,
   * if it is overwriting.
   */
  takeBack(leaves: (pending: Pending) => boolean): Moved {
    for (const pending of this.inFlight()) {
      pending.id = undefined
      pending.hidden = false
    }
    return this.remove(leaves)
  }

  /**
   * Rebases what is pending over others' changes. Where the type lets changes be composed as one likes, the view
   * moves by what they are behind all that is pending: to make each pending change again would cost what they
   * are long.
   */
  #moveOver(from: unknown, changes: unknown[]): Moved {
    const { type, view } = this
    const isPlain = ({ overwriting, hidden, form }: Pending) => !overwriting && !hidden && form !== undefined
    const moved = tryTo(() => {
      if (!type.rebasesOverComposed || !this.pending.every(isPlain)) return undefined
      let transition = changes
      const forms = this.pending.map(({ form }) => {
        const behind: unknown[] = []
        for (const change of transition) {
          const [mine, theirs] = rebaseOne(type, form, change)
          form = mine
          if (theirs !== undefined) behind.push(theirs)
        }
        transition = behind
        return form
      })
      const now = transition.reduce((value, change) => type.apply(value, change), view)
      return { forms, transition, now }
    })
    if (!moved) return this.#changeBase(from, changes, () => false)
    this.pending.forEach((pending, at) => (pending.form = moved.forms[at]))
    this.view = moved.now
    return { before: view, changes: moved.transition, dropped: [] }
  }

  /** Whether many published changes in a row are worth composing (R47). */
  get takesRuns(): boolean {
    return this.link === "live" && this.pending.length > 0 && this.type.rebasesOverComposed === true
  }

  /**
   * Takes published changes of others in a row, and rebases what is pending over all of them at once (R47).
   * `undefined` if one of them is not the next, or does not fit: then nothing was taken.
   */
  takeRun(run: readonly Part[]): Maybe<Moved> {
    this.composeTails()
    const { type, version } = this
    let confirmed = this.confirmed
    const changes = tryTo(() =>
      run.flatMap(({ version: next, change: fields }, at) => {
        if (next !== version + 1 + at) throw new Invalid("versions are missing")
        if (fields.type === "none") return []
        const change = resolve(type, type.decodeChange(fields), confirmed)
        confirmed = type.apply(confirmed, change)
        return [change]
      }),
    )
    if (!changes) return undefined
    const from = this.confirmed
    this.version = version + run.length
    this.confirmed = confirmed
    return this.#moveOver(from, composeAll(type, changes))
  }

  #changeBase(from: unknown, transition: unknown[], leaves: (pending: Pending) => boolean): Moved {
    const before = this.view
    const base = new BaseChange(this.type, from, this.confirmed, transition)
    const [stays, dropped] = base.rebaseAll(this.pending, leaves)
    this.pending = stays
    this.view = base.now
    return { before, changes: base.transition, dropped }
  }

  #takeSnapshot({ version, fields, ids }: News): Moved {
    const value = this.type.decodeValue(required(fields, "value"))
    this.version = version
    this.link = "live"
    const moved = this.ready ? this.#laterSnapshot(value, ids) : this.#firstSnapshot(value)
    this.ready = true
    return moved
  }

  /**
   * Takes the first value (R27). What was made before it was made on nothing that anyone had seen: it is
   * put on the value as it is, where it fits.
   */
  #firstSnapshot(value: unknown): Moved {
    const before = this.view
    const dropped: Dropped[] = []
    this.confirmed = this.view = value
    this.pending = this.pending.filter((pending) => {
      const { order, overwriting, made } = pending
      let conflict: Maybe<string>
      const form = overwriting ? tryTo(() => resolve(this.type, made, this.view)) : pending.form
      const put = () => applied(this.type, this.view, form)
      const view = tryTo(put, (reason) => (conflict = reason))
      if (conflict === undefined) this.view = view
      else if (!overwriting) dropped.push({ order, conflict })
      pending.form = conflict === undefined ? form : undefined
      return overwriting || conflict === undefined
    })
    return { before, dropped }
  }

  /**
   * Takes a value that jumps ahead (R29). Whether it holds what is in flight is not known, so that is hidden
   * until it is answered, unless to apply it twice is the same as once. What waits is rebased over the
   * difference between the value that it stood on and the one that it comes to stand on.
   */
  #laterSnapshot(value: unknown, ids: readonly string[]): Moved {
    const before = this.view
    // The value that what waits stood on: with all in flight applied, where it still does.
    const sent = this.inFlight()
    let waiting = this.pending.slice(sent.length)
    let from = this.confirmed
    for (const { form } of sent) {
      tryTo(() => (from = applied(this.type, from, form)))
    }
    // The value that it comes to stand on: the snapshot, with what may be shown of what is in flight.
    this.confirmed = value
    const unanswered = sent.filter((pending) => !isOneOf(ids)(pending))
    let to = value
    for (const pending of unanswered) {
      pending.form = this.#formIfIdempotent(pending, to)
      pending.hidden = pending.form === undefined
      if (!pending.hidden) to = this.type.apply(to, pending.form)
    }
    const difference = waiting.length === 0 ? undefined : this.#difference(from, to)
    const dropped: Dropped[] = []
    if (!difference) {
      const based = waiting.filter((pending) => !pending.overwriting)
      dropped.push(...based.map(({ order }) => ({ order, conflict: overwritten().message })))
      waiting = waiting.filter((pending) => pending.overwriting)
    }
    const base = new BaseChange(this.type, from, to, difference ?? [])
    const [stays, more] = base.rebaseAll(waiting, () => false)
    this.view = base.now
    this.pending = [...unanswered, ...stays]
    // Without a difference to begin with, what came out does not lead from one view to the other.
    return { before, changes: difference && base.transition, dropped: [...dropped, ...more] }
  }

  /** A change as it is on `value`, if it overwrites and does nothing when applied again. */
  #formIfIdempotent({ overwriting, made }: Pending, value: unknown): Maybe<unknown> {
    const { type } = this
    return tryTo(() => {
      const form = resolve(type, made, value)
      const once = type.apply(value, form)
      const twice = type.apply(once, resolve(type, made, once))
      return overwriting && sameValue(type, once, twice) ? form : undefined
    })
  }

  /** Changes that lead from one value to another (R30); `undefined` if the type has none that could. */
  #difference(from: unknown, to: unknown): Maybe<unknown[]> {
    const { type } = this
    if (sameValue(type, from, to)) return []
    const leads = (changes: unknown[]) => {
      const end = changes.reduce((value, change) => type.apply(value, change), from)
      return sameValue(type, end, to) ? changes : undefined
    }
    const whole = { type: "set", value: type.encodeValue(to) }
    const bySteps = tryTo(() => type.diff && leads(type.diff(from, to)))
    return bySteps ?? tryTo(() => leads([type.decodeChange(whole)]))
  }

  /** The action of which the change in flight with this id is one. */
  orderOf(id: Maybe<string>): Maybe<Order> {
    for (const pending of this.pending) {
      if (pending.id === undefined) return undefined
      if (pending.id === id) return pending.order
    }
    return undefined
  }

  /** What is in flight. */
  inFlight(): Pending[] {
    const first = this.pending.findIndex((it) => it.id === undefined)
    return first < 0 ? [...this.pending] : this.pending.slice(0, first)
  }

  /** The pending changes of an action; they stand in the order made. O(log n). */
  ofAction(order: Order): Pending[] {
    const { pending } = this
    const start = lowerBound(pending.length, (at) => pending[at]!.order < order)
    let end = start
    while (pending[end]?.order === order) end++
    return pending.slice(start, end)
  }

  /** Whether an action has pending changes here. */
  holds(order: Order): boolean {
    return this.ofAction(order).length > 0
  }
}

function isOneOf(ids: readonly string[]): (pending: Pending) => boolean {
  return ({ id }) => id !== undefined && ids.includes(id)
}
