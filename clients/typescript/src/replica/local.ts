/** What the program changes: planned first as a whole, then made. */

import { Invalid } from "../value/errors.js"
import { checked, compareText, NESTING_MAX } from "../value/json.js"
import type { Fields } from "../types/type.js"
import { resolve } from "../types/type.js"
import type { Ticket } from "./events.js"
import { confirm } from "./fate.js"
import type { State } from "./state.js"

/** One change of a local action. */
export interface LocalChange {
  readonly topicName: string
  /** The change, as on the wire, without `id` and `base`. */
  readonly change: Fields
  /**
   * Made on whatever is there: it simply wins, and goes without a base. Otherwise it is made on what
   * its author sees, and others' changes carry it along or reject it.
   */
  readonly overwriting?: boolean
}

/** A change that fits, and the view that it leaves. */
interface Planned {
  readonly topicName: string
  readonly made: unknown
  readonly form: unknown
  readonly view: unknown
  overwriting: boolean
}

/** Changes that are to take effect together, each made on those before it. Nobody sees them yet. */
export class Draft {
  readonly #state: State
  #views = new Map<string, unknown>()
  #planned: Planned[] = []

  constructor(state: State) {
    this.#state = state
  }

  /**
   * Appends a change.
   *
   * @throws {@link Invalid} if it does not fit; then the draft is as it was.
   */
  add({ topicName, change, overwriting = false }: LocalChange): void {
    const topic = this.#state.topics.get(topicName)
    if (!topic) throw new Invalid(`topic ${JSON.stringify(topicName)} is not subscribed`)
    const { type } = topic
    const before = this.viewOf(topicName, topic.view)
    const made = type.decodeChange(checkedFields(change))
    const form = resolve(type, made, before)
    const view = type.apply(before, form)
    const takesBase = !overwriting && (type.takesBase?.(made) ?? true)
    this.#planned.push({ topicName, made, form, view, overwriting: !takesBase })
    this.#views.set(topicName, view)
  }

  /** A topic's view with the draft in it; `otherwise` if the draft does not touch the topic. */
  viewOf(topicName: string, otherwise: unknown): unknown {
    return this.#views.has(topicName) ? this.#views.get(topicName) : otherwise
  }

  /** A place to go back to. */
  mark(): () => void {
    const [views, length] = [new Map(this.#views), this.#planned.length]
    return () => {
      this.#views = views
      this.#planned.length = length
    }
  }

  get isEmpty(): boolean {
    return this.#planned.length === 0
  }

  /** Makes the changes. They show at once, and the ticket names them in the event of their fate. */
  commit(): Ticket {
    const [state, planned] = [this.#state, this.#planned]
    if (planned.length === 0) throw new Invalid("an action has at least one change")
    if (planned.length > 1) giveOneFooting(planned)
    const [batch, ticket] = [++state.batchesMade, ++state.tickets]
    const topics = [...new Set(planned.map(({ topicName }) => topicName))].sort(compareText)
    const action = planned.length > 1
    state.batches.set(batch, { tickets: [ticket], topics, action, message: undefined, orphaned: false })
    for (const it of planned) push(state, batch, it)
    return ticket
  }
}

/** A change without anything in it that the program may go on changing. */
function checkedFields(change: Fields): Fields {
  const values = Object.values(change)
  const isFlat = values.every((value) => typeof value !== "object" && value !== undefined)
  if (!isFlat) return checked(change, NESTING_MAX + 1) as Fields
  for (const value of values) checked(value)
  return change
}

/**
 * Of one topic all changes bear a base, or none does: an action is as careful as its most careful
 * change. In its exact form every change takes a base.
 */
function giveOneFooting(planned: readonly Planned[]): void {
  const careful = new Set(planned.filter((it) => !it.overwriting).map((it) => it.topicName))
  for (const it of planned) if (careful.has(it.topicName)) it.overwriting = false
}

function push(state: State, batch: number, { topicName, made, form, view, overwriting }: Planned): void {
  const topic = state.topics.get(topicName)!
  const before = topic.view
  const pending = { batch, id: undefined, overwriting, made, form, hidden: false }
  const isSingle = (id: number) => state.composes && state.batches.get(id)?.action === false
  const joined = topic.push(pending, view, isSingle)
  state.stirred.add(topicName)
  state.events.push({ type: "changed", topicName, before, value: view, changes: [form], origin: "local" })
  if (joined !== undefined) merge(state, batch, joined, topicName)
}

/** Makes one batch of two that wait on one topic. */
function merge(state: State, batch: number, into: number, topicName: string): void {
  const tickets = state.batches.get(batch)?.tickets ?? []
  state.batches.delete(batch)
  state.batches.get(into)?.tickets.push(...tickets)
  if (!state.holds(topicName, into)) confirm(state, into)
}

/**
 * Makes changes that take effect together or not at all, each on top of those before it.
 *
 * One change alone may be composed, or sent together, with its neighbours in time. Of an action, the
 * changes of one topic all go with a base if one of them does.
 *
 * @throws {@link Invalid} if a change does not fit the view; then none happened.
 */
export function local(state: State, changes: readonly LocalChange[]): Ticket {
  const draft = new Draft(state)
  for (const change of changes) draft.add(change)
  return draft.commit()
}
