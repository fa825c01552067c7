/**
 * Topic types: what a change is, and how it applies, rebases, inverts and composes.
 *
 * The built-in types are written against {@link TopicType}, a file each, and nothing outside this folder
 * knows them by name. Nothing here knows of versions, ids or clients.
 */

import type { Invalid } from "../value/errors.js"
import { Conflict } from "../value/errors.js"
import type { Json } from "../value/json.js"

/** The named parts of one change, as on the wire; `type` is one of them. */
export interface Fields {
  readonly type: string
  readonly [field: string]: Json
}

/** A change, or nothing: what `none` is on the wire. */
export type Maybe<C> = C | undefined

/** Two changes rebased over each other. `undefined` means that nothing is left to do. */
export interface Rebased<C> {
  /** The incoming change, rebased over the accepted one. */
  readonly incoming: Maybe<C>
  /** The accepted change, rebased over the incoming one. */
  readonly accepted: Maybe<C>
}

/** What {@link TopicType.compose} answers where no one change does what both do. */
export const SEPARATE: unique symbol = Symbol("separate")

/**
 * A kind of topic: its values, its changes, and the algebra that lets many hands edit one value.
 *
 * All functions are pure, and values and changes are never changed in place. A function that cannot do what
 * it is asked throws an {@link Invalid} or a {@link Conflict}; anything else that is thrown is a bug.
 *
 * For every value `v` and changes `c`, `a`, `b` (`v · c` is `v` with `c` applied):
 *
 * 1. *apply is a function*: the same value and change give the same result;
 * 2. *inverse*: `v · c · invert(c, v) = v`;
 * 3. *rebase is total*: it answers every pair;
 * 4. *the square closes*: `v · a · c' = v · c · a'` for what {@link rebase} gives, and what it
 *    gives applies (unless a number leaves its range);
 * 5. *compose agrees*: `v · compose(a, b) = v · a · b`;
 * 6. *round trip*: decoding what was encoded gives an equal value or change.
 *
 * The server needs the same type, registered under the same name.
 *
 * @typeParam V - what a topic of this type holds; never `undefined`
 * @typeParam C - one typed operation on a value
 * @typeParam View - what a program sees of a value
 * @typeParam E - what a program is told of a change
 */
export interface TopicType<V, C, View = V, E = C> {
  /** The name in `subscribe`. */
  readonly name: string

  /** The value at version 0. */
  readonly initial: V

  /** False if a topic has no value to take a snapshot of, as an event has none. */
  readonly stateless?: boolean

  /**
   * Reads a value, as `set` and snapshots carry it.
   *
   * @throws {@link Invalid} if it is none of this type.
   */
  decodeValue(value: Json): V

  /** The plain form of a value: what {@link decodeValue} reads. */
  encodeValue(value: V): Json

  /**
   * Reads a change from its fields; unknown fields are ignored.
   *
   * @throws {@link Invalid} if its shape is wrong, whatever the value is that it is for.
   */
  decodeChange(fields: Fields): C

  /** The fields of a change: what {@link decodeChange} reads. */
  encodeChange(change: C): Fields

  /**
   * Whether the change may be made on a base; if this is not there, every change may. One that names
   * "the end" may not: it has no place that others' changes could move.
   */
  takesBase?(change: C): boolean

  /**
   * Makes a change exact before it is applied to `value`: "the end" becomes a position, a length to
   * delete becomes the text deleted.
   *
   * @throws {@link Invalid} if the change does not fit `value`.
   */
  resolve?(change: C, value: V): C

  /**
   * The value with the change applied. What it does not touch is shared with `value`.
   *
   * @throws {@link Invalid} if the change does not fit `value`.
   */
  apply(value: V, change: C): V

  /**
   * Rebases two changes made on one value over each other: `incoming` over `accepted`, which the
   * server took first, and `accepted` over `incoming`. Law 4 says what that means. Of two inserts at
   * one position, the newcomer goes to the left.
   *
   * @throws {@link Conflict} if `incoming` can no longer do what its author meant.
   */
  rebase(incoming: C, accepted: C): Rebased<C>

  /** The change that takes `change` back, `before` being the value it was applied to. */
  invert(change: C, before: V): Maybe<C>

  /** The one key that a change touches, if it touches just one. */
  key?(change: C): string | undefined

  /**
   * One change that does what `first` and then `second` do; `undefined` if the second takes the
   * first back; {@link SEPARATE} if there is none.
   */
  compose?(first: C, second: C): Maybe<C> | typeof SEPARATE

  /**
   * Whether any two changes that have a base compose, and rebasing over a composition gives just what
   * rebasing over its parts in turn gives. Many changes are then composed before they are rebased.
   */
  readonly rebasesOverComposed?: boolean

  /**
   * Changes that lead from one value to another, as close as the values tell to what others did. Not
   * there, and also where they do not lead there, the whole value is `set`.
   */
  diff?(from: V, to: V): C[]

  /** What a program sees of a value; if this is not there, the value itself. */
  view?(value: V): View

  /** What a program is told of a change, `before` being the value it was applied to. */
  describe?(change: C, before: V): E[]
}

/** A type of any topic, for what holds topics of every kind. */
export type AnyType = TopicType<any, any, any, any>

/** What one change and the one after it are as one, by their type. */
export function compose<C>(type: TopicType<unknown, C>, first: C, second: C): Maybe<C> | typeof SEPARATE {
  return type.compose ? type.compose(first, second) : SEPARATE
}

/** A change as it is exactly, on `value`. */
export function resolve<V, C>(type: TopicType<V, C>, change: C, value: V): C {
  return type.resolve ? type.resolve(change, value) : change
}

/** Rebases one change over `accepted`: gives it, and `accepted` rebased over it. */
export function rebaseOne<C>(
  type: TopicType<unknown, C>,
  change: Maybe<C>,
  accepted: Maybe<C>,
): [Maybe<C>, Maybe<C>] {
  if (change === undefined || accepted === undefined) return [change, accepted]
  const rebased = type.rebase(change, accepted)
  return [rebased.incoming, rebased.accepted]
}

/** Appends `change` to a run, composed with the last one if that can be. */
export function pushComposed<C>(type: TopicType<unknown, C>, run: C[], change: C): void {
  const composed = run.length === 0 ? SEPARATE : compose(type, run.at(-1)!, change)
  if (composed === SEPARATE) return void run.push(change)
  run.pop()
  if (composed !== undefined) run.push(composed)
}

/** Changes as few as they can be composed into. O(n log n) compositions' worth of work, n being their number. */
export function composeAll<C>(type: TopicType<unknown, C>, changes: readonly C[]): C[] {
  if (changes.length < 2) return [...changes]
  const middle = changes.length >> 1
  const run = composeAll(type, changes.slice(0, middle))
  for (const change of composeAll(type, changes.slice(middle))) pushComposed(type, run, change)
  return run
}

/** What a whole value being set does to what was made on what it replaced. */
export function overwritten(): Conflict {
  return new Conflict("the whole value was set")
}

/** What a write of the whole value is over any other change of it. */
export function changed(): Conflict {
  return new Conflict("the value was changed")
}
