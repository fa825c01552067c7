/**
 * The TypeScript client of topicsync: typed topics that many hands edit at once, in browsers and Node.
 *
 * @packageDocumentation
 */

export { Client, connect } from "./client/client.js"
export { CoreClient } from "./client/core-client.js"
export * from "./common.js"
export * as topics from "./client/topics.js"
