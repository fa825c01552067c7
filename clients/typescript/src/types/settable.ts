/** What all types have in common whose values can be set as a whole: that one change, and its algebra. */

import { tryTo } from "../value/errors.js"
import { required } from "./fields.js"
import type { Fields, Maybe, TopicType } from "./type.js"
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
    /** Carries a change over a `set`; if this is not there, they conflict. */
    overSet?: (incoming: C, accepted: SetTo<V>) => { incoming: Maybe<C>; accepted: SetTo<V> }
  }

function isSet<V, C>(change: C | SetTo<V>): change is SetTo<V> {
  return (change as SetTo<V>).type === "set"
}

/** The type of `parts`, with the change that sets a whole value. */
export function settable<V, C, View = V, E = C>(
  parts: Parts<V, C, View, E>,
): TopicType<V, C | SetTo<V>, View, E | SetEvent<View>> {
  const setTo = (value: V): SetTo<V> => ({ type: "set", value })
  const viewOf = (value: V) => (parts.view ? parts.view(value) : (value as unknown as View))
  const apply = (value: V, change: C | SetTo<V>): V =>
    isSet(change) ? change.value : parts.apply(value, change)
  const type: TopicType<V, C | SetTo<V>, View, E | SetEvent<View>> = {
    ...parts,
    decodeChange: (fields) =>
      isSet(fields) ? setTo(parts.decodeValue(required(fields, "value"))) : parts.decodeChange(fields),
    encodeChange: (change) =>
      isSet(change)
        ? { type: "set", value: parts.encodeValue(change.value) }
        : (parts.encodeChange?.(change) ?? ({ ...change } as unknown as Fields)),
    takesBase: (change) => isSet(change) || (parts.takesBase?.(change) ?? true),
    resolve: (change, value) => (isSet(change) || !parts.resolve ? change : parts.resolve(change, value)),
    apply,
    rebase(incoming, accepted) {
      if (isSet(incoming)) throw changed()
      if (!isSet(accepted)) return parts.rebase ? parts.rebase(incoming, accepted) : { incoming, accepted }
      if (!parts.overSet) throw overwritten()
      return parts.overSet(incoming, accepted)
    },
    invert: (change, before) => (isSet(change) ? setTo(before) : parts.invert(change, before)),
    key: (change) => (isSet(change) ? undefined : parts.key?.(change)),
    compose(first, second) {
      if (isSet(second)) return second
      if (!isSet(first)) return parts.compose ? parts.compose(first, second) : SEPARATE
      const value = tryTo(() => parts.apply(first.value, second))
      return value === undefined ? SEPARATE : setTo(value)
    },
    describe: (change, before) =>
      isSet(change)
        ? [{ type: "set", value: viewOf(change.value) }]
        : (parts.describe?.(change, before) ?? [change as unknown as E]),
  }
  return type
}
