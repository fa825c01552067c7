/** Declarations of topics: a name, a type, and what a program has it as. */

import { dict } from "../types/dict.js"
import { event } from "../types/event.js"
import { list } from "../types/list.js"
import { float, int } from "../types/number.js"
import { bool, generic } from "../types/register.js"
import { set } from "../types/set.js"
import { string } from "../types/string.js"
import type { AnyType, TopicType } from "../types/type.js"
import type { Json, JsonObject } from "../value/json.js"
import type { Core } from "./core.js"
import * as kinds from "./kinds.js"
import type { AnyTopic, Declaration, TopicOptions } from "./topic.js"
import { TypedTopic } from "./topic.js"

type Kind<T> = new (core: Core, declaration: Declaration) => T

function declare<T>(type: AnyType, kind: Kind<T>) {
  return (name: string, options: TopicOptions = {}) =>
    ({ name, type, options, kind }) as unknown as Declaration<T & AnyTopic>
}

/**
 * Declares topics by name and type. A declaration is plain data, to be shared by all who use the
 * topic; `client.open` makes a topic of it.
 *
 * ```ts
 * export const todo = topics.list<string>("todo")
 * client.open(todo).insert(0, 3) // a compile error: 3 is no string
 * ```
 */
export const topics = {
  /** Holds any value, and is set as a whole. */
  generic: <T = Json>(name: string, options?: TopicOptions) =>
    declare(generic, kinds.GenericTopic<T>)(name, options),
  /** Holds true or false. */
  bool: declare(bool, kinds.BoolTopic),
  /** Holds a whole number. */
  int: declare(int, kinds.NumberTopic),
  /** Holds a finite number. */
  float: declare(float, kinds.NumberTopic),
  /** Holds text. */
  string: declare(string, kinds.StringTopic),
  /** Holds items in a row. */
  list: <T = Json>(name: string, options?: TopicOptions) =>
    declare(list, kinds.ListTopic<T>)(name, options),
  /** Holds distinct items. */
  set: <T = Json>(name: string, options?: TopicOptions) =>
    declare(set, kinds.SetTopic<T>)(name, options),
  /** Holds values by key. */
  dict: <T = Json>(name: string, options?: TopicOptions) =>
    declare(dict, kinds.DictTopic<T>)(name, options),
  /** Holds nothing, and passes on what is emitted. */
  event: <Args = JsonObject>(name: string, options?: TopicOptions) =>
    declare(event, kinds.EventTopic<Args>)(name, options),
  /** Holds an entry for each session that set one, gone with the session. */
  presence: <T = Json>(name: string) =>
    declare(dict, kinds.PresenceTopic<T>)(name, { presence: true }),
  /** A topic of a type of one's own. */
  typed: <V, C, View, Event>(
    name: string,
    type: TopicType<V, C, View, Event>,
    options?: TopicOptions,
  ) => declare(type, TypedTopic<C, View, Event>)(name, options),
}
