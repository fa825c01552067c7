/** Local changes: all changes of an action are checked first, then made together (R2). */

import { Invalid } from "../value/errors.js"
import { checked, compareText, NESTING_MAX } from "../value/json.js"
import type { Fields } from "../types/type.js"
import { resolve } from "../types/type.js"
import type { Ticket } from "./events.js"
import { confirmUnsent } from "./outcome.js"
import type { Order } from "./pending.js"
import { bind, hasOthersBehind, mayCompose } from "./queue.js"
import type { LocalAction, State } from "./state.js"

/** One change of a local action. */
export interface LocalChange {
  readonly topicName: string
  /** The change, as on the wire, without `id` and `base`. */
  readonly change: Fields
  /**
   * It simply wins, and is sent without a base. Otherwise it is based: it means what its author sees, and is
   * rebased over others' changes or rejected (R4).
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

  /** A topic's view with the draft's changes applied; `otherwise` if the draft has none of this topic. */
  viewOf(topicName: string, otherwise: unknown): unknown {
    return this.#views.has(topicName) ? this.#views.get(topicName) : otherwise
  }

  /** Gives what takes back all changes that are added after this call. */
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

  /** Makes the changes. They show at once (R2), and the ticket names them in the event of their outcome. */
  commit(): Ticket {
    const [state, planned] = [this.#state, this.#planned]
    if (planned.length === 0) throw new Invalid("an action has at least one change")
    const several = planned.length > 1
    if (several) giveOneBase(planned)
    const [order, ticket] = [++state.actionsMade, ++state.tickets]
    const topics = [...new Set(planned.map(({ topicName }) => topicName))].sort(compareText)
    const { overwriting } = planned[0]!
    const action = { tickets: [ticket], topics, several, overwriting, batch: undefined }
    // What it is composed with is looked for among those made before.
    const into = planned.map((it) => push(state, order, action, it))[0]
    if (into !== undefined) merge(state, action, order, into)
    else {
      state.actions.set(order, action)
      if (!state.isPresence(topics)) state.waiting.add(order)
    }
    return ticket
  }
}

/** The change with copies of the containers in it, so that the program may go on changing its own. */
function checkedFields(change: Fields): Fields {
  const values = Object.values(change)
  const isFlat = values.every((value) => typeof value !== "object" && value !== undefined)
  if (!isFlat) return checked(change, NESTING_MAX + 1) as Fields
  for (const value of values) checked(value)
  return change
}

/**
 * Of one topic all changes bear a base, or none does (R4): an action is as careful as its most careful
 * change. In its exact form every change takes a base.
 */
function giveOneBase(planned: readonly Planned[]): void {
  const careful = new Set(planned.filter((it) => !it.overwriting).map((it) => it.topicName))
  for (const it of planned) if (careful.has(it.topicName)) it.overwriting = false
}

/**
 * Puts a planned change behind what is pending on its topic. Gives the earlier action that it was composed
 * into, if it was.
 */
function push(
  state: State,
  order: Order,
  action: LocalAction,
  { topicName, made, form, view, overwriting }: Planned,
): Order | undefined {
  const topic = state.topics.get(topicName)!
  const before = topic.view
  const pending = { order, id: undefined, overwriting, made, form, hidden: false, weight: 1, tail: [] }
  const into = topic.push(pending, view, (earlier) => mayCompose(state, action, earlier))
  state.dirty.add(topicName)
  state.events.push({ type: "changed", topicName, before, value: view, changes: [form], origin: "local" })
  return into
}

/** Makes one action of two singles that were composed: they share their outcome (R8). */
function merge(state: State, { tickets, topics }: LocalAction, order: Order, into: Order): void {
  const topicName = topics[0]!
  state.actions.get(into)!.tickets.push(...tickets)
  // It took itself back.
  if (!state.topics.get(topicName)!.holds(into)) confirmUnsent(state, into)
  else if (state.waiting.has(into) && hasOthersBehind(state, into, topicName)) bind(state, into, order)
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
