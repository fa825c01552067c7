/** Shared notes, a shared list, and everybody's cursor. */

import { connect } from "topicsync"

const client = connect(`ws://${location.hostname}:8765/`)
const notes = client.string("example/notes")
const todo = client.list<string>("example/todo")
const cursors = client.presence<{ x: number; y: number }>("example/cursors")

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T
}

/** What was typed is the one difference between the text before and after. */
const area = element<HTMLTextAreaElement>("notes")
area.oninput = () => {
  const [before, after] = [notes.value, area.value]
  const shortest = Math.min(before.length, after.length)
  let start = 0
  while (start < shortest && before[start] === after[start]) start++
  // Whole characters only: never half of an emoji.
  if (start > 0 && /[\ud800-\udbff]/.test(after[start - 1]!)) start--
  let end = 0
  while (end < shortest - start && before.at(-1 - end) === after.at(-1 - end)) end++
  if (end > 0 && /[\udc00-\udfff]/.test(after.at(-end)!)) end--
  client.action(() => {
    if (before.length > start + end) notes.delete(start, before.length - start - end)
    if (after.length > start + end) notes.insert(start, after.slice(start, after.length - end))
  })
}

/** The selection stays where it was in the text, whatever others type. */
notes.onChange((event) => {
  if (event.local) return
  let { selectionStart, selectionEnd } = area
  const moved = (at: number) => {
    if (event.type === "inserted" && event.position < at) return at + event.text.length
    if (event.type === "deleted") return at - Math.max(0, Math.min(event.text.length, at - event.position))
    return at
  }
  ;[selectionStart, selectionEnd] = [moved(selectionStart), moved(selectionEnd)]
  area.value = notes.value
  area.setSelectionRange(selectionStart, selectionEnd)
})

todo.subscribe(() => {
  const items = todo.value.map((text, at) => {
    const item = document.createElement("li")
    item.textContent = text
    item.onclick = () => todo.pop(at)
    return item
  })
  element("todo").replaceChildren(...items)
})
element<HTMLFormElement>("form").onsubmit = (event) => {
  event.preventDefault()
  const input = element<HTMLInputElement>("item")
  if (input.value !== "") todo.append(input.value)
  input.value = ""
}

addEventListener("pointermove", ({ clientX: x, clientY: y }) => cursors.set({ x, y }))
cursors.subscribe(() => {
  document.querySelectorAll(".dot").forEach((dot) => dot.remove())
  for (const { x, y } of Object.values(cursors.others)) {
    const dot = document.createElement("div")
    dot.className = "dot"
    dot.style.translate = `${x}px ${y}px`
    document.body.append(dot)
  }
})

client.subscribe(() => {
  const waiting = client.pending === 0 ? "" : `, ${client.pending} to send`
  element("status").textContent = client.status + waiting
})
client.onRejected((rejected) => console.warn(rejected.message))
const warn = (error: Error) => console.warn(error.message)
element("undo").onclick = () => void client.undo().catch(warn)
element("redo").onclick = () => void client.redo().catch(warn)
