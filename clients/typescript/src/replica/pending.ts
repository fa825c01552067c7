/** Pending changes, and how they follow when the value below them moves. */

import { equal } from "../value/json.js"
import { tryTo } from "../value/errors.js"
import type { AnyType, Maybe } from "../types/type.js"
import { carryOne, pushComposed, resolve } from "../types/type.js"

/** What was made as one, or is sent as one. */
export type BatchId = number

/** One change that is not confirmed. */
export interface Pending {
  batch: BatchId
  /** Given when it is sent: what has one is in flight. */
  id: string | undefined
  /**
   * It stands on whatever is there, and simply wins. Otherwise it stands on what its author had seen:
   * others' changes carry it along, or reject it.
   */
  readonly overwriting: boolean
  /** As it was made. What overwrites is sent as this. */
  made: unknown
  /** As it stands in the view, exact; `undefined` if it does nothing there. */
  form: Maybe<unknown>
  /** In flight and kept out of the view until it is answered. */
  hidden: boolean
}

/** A waiting change that could not be carried any further, by its batch. */
export interface Fallen {
  readonly batch: BatchId
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

/** Steps composed into as few as can be. */
function composed(type: AnyType, steps: readonly unknown[]): unknown[] {
  const run: unknown[] = []
  for (const step of steps) pushComposed(type, run, step)
  return run
}

/** A change carried over a bridge, and the bridge over it. */
type Crossing = readonly [form: Maybe<unknown>, bridge: unknown[]]

/**
 * A walk along a run of pending changes whose ground moves from `old` to `now`.
 *
 * ```text
 *   old · bridge = now        holds before each step and after it
 * ```
 *
 * At the end `now` is the view, and `bridge` is what the view was changed by.
 */
export class Walk {
  readonly #type: AnyType
  #old: unknown
  now: unknown
  bridge: unknown[]

  constructor(type: AnyType, old: unknown, now: unknown, bridge: unknown[]) {
    this.#type = type
    this.#old = old
    this.now = now
    this.bridge = bridge
  }

  /**
   * Walks the whole run, and gives what stays of it. What `leaves` says goes out of it; so does a
   * waiting change that cannot be carried, which is reported. One in flight that cannot is hidden:
   * the server will say so too.
   */
  run(run: Pending[], leaves: (pending: Pending) => boolean): [Pending[], Fallen[]] {
    const fallen: Fallen[] = []
    const stays = run.filter((pending) => {
      if (leaves(pending)) {
        this.#leave(pending)
        return false
      }
      const conflict = this.#follow(pending)
      if (conflict === undefined) return true
      this.#leave(pending)
      pending.form = undefined
      pending.hidden = true
      if (pending.id === undefined) fallen.push({ batch: pending.batch, conflict })
      return pending.id !== undefined
    })
    return [stays, fallen]
  }

  /** Goes past a pending change; gives the conflict if it cannot be carried. */
  #follow(pending: Pending): string | undefined {
    if (pending.form === undefined && (pending.hidden || !pending.overwriting)) return undefined
    if (pending.overwriting) {
      this.#reapply(pending)
      return undefined
    }
    let conflict: string | undefined
    tryTo(
      () => (pending.form = this.#carry(pending.form)),
      (reason) => (conflict = reason),
    )
    return conflict
  }

  /** Carries a change over the bridge, and the bridge over it. */
  #carry(form: unknown): Maybe<unknown> {
    const [carried, bridge] = this.#carried(form, true)
    const now = applied(this.#type, this.now, carried)
    const old = applied(this.#type, this.#old, form)
    // One step leads there by the laws.
    const straight = bridge.length < 2 || this.#isWayFrom(old, bridge)
    this.bridge = straight ? bridge : this.#detour(form, carried)
    this.#old = old
    this.now = now
    return carried
  }

  /**
   * A change carried over the bridge, as the newcomer, or with the bridge as the newcomer: then what is
   * put at the end of a list goes behind what others put there.
   */
  #carried(form: Maybe<unknown>, isNewcomer: boolean): Crossing {
    const bridge: unknown[] = []
    for (const step of this.bridge) {
      const [mine, theirs] = isNewcomer
        ? carryOne(this.#type, form, step)
        : carryOne(this.#type, step, form).toReversed()
      form = mine
      if (theirs !== undefined) bridge.push(theirs)
    }
    return [form, bridge]
  }

  /** Applies a change that stands on anything to the new ground. */
  #reapply(pending: Pending): void {
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
    this.bridge = this.#bridgeBetween(was, form, old, now)
    this.#old = old
    this.now = now
  }

  /**
   * The bridge behind a change that was `was` on the old ground, giving `old`, and is `form` on the
   * new ground, giving `now`.
   */
  #bridgeBetween(was: Maybe<unknown>, form: Maybe<unknown>, old: unknown, now: unknown): unknown[] {
    const crossings = [true, false].map((isNewcomer) => tryTo(() => this.#carried(was, isNewcomer)))
    const kept = crossings.find((it) => it?.[0] !== undefined && sameChange(this.#type, it[0], form))
    if (kept && this.#isWayFrom(old, kept[1])) return kept[1]
    return sameValue(this.#type, old, now) ? [] : this.#detour(was, form)
  }

  /**
   * Whether a carried bridge can be walked. It cannot where a number would leave its range on the
   * way, or was kept at the edge.
   */
  #isWayFrom(value: unknown, bridge: readonly unknown[]): boolean {
    return undefined !== tryTo(() => bridge.reduce((at, step) => this.#type.apply(at, step), value))
  }

  /**
   * The bridge behind a change, by way of the ground below it: takes back what was on the old one,
   * and makes what is on the new one.
   */
  #detour(was: Maybe<unknown>, form: Maybe<unknown>): unknown[] {
    const back = was === undefined ? undefined : this.#type.invert(was, this.#old)
    const steps = [back, ...this.bridge, form]
    return composed(
      this.#type,
      steps.filter((step) => step !== undefined),
    )
  }

  /**
   * Goes past a change that is not on the new ground by itself any more: it was taken back, or the
   * bridge has it.
   */
  #leave({ form }: Pending): void {
    const type = this.#type
    const before = this.#old
    const after = form === undefined ? undefined : tryTo(() => type.apply(before, form))
    if (after === undefined) return
    this.#old = after
    const exact = tryTo(() => resolve(type, form, before))
    const predicted = this.bridge.length === 1 && sameChange(type, this.bridge[0], exact)
    if (predicted || sameValue(type, after, this.now)) {
      this.bridge = []
    } else {
      const back = type.invert(form, before)
      if (back !== undefined) this.bridge = composed(type, [back, ...this.bridge])
    }
  }
}
