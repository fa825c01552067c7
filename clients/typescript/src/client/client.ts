/** The client with a method for each kind of topic. */

import type { ConnectionOptions } from "../connection/connection.js"
import type { TopicType } from "../types/type.js"
import type { Json } from "../value/json.js"
import { CoreClient } from "./core-client.js"
import type { TopicOptions, TypedTopic } from "./topic.js"
import * as topics from "./topics.js"

/** A client of a topicsync server, with a method for each kind of topic. */
export class Client extends CoreClient {
  /** A topic that holds any value, and is set as a whole. */
  generic<T = Json>(name: string, options?: TopicOptions) {
    return this.open(topics.generic<T>(name, options))
  }

  /** A topic that holds true or false. */
  bool(name: string, options?: TopicOptions) {
    return this.open(topics.bool(name, options))
  }

  /** A topic that holds a whole number. */
  int(name: string, options?: TopicOptions) {
    return this.open(topics.int(name, options))
  }

  /** A topic that holds a finite number. */
  float(name: string, options?: TopicOptions) {
    return this.open(topics.float(name, options))
  }

  /** A topic that holds text. */
  string(name: string, options?: TopicOptions) {
    return this.open(topics.string(name, options))
  }

  /** A topic that holds items in a row. */
  list<T = Json>(name: string, options?: TopicOptions) {
    return this.open(topics.list<T>(name, options))
  }

  /** A topic that holds distinct items. */
  set<T = Json>(name: string, options?: TopicOptions) {
    return this.open(topics.set<T>(name, options))
  }

  /** A topic that holds values by key. */
  dict<T = Json>(name: string, options?: TopicOptions) {
    return this.open(topics.dict<T>(name, options))
  }

  /** A topic that holds nothing, and passes on what is emitted. */
  event<Args>(name: string, options?: TopicOptions) {
    return this.open(topics.event<Args>(name, options))
  }

  /** A topic of a type of one's own. */
  topic<V, C, View, Event>(
    name: string,
    type: TopicType<V, C, View, Event>,
    options?: TopicOptions,
  ): TypedTopic<C, View, Event> {
    return this.open(topics.typed(name, type, options))
  }

  /** A presence topic: each session has an entry, which leaves with it. */
  presence<T = Json>(name: string) {
    return this.open(topics.presence<T>(name))
  }
}

/**
 * Connects to the server at `url`, `ws://host:port/`.
 *
 * ```ts
 * const client = connect("ws://127.0.0.1:8765/")
 * const todo = client.list<string>("todo")
 * todo.onChange((event) => console.log(event))
 * await todo.append("milk")
 * ```
 */
export function connect(url: string, options?: ConnectionOptions): Client {
  return new Client(url, options)
}
