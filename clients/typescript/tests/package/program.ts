/** What a newcomer's program may look like. It prints what two clients see. */

import { connect, Rejected } from "topicsync"
import { connect as connectLean } from "topicsync/core"
import * as topics from "topicsync/topics"
import { msgpack } from "topicsync/msgpack"

const url = process.argv[2]!
const client = connect(url)
const list = client.list<string>("list")
await list.append("milk")
const dict = client.dict<number>("dict")
await dict.add("a", 1)
await dict.changeValueIfUnchanged("a", 2).catch((error) => {
  if (!(error instanceof Rejected)) throw error
})

const other = connectLean(url, { codec: msgpack })
const seen = await other.open(topics.list<string>("list")).ready()
const numbers = await other.open(topics.dict<number>("dict")).ready()
console.log(JSON.stringify([seen.value, numbers.value]))
await Promise.all([client.close(), other.close()])
