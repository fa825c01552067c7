/**
 * Declarations of topics: a name, a type, and what a program has it as.
 *
 * Each is a function of its own, so that a program is only as large as the types that it uses.
 */

import * as dicts from "../types/dict.js"
import * as events from "../types/event.js"
import * as lists from "../types/list.js"
import * as numbers from "../types/number.js"
import * as registers from "../types/register.js"
import * as sets from "../types/set.js"
import * as strings from "../types/string.js"
import type { AnyType, TopicType } from "../types/type.js"
import type { Json, JsonObject } from "../value/json.js"
import { checked } from "../value/json.js"
import type { Core } from "./core.js"
import * as kinds from "./kinds.js"
import type { AnyTopic, Declaration, TopicOptions } from "./topic.js"
import { TypedTopic } from "./topic.js"

type Kind<T> = new (core: Core, declaration: Declaration) => T

function declare<T extends AnyTopic>(
  name: string,
  type: AnyType,
  kind: Kind<T>,
  options?: TopicOptions | null,
): Declaration<T> {
  return { name, type, options: checked(options ?? {}) as TopicOptions, kind }
}

/** Declares a topic that holds any value, and is set as a whole. */
export function generic<T = Json>(name: string, options?: TopicOptions) {
  return declare(name, registers.generic, kinds.GenericTopic<T>, options)
}

/** Declares a topic that holds true or false. */
export function bool(name: string, options?: TopicOptions) {
  return declare(name, registers.bool, kinds.BoolTopic, options)
}

/** Declares a topic that holds a whole number. */
export function int(name: string, options?: TopicOptions) {
  return declare(name, numbers.int, kinds.NumberTopic, options)
}

/** Declares a topic that holds a finite number. */
export function float(name: string, options?: TopicOptions) {
  return declare(name, numbers.float, kinds.NumberTopic, options)
}

/** Declares a topic that holds text. */
export function string(name: string, options?: TopicOptions) {
  return declare(name, strings.string, kinds.StringTopic, options)
}

/**
 * Declares a topic that holds items in a row.
 *
 * ```ts
 * const todo = topics.list<string>("todo")
 * client.open(todo).insert(0, 3) // a compile error: 3 is no string
 * ```
 */
export function list<T = Json>(name: string, options?: TopicOptions) {
  return declare(name, lists.list, kinds.ListTopic<T>, options)
}

/** Declares a topic that holds distinct items. */
export function set<T = Json>(name: string, options?: TopicOptions) {
  return declare(name, sets.set, kinds.SetTopic<T>, options)
}

/** Declares a topic that holds values by key. */
export function dict<T = Json>(name: string, options?: TopicOptions) {
  return declare(name, dicts.dict, kinds.DictTopic<T>, options)
}

/** Declares a topic that holds nothing, and passes on what is emitted. */
export function event<Args = JsonObject>(name: string, options?: TopicOptions) {
  return declare(name, events.event, kinds.EventTopic<Args>, options)
}

/** Declares a topic that holds an entry for each session that set one, gone with the session. */
export function presence<T = Json>(name: string) {
  return declare(name, dicts.dict, kinds.PresenceTopic<T>, { presence: true })
}

/** Declares a topic of a type of one's own. */
export function typed<V, C, View, Event>(
  name: string,
  type: TopicType<V, C, View, Event>,
  options?: TopicOptions,
) {
  return declare(name, type, TypedTopic<C, View, Event>, options)
}
