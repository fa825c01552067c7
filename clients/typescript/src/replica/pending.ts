/** Pending changes, and how they are rebased when the value that they stand on becomes another. */

import { equal } from "../value/json.js"
import { tryTo } from "../value/errors.js"
import type { AnyType, Maybe } from "../types/type.js"
import { compose, pushComposed, rebaseOne, resolve, SEPARATE } from "../types/type.js"

/** The place of a local action in the order made, over all topics (R12). */
export type Order = number

/** One change that is not confirmed. */
export interface Pending {
  /** The action that it is of. */
  readonly order: Order
  /** Given when it is sent: a change that has one is in flight. */
  id: string | undefined
  /** It simply wins, and is sent without a base. Otherwise it is based (R4). */
  readonly overwriting: boolean
  /** As it was made. An overwriting change is sent as this. */
  made: unknown
  /** As it stands in the view, exact; `undefined` if it does nothing there. */
  form: Maybe<unknown>
  /** In flight, and kept out of the view until it is answered. */
  hidden: boolean
  /** How many changes `form` is composed of. */
  weight: number
  /** What comes behind `form` and is not composed with it yet (R46). */
  tail: Part[]
}

/** A change, and of how many it is composed. */
type Part = readonly [change: unknown, weight: number]

/** How many changes are composed at once. Those that hold as many wait until there are two of one weight. */
const WEIGHT_MIN = 64

/** What two changes are as one, with its weight: nothing if the second takes the first back. */
function composeParts(type: AnyType, [first, light]: Part, [second, heavy]: Part): Part[] | undefined {
  const one = compose(type, first, second)
  if (one === SEPARATE) return undefined
  return one === undefined ? [] : [[one, light + heavy]]
}

/**
 * Takes a change into the tail, where composing each with all before would cost the more the more there is
 * (R46). `false` if it is still cheap to compose it at once.
 */
export function pushTail(type: AnyType, pending: Pending, change: unknown): boolean {
  const { weight, tail, overwriting } = pending
  if (weight + tail.length < WEIGHT_MIN || overwriting || !type.rebasesOverComposed) return false
  const added: Part = [change, 1]
  const last = tail.at(-1)
  const together = last && last[1] < WEIGHT_MIN ? composeParts(type, last, added) : undefined
  if (together) tail.splice(-1, 1, ...together)
  else tail.push(added)
  // As in a binary counter, so that each change is composed with others log n times.
  for (;;) {
    const [first, second] = tail.slice(-2)
    if (!second || second[1] < WEIGHT_MIN || second[1] < first![1]) return true
    const together = composeParts(type, first!, second)
    if (!together) return true
    tail.splice(-2, 2, ...together)
  }
}

/**
 * Composes the tail with the rest: gives the change as one, or as several in a row if its type is wrong
 * about itself. There is none if all of it took itself back.
 */
export function withoutTail(type: AnyType, pending: Pending): Pending[] {
  const { form, weight, tail } = pending
  if (tail.length === 0) return [pending]
  const run: Part[] = []
  // From the light end, so that the heavy parts are walked once.
  for (const part of [[form, weight] as const, ...tail].reverse()) {
    const together = run[0] && composeParts(type, part, run[0])
    run.splice(0, together ? 1 : 0, ...(together ?? [part]))
  }
  return run.map(([form, weight]) => ({ ...pending, made: form, form, weight, tail: [] }))
}

/** The action of a waiting change that conflicts, and why it does. */
export interface Dropped {
  readonly order: Order
  readonly conflict: string
}

/** The change to send; `undefined` if nothing is left to do. */
export function toSend(pending: Pending): Maybe<unknown> {
  return pending.overwriting ? pending.made : pending.form
}

/** Whether two changes are the same. */
export function sameChange(type: AnyType, a: Maybe<unknown>, b: Maybe<unknown>): boolean {
  if (a === b || a === undefined || b === undefined) return a === b
  return equal(type.encodeChange(a), type.encodeChange(b))
}

/** Whether two values are the same. */
export function sameValue(type: AnyType, a: unknown, b: unknown): boolean {
  return a === b || equal(type.encodeValue(a), type.encodeValue(b))
}

/** Applies what may be nothing. */
export function applied(type: AnyType, value: unknown, change: Maybe<unknown>): unknown {
  return change === undefined ? value : type.apply(value, change)
}

/** Changes composed into as few as can be. */
function composed(type: AnyType, changes: readonly unknown[]): unknown[] {
  const run: unknown[] = []
  for (const change of changes) pushComposed(type, run, change)
  return run
}

/** A change rebased over a transition, and the transition rebased over it. */
type Rebased = readonly [form: Maybe<unknown>, transition: unknown[]]

/**
 * Rebases pending changes, one after the other, when the value that they stand on changes from `old` to
 * `now` (R21).
 *
 * ```text
 *   old · transition = now        holds before each pending change and behind it
 * ```
 *
 * Behind the last one `now` is the view, and `transition` is what changed the view.
 */
export class BaseChange {
  readonly #type: AnyType
  #old: unknown
  now: unknown
  transition: unknown[]

  constructor(type: AnyType, old: unknown, now: unknown, transition: unknown[]) {
    this.#type = type
    this.#old = old
    this.now = now
    this.transition = transition
  }

  /**
   * Rebases all of `run`, and gives what stays of it. What `leaves` says goes out of it. A waiting change
   * that conflicts is dropped and reported; one in flight is hidden instead, as the server will reject it
   * too.
   */
  rebaseAll(run: readonly Pending[], leaves: (pending: Pending) => boolean): [Pending[], Dropped[]] {
    const dropped: Dropped[] = []
    const stays = run.filter((pending) => {
      if (leaves(pending)) {
        this.#leave(pending)
        return false
      }
      const conflict = this.#rebase(pending)
      if (conflict === undefined) return true
      this.#leave(pending)
      pending.form = undefined
      pending.hidden = true
      if (pending.id === undefined) dropped.push({ order: pending.order, conflict })
      return pending.id !== undefined
    })
    return [stays, dropped]
  }

  /** Rebases one pending change; gives the conflict if there is one. */
  #rebase(pending: Pending): string | undefined {
    if (pending.form === undefined && (pending.hidden || !pending.overwriting)) return undefined
    if (pending.overwriting) {
      this.#makeAgain(pending)
      return undefined
    }
    let conflict: string | undefined
    tryTo(
      () => (pending.form = this.#rebaseBased(pending.form)),
      (reason) => (conflict = reason),
    )
    return conflict
  }

  #rebaseBased(form: unknown): Maybe<unknown> {
    const [rebased, transition] = this.#rebased(form, true)
    const now = applied(this.#type, this.now, rebased)
    const old = applied(this.#type, this.#old, form)
    // A transition of one change applies, by the laws of types.
    const leads = transition.length < 2 || this.#leadsOn(old, transition)
    this.transition = leads ? transition : this.#around(form, rebased)
    this.#old = old
    this.now = now
    return rebased
  }

  /**
   * A change rebased over the transition, as the newcomer, or with the transition as the newcomer: then what
   * is put at the end of a list goes behind what others put there.
   */
  #rebased(form: Maybe<unknown>, isNewcomer: boolean): Rebased {
    const transition: unknown[] = []
    for (const step of this.transition) {
      const [mine, theirs] = isNewcomer
        ? rebaseOne(this.#type, form, step)
        : rebaseOne(this.#type, step, form).toReversed()
      form = mine
      if (theirs !== undefined) transition.push(theirs)
    }
    return [form, transition]
  }

  /** Makes an overwriting change once more, on the new value. */
  #makeAgain(pending: Pending): void {
    const type = this.#type
    let [old, now] = [this.#old, this.now]
    const form = tryTo(() => {
      const form = resolve(type, pending.made, now)
      now = type.apply(now, form)
      return form
    })
    const was = tryTo(() => {
      old = applied(type, old, pending.form)
      return pending.form
    })
    pending.form = form
    this.transition = this.#transitionBehind(was, form, old, now)
    this.#old = old
    this.now = now
  }

  /**
   * The transition behind a change that was `was` on the old value, giving `old`, and is `form` on the new
   * value, giving `now`.
   */
  #transitionBehind(was: Maybe<unknown>, form: Maybe<unknown>, old: unknown, now: unknown): unknown[] {
    const both = [true, false].map((isNewcomer) => tryTo(() => this.#rebased(was, isNewcomer)))
    const kept = both.find((it) => it?.[0] !== undefined && sameChange(this.#type, it[0], form))
    if (kept && this.#leadsOn(old, kept[1])) return kept[1]
    return sameValue(this.#type, old, now) ? [] : this.#around(was, form)
  }

  /**
   * Whether a rebased transition applies to `value`. It does not where a number would leave its range on
   * the way, or was kept at the edge.
   */
  #leadsOn(value: unknown, transition: readonly unknown[]): boolean {
    return undefined !== tryTo(() => transition.reduce((at, step) => this.#type.apply(at, step), value))
  }

  /**
   * The transition behind a change, by way of the value before it: takes back what the change was on the
   * old value, and makes what it is on the new one.
   */
  #around(was: Maybe<unknown>, form: Maybe<unknown>): unknown[] {
    const back = was === undefined ? undefined : this.#type.invert(was, this.#old)
    const steps = [back, ...this.transition, form]
    return composed(
      this.#type,
      steps.filter((step) => step !== undefined),
    )
  }

  /**
   * Goes past a change that is not made on the new value any more: it was taken back, or the transition
   * has it.
   */
  #leave({ form }: Pending): void {
    const type = this.#type
    const before = this.#old
    const after = form === undefined ? undefined : tryTo(() => type.apply(before, form))
    if (after === undefined) return
    this.#old = after
    const exact = tryTo(() => resolve(type, form, before))
    const predicted = this.transition.length === 1 && sameChange(type, this.transition[0], exact)
    if (predicted || sameValue(type, after, this.now)) {
      this.transition = []
    } else {
      const back = type.invert(form, before)
      if (back !== undefined) this.transition = composed(type, [back, ...this.transition])
    }
  }
}
