/** Callbacks, and the words for who moved a view. */

import type { Origin } from "../replica/events.js"

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

  tell(event: Event): void {
    if (this.size === 0) return
    // Who begins to listen meanwhile is told of the next one.
    for (const { call } of [...this.#callbacks]) {
      try {
        call(event)
      } catch (error) {
        report(error)
      }
    }
  }
}

/** Reports what a callback threw, as the platform does with what nobody catches. */
export function report(error: unknown): void {
  if (globalThis.reportError) globalThis.reportError(error)
  else console.error(error)
}
