/**
 * Declarations of topics: a name, a type, and what a program has it as. A declaration is plain data, to
 * be shared by all who use the topic; `client.open` makes a topic of it.
 *
 * @packageDocumentation
 */

export * from "./client/topics.js"
