/**
 * The client without a method for each kind of topic: topics are declared and opened, and a bundle holds
 * only the types that are used.
 *
 * ```ts
 * import { connect } from "topicsync/core"
 * import * as topics from "topicsync/topics"
 *
 * const nodes = connect(url).open(topics.dict<Node>("nodes"))
 * ```
 *
 * @packageDocumentation
 */

import { CoreClient } from "./client/core-client.js"
import type { ConnectionOptions } from "./connection/connection.js"

export { CoreClient as Client } from "./client/core-client.js"
export * from "./common.js"

/** Connects to the server at `url`, `ws://host:port/`. */
export function connect(url: string, options?: ConnectionOptions): CoreClient {
  return new CoreClient(url, options)
}
