/**
 * The kinds of topics, with the changes of their types.
 *
 * Positions, additions to a dict and removals go with a base: they are rebased over others' changes. Writes
 * of a whole register come in two: the plain one simply wins, as when somebody drags a node; the one
 * with `IfUnchanged` is rejected if somebody else was faster.
 *
 * Every change shows at once, and throws an {@link Invalid} at once if it does not fit the value that
 * is seen here.
 */

import type { Entries } from "../types/dict.js"
import type { DictEvent } from "../types/dict.js"
import type { EmittedEvent } from "../types/event.js"
import type { ListEvent } from "../types/list.js"
import type { NumberEvent } from "../types/number.js"
import type { SetEvent } from "../types/settable.js"
import type { SetTopicEvent } from "../types/set.js"
import type { StringEvent } from "../types/string.js"
import type { Fields } from "../types/type.js"
import { outOfBounds } from "../value/errors.js"
import type { Json, ReadonlyDeep } from "../value/json.js"
import { checked, frozen, isWellFormed } from "../value/json.js"
import type { Text } from "../value/text.js"
import type { Pending } from "./pending.js"
import { Topic } from "./topic.js"

/** A topic whose whole value can be set. */
export class SettableTopic<View, Event> extends Topic<View, Event> {
  /** Sets the whole value, whatever it is by then. */
  set(value: View): Pending {
    return this.make({ type: "set", value: value as Json }, true)
  }

  /** Sets the whole value, unless somebody else changed it. */
  setIfUnchanged(value: View): Pending {
    return this.make({ type: "set", value: value as Json })
  }
}

/** A topic that holds any value. */
export class GenericTopic<T> extends SettableTopic<ReadonlyDeep<T>, SetEvent<ReadonlyDeep<T>>> {}

/** A topic that holds true or false. */
export class BoolTopic extends SettableTopic<boolean, SetEvent<boolean>> {}

/** A topic that holds a number: a whole one within ±(2^53 − 1), or any finite one. */
export class NumberTopic extends SettableTopic<number, NumberEvent> {
  /** Adds, to whatever is there by then. */
  add(summand: number): Pending {
    return this.make({ type: "add", value: summand }, true)
  }
}

/** A part of an edit: a number keeps so many UTF-16 units, a text is inserted, `{d: …}` is deleted. */
export type EditStep = number | string | { readonly d: number | string }

/**
 * A topic that holds text. Positions and lengths count UTF-16 code units, as in any string.
 *
 * A text holds whole characters alone. A position between the halves of a surrogate pair is taken for the
 * one behind the pair by an insertion, and a deletion that has half of a pair deletes all of it.
 */
export class StringTopic extends SettableTopic<string, StringEvent> {
  /** How long the text is. */
  get length(): number {
    return this.#text.units
  }

  /** Inserts text before the character at a position. */
  insert(position: number, text: string): Pending {
    return this.make({ type: "insert", position: this.#text.pointAt(position, "end"), insertion: text })
  }

  /** Puts text at the end, wherever that is by then. */
  append(text: string): Pending {
    return this.make({ type: "insert", position: -1, insertion: text })
  }

  /** Deletes text. */
  delete(position: number, length: number): Pending {
    const start = this.#text.pointAt(position, "start")
    const end = length === 0 ? start : this.#text.pointAt(position + length, "end")
    return this.make({ type: "delete", position: start, length: end - start })
  }

  /**
   * Edits several places at once, from the beginning on; what lies behind the last step is kept. A half of
   * a pair that is replaced goes with the half that is kept, if they are a character together.
   */
  edit(steps: readonly EditStep[]): Pending {
    const text = this.#text
    let position = 0
    const advance = (units: number) => {
      const start = text.pointAt(position)
      return text.pointAt((position += units)) - start
    }
    const edit = wholeCharacters(text, steps).map((step): Json => {
      if (typeof step === "string") return step
      if (typeof step === "number") return advance(step)
      if (typeof step.d === "number") return { d: advance(step.d) }
      position += step.d.length
      return { d: step.d }
    })
    return this.make({ type: "edit", edit })
  }

  get #text(): Text {
    return this.inner as Text
  }
}

/** The steps, if none begins or ends between the halves of a pair; else others that do as much. */
function wholeCharacters(text: Text, steps: readonly EditStep[]): readonly EditStep[] {
  const beside = (unit: number, side: "start" | "end") => text.unitAt(text.pointAt(unit, side))
  let position = 0
  let splits = false
  /** What is replaced: from and up to which position, and by what. */
  const spans: [from: number, to: number, by: string][] = []
  let span: (typeof spans)[0] | undefined
  for (const step of steps) {
    const units = typeof step === "object" ? (typeof step.d === "number" ? step.d : step.d.length) : step
    if (typeof step === "number" && step > 0) span = undefined
    else if (!span) spans.push((span = [position, position, ""]))
    if (typeof units === "string") span![2] += units
    else {
      position += units
      if (span) span[1] = position
    }
    splits ||= beside(position, "start") !== position
  }
  if (!splits) return steps
  position = 0
  const string = text.toString()
  return spans.flatMap(([from, to, by]) => {
    const [start, end] = [beside(from, from === to ? "end" : "start"), beside(to, "end")]
    const around = string.slice(start, from) + by + string.slice(to, end)
    const kept = start - position
    position = end
    return [kept, { d: end - start }, isWellFormed(around) ? around : by]
  })
}

/** A topic that holds items in a row. Positions count them from 0. */
export class ListTopic<T> extends SettableTopic<readonly ReadonlyDeep<T>[], ListEvent<ReadonlyDeep<T>>> {
  /** How many items there are. */
  get length(): number {
    return this.value.length
  }

  /** Inserts an item before the one at a position. */
  insert(position: number, item: ReadonlyDeep<T>): Pending {
    return this.make({ type: "insert", position: at(position, this.length), item: item as Json })
  }

  /** Puts an item at the end, wherever that is by then. */
  append(item: ReadonlyDeep<T>): Pending {
    return this.make({ type: "insert", position: -1, item: item as Json })
  }

  /** Takes out an item; without a position the last one, whichever that is by then. */
  pop(position?: number): Pending {
    return this.make({ type: "pop", position: position === undefined ? -1 : at(position, this.length) })
  }

  /**
   * Puts another item in the place of one. It is rejected if somebody else replaced or took out that
   * one: without a base, a position would be that of another item.
   */
  replace(position: number, item: ReadonlyDeep<T>): Pending {
    return this.make({ type: "replace", position: at(position, this.length), item: item as Json })
  }

  /** Moves an item; `to` counts without it. */
  move(from: number, to: number): Pending {
    return this.make({ type: "move", from: at(from, this.length), to: at(to, this.length) })
  }
}

/** Passes what can be a position here: "the end" has methods of its own. */
function at(position: number, length: number): number {
  if (position < 0) throw outOfBounds(position, length)
  return position
}

/** A topic that holds distinct items, in the one order of values. */
export class SetTopic<T> extends SettableTopic<readonly ReadonlyDeep<T>[], SetTopicEvent<ReadonlyDeep<T>>> {
  /** How many items there are. */
  get size(): number {
    return this.value.length
  }

  /** Adds an item that is not there. */
  append(item: ReadonlyDeep<T>): Pending {
    return this.make({ type: "append", item: item as Json })
  }

  /** Takes out an item that is there. */
  remove(item: ReadonlyDeep<T>): Pending {
    return this.make({ type: "remove", item: item as Json })
  }
}

/** A topic that holds values by key. */
export class DictTopic<T> extends SettableTopic<
  Readonly<Record<string, ReadonlyDeep<T>>>,
  DictEvent<ReadonlyDeep<T>>
> {
  /** How many keys there are. */
  get size(): number {
    return this.#entries.keys.length
  }

  /** The value under a key, if it is there. O(log n), where {@link value} costs O(n) after a change. */
  get(key: string): ReadonlyDeep<T> | undefined {
    return frozen(this.#entries.get(key)) as ReadonlyDeep<T> | undefined
  }

  /** Whether a key is there. */
  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  /** Puts a value under a key that is not there. */
  add(key: string, value: ReadonlyDeep<T>): Pending {
    return this.make({ type: "add", key, value: value as Json })
  }

  /** Puts a value under a key, be it there or not: it is added, or its value changed. */
  put(key: string, value: ReadonlyDeep<T>): Pending {
    return this.has(key) ? this.changeValue(key, value) : this.add(key, value)
  }

  /** Takes out a key that is there. */
  remove(key: string): Pending {
    return this.make({ type: "remove", key })
  }

  /** Puts another value under a key that is there, whatever its value is by then. */
  changeValue(key: string, value: ReadonlyDeep<T>): Pending {
    return this.make(changeValue(key, value), true)
  }

  /** Puts another value under a key that is there, unless somebody else did. */
  changeValueIfUnchanged(key: string, value: ReadonlyDeep<T>): Pending {
    return this.make(changeValue(key, value))
  }

  get #entries(): Entries {
    return this.inner as Entries
  }
}

function changeValue(key: string, value: unknown): Fields {
  return { type: "change_value", key, value: value as Json }
}

/** A topic that holds nothing, and passes on what is emitted. */
export class EventTopic<Args> extends Topic<null, EmittedEvent<ReadonlyDeep<Args>>> {
  /** Emits an event. Everybody who listens is told, this client included. */
  emit(args: Args): Pending {
    return this.make({ type: "emit", args: args as Json })
  }
}

/**
 * Who is there: an entry for each session that set one, by client id. Cursors, names, selections. An
 * entry leaves with its session.
 */
export class PresenceTopic<T> extends Topic<
  Readonly<Record<string, ReadonlyDeep<T>>>,
  DictEvent<ReadonlyDeep<T>>
> {
  #seen: { readonly all: object; readonly id: number | undefined } | undefined
  #others: Readonly<Record<string, ReadonlyDeep<T>>> = {}

  /**
   * Wants this client's entry to be this, or, `undefined`, not to be. It is put there again in every
   * later session.
   */
  set(entry: ReadonlyDeep<T> | undefined): void {
    const value = entry === undefined ? undefined : checked(entry)
    this.core.act((replica) => replica.setPresence(this.name, value))
  }

  /** Every entry, by client id. */
  get all(): Readonly<Record<string, ReadonlyDeep<T>>> {
    return this.value
  }

  /** The entries of the others, by client id: the same object until one of them changes. */
  get others(): Readonly<Record<string, ReadonlyDeep<T>>> {
    const [all, id] = [this.value, this.core.replica.clientId]
    if (this.#seen?.all !== all || this.#seen.id !== id) {
      this.#seen = { all, id }
      const others = Object.entries(all).filter(([key]) => key !== String(id))
      const same =
        others.length === Object.keys(this.#others).length &&
        others.every(([key, entry]) => this.#others[key] === entry)
      if (!same) this.#others = Object.fromEntries(others)
    }
    return this.#others
  }
}
