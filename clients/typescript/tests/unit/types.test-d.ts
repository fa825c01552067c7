/** What must not compile. `npm run check` fails where a line does, of which it is said that it does not. */

import { connect, topics } from "../../src/index.js"
import { connect as connectLean } from "../../src/core.js"
import { useTopic, useValue } from "../../src/react.js"

interface Node {
  x: number
  tags?: string[]
  at?: [number, number]
}

const client = connect("ws://nowhere/")
const list = client.list<string>("list")
const dict = client.dict<Node>("dict")

export function compiles(): void {
  list.insert(0, "a")
  const first: string | undefined = list.value[0]
  dict.changeValue("n1", { x: 1 })
  const x: number | undefined = dict.get("n1")?.x
  list.onChange((event) => {
    if (event.type === "inserted") return event.item.toUpperCase()
    if (event.type === "replaced") return event.previous.toUpperCase()
    return event.local
  })
  connectLean("ws://nowhere/").open(topics.list<string>("list")).append("a")
  // What was read can be written again, and what can be changed can be written too.
  const node = dict.value["n1"]
  if (node) dict.put("n2", node)
  const mine: Node = { x: 1, tags: [], at: [1, 2] }
  dict.put("n3", mine)
  const at: readonly [number, number] | undefined = node?.at
  client.generic("any").set({ a: [1, { b: null }] })
  void [first, x, at]
}

export function doesNotCompile(): void {
  // @ts-expect-error 3 is no string
  list.insert(0, 3)
  // @ts-expect-error
  list.set([1])
  // @ts-expect-error a list has no keys
  list.add("a", "b")
  // @ts-expect-error y is no field of a node
  dict.add("n1", { y: 1 })
  // @ts-expect-error
  dict.changeValue(1, { x: 1 })
  // @ts-expect-error a value is never changed in place
  list.value.push("a")
  // @ts-expect-error
  dict.value["n1"] = { x: 1 }
  // @ts-expect-error nor at any depth
  dict.value["n1"]!.x = 1
  // @ts-expect-error
  dict.get("n1")!.tags!.push("a")
  // @ts-expect-error
  dict.onChange((event) => event.type === "added" && (event.value.x = 1))
  // @ts-expect-error
  client.int("int").add("1")
  // @ts-expect-error
  client.string("text").insert("0", "a")
  // @ts-expect-error
  client.bool("bool").set(1)
  // @ts-expect-error
  client.event<{ n: number }>("event").emit({ n: "1" })
  // @ts-expect-error
  client.presence<{ x: number }>("cursors").set({ x: "1" })
  // @ts-expect-error a list's events have no key
  list.onChange((event) => event.key)
  // @ts-expect-error the lean client has no methods for the kinds
  connectLean("ws://nowhere/").list("list")
}

export function Component(): null {
  const [items, todo] = useTopic(topics.list<string>("todo"))
  todo.append("a")
  const x = useValue(topics.dict<Node>("dict"), (nodes) => nodes["n1"]?.x)
  // @ts-expect-error
  const wrong: string = x
  // @ts-expect-error
  todo.append(1)
  void [items[0]?.toUpperCase(), wrong]
  return null
}
