/** What all types have in common whose values can be set as a whole: that one change, and its algebra. */

import { tryTo } from "../value/errors.js"
import { required } from "./fields.js"
import type { Fields, Maybe, Rebased, TopicType } from "./type.js"
import { changed, overwritten, SEPARATE } from "./type.js"

/** Sets the whole value. */
export interface SetTo<V> {
  readonly type: "set"
  readonly value: V
}

/** What a program is told of a value that was set as a whole. */
export interface SetEvent<View> {
  readonly type: "set"
  readonly value: View
}

/** A type without its `set`. Its changes go over the wire as they are, unless it says otherwise. */
type Parts<V, C, View, E> = Omit<TopicType<V, C, View, E>, "encodeChange" | "rebase" | "compose" | "diff"> &
  Partial<Pick<TopicType<V, C, View, E>, "encodeChange" | "compose" | "diff">> & {
    /** As in a whole type; if this is not there, no two changes touch each other. */
    rebase?: TopicType<V, C>["rebase"]
    /** Rebases a change over a `set`; if this is not there, they conflict. */
    overSet?: (incoming: C, accepted: SetTo<V>) => { incoming: Maybe<C>; accepted: SetTo<V> }
  }

function isSet<V, C>(change: C | SetTo<V>): change is SetTo<V> {
  return (change as SetTo<V>).type === "set"
}

/** The type of `parts`, with the change that sets a whole value. */
export function settable<V, C, View = V, E = C>(
  parts: Parts<V, C, View, E>,
): TopicType<V, C | SetTo<V>, View, E | SetEvent<View>> {
  const own = {
    encodeChange: (change: C): Fields => ({ ...change }) as unknown as Fields,
    takesBase: () => true,
    resolve: (change: C) => change,
    rebase: (incoming: C, accepted: C): Rebased<C> => ({ incoming, accepted }),
    overSet(): never {
      throw overwritten()
    },
    key: () => undefined,
    compose: (): typeof SEPARATE => SEPARATE,
    view: (value: V) => value as unknown as View,
    describe: (change: C) => [change as unknown as E],
    ...parts,
  }
  const setTo = (value: V): SetTo<V> => ({ type: "set", value })
  return {
    ...own,
    decodeChange: (fields) =>
      isSet(fields) ? setTo(own.decodeValue(required(fields, "value"))) : own.decodeChange(fields),
    encodeChange: (change) =>
      isSet(change) ? { type: "set", value: own.encodeValue(change.value) } : own.encodeChange(change),
    takesBase: (change) => isSet(change) || own.takesBase(change),
    resolve: (change, value) => (isSet(change) ? change : own.resolve(change, value)),
    apply: (value, change) => (isSet(change) ? change.value : own.apply(value, change)),
    rebase(incoming, accepted) {
      if (isSet(incoming)) throw changed()
      return isSet(accepted) ? own.overSet(incoming, accepted) : own.rebase(incoming, accepted)
    },
    invert: (change, before) => (isSet(change) ? setTo(before) : own.invert(change, before)),
    key: (change) => (isSet(change) ? undefined : own.key(change)),
    compose(first, second) {
      if (isSet(second)) return second
      if (!isSet(first)) return own.compose(first, second)
      const value = tryTo(() => own.apply(first.value, second))
      return value === undefined ? SEPARATE : setTo(value)
    },
    describe: (change, before) =>
      isSet(change) ? [{ type: "set", value: own.view(change.value) }] : own.describe(change, before),
  }
}
