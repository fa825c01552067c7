/** Callbacks, and the words for who moved a view. */

import type { Origin } from "../replica/events.js"
import { report } from "../report.js"

/** Stops what was begun; calling it again does nothing. */
export type Stop = () => void

/** Where a change came from. */
export interface Source {
  /** Whether it was made by this client, and shows before the server has it. */
  readonly local: boolean
  /**
   * `local`, made here; `remote`, of another client, or an undo; `snapshot`, a whole value; `correction`,
   * what was made here was refused, or accepted in another form.
   */
  readonly origin: Origin
  /** The client id of who made a remote change. */
  readonly author: number | undefined
}

/** Calls back whoever listens. What a callback throws is reported, and disturbs nobody else. */
export class Listeners<Event = void> {
  readonly #callbacks = new Set<{ readonly call: (event: Event) => void }>()

  get size(): number {
    return this.#callbacks.size
  }

  add(call: (event: Event) => void): Stop {
    const callback = { call }
    this.#callbacks.add(callback)
    return () => void this.#callbacks.delete(callback)
  }

  /**
   * Calls back those who listen now, when the answer is called: who begins to listen meanwhile knows
   * already what it would be told.
   */
  later(): (event: Event) => void {
    const callbacks = [...this.#callbacks]
    return (event) => {
      for (const callback of callbacks) if (this.#callbacks.has(callback)) call(callback.call, event)
    }
  }

  tell(event: Event): void {
    this.later()(event)
  }
}

function call<Event>(callback: (event: Event) => void, event: Event): void {
  try {
    callback(event)
  } catch (error) {
    report(error)
  }
}
