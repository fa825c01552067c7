/** A page that shows topics by every hook, in StrictMode. */

import type { ReactNode } from "react"
import { Component, StrictMode, useRef, useState } from "react"
import { createRoot } from "react-dom/client"
import { connect, topics } from "../../src/index.js"
import { ClientProvider, usePresence, useStatus, useTopic, useUndo, useValue } from "../../src/react.js"

const notes = topics.string("page/notes")
const todo = topics.list<string>("page/todo")
const nodes = topics.dict<{ x: number; y: number }>("page/nodes")
const wrong = topics.list<string>("page/wrong")
const people = topics.presence<{ name: string }>("page/people")

/** How often each part rendered. */
const renders: Record<string, number> = {}

function useRenders(part: string): void {
  renders[part] = (renders[part] ?? 0) + 1
}

/** Types what was typed: the difference is one insertion or deletion. */
function Notes(): ReactNode {
  const [text, topic] = useTopic(notes)
  useRenders("notes")
  const type = (typed: string) => {
    let start = 0
    while (start < text.length && text[start] === typed[start]) start++
    let end = 0
    const most = Math.min(text.length, typed.length) - start
    while (end < most && text.at(-1 - end) === typed.at(-1 - end)) end++
    if (text.length > start + end) topic.delete(start, text.length - start - end)
    if (typed.length > start + end) topic.insert(start, typed.slice(start, typed.length - end))
  }
  return <textarea id="notes" value={text} onChange={(event) => type(event.target.value)} />
}

function Todo(): ReactNode {
  const [items, topic] = useTopic(todo)
  return (
    <>
      <ul id="todo">
        {items.map((item, at) => (
          <li key={at}>{item}</li>
        ))}
      </ul>
      <button id="add" onClick={() => topic.append(`item ${items.length}`)} />
    </>
  )
}

/** Renders only when x of the node "a" is another; the selector is a new function each time. */
function NodeX(): ReactNode {
  const x = useValue(nodes, (nodes) => nodes["a"]?.x)
  useRenders("x")
  return <output id="x">{x}</output>
}

/** Shows the error of a topic that cannot be had, and tries again when it is asked to. */
class Boundary extends Component<{ children: ReactNode }, { error?: Error | undefined }> {
  override state: { error?: Error | undefined } = {}

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error }
  }

  override render(): ReactNode {
    const { error } = this.state
    if (!error) return this.props.children
    return (
      <>
        <output id="error">{error.message}</output>
        <button id="again" onClick={() => this.setState({ error: undefined })} />
      </>
    )
  }
}

function Wrong(): ReactNode {
  const [items] = useTopic(wrong)
  return <output id="wrong">{items.length} items</output>
}

function Everything(): ReactNode {
  const { status, pending } = useStatus()
  const { undo, redo } = useUndo()
  const { others, set } = usePresence(people)
  const [shown, setShown] = useState(true)
  const [tried, setTried] = useState(false)
  const name = useRef(location.hash.slice(1))
  return (
    <>
      <output id="status">{status}</output>
      <output id="pending">{pending}</output>
      <output id="others">
        {Object.values(others)
          .map((it) => it.name)
          .join()}
      </output>
      <button id="hello" onClick={() => set({ name: name.current })} />
      <button id="undo" onClick={() => void undo()} />
      <button id="redo" onClick={() => void redo()} />
      <button id="toggle" onClick={() => setShown(!shown)} />
      {shown && <Notes />}
      <button id="try" onClick={() => setTried(true)} />
      <Boundary>{tried && <Wrong />}</Boundary>
      <Todo />
      <NodeX />
    </>
  )
}

const client = connect(new URLSearchParams(location.search).get("server")!)
Object.assign(globalThis, { client, renders, nodes })
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <ClientProvider client={client}>
      <Everything />
    </ClientProvider>
  </StrictMode>,
)
