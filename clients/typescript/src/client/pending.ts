/** What is waited for, and how long. */

import { Closed, TimedOut } from "./errors.js"

/** How a wait ended. */
export type Outcome<T> = { readonly value: T } | { readonly error: Error }

/** The longest time that a timer can be set to. */
const TIMER_MAX = 2 ** 31 - 1

/** What `promise` gives; what `late` gives is thrown if that takes too long. */
export function within<T>(promise: Promise<T>, timeoutMs: number, late: () => Error): Promise<T> {
  if (!(timeoutMs <= TIMER_MAX)) return promise
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), timeoutMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/**
 * A promise of something that goes on whether it is awaited or not: if it fails and nobody waits,
 * nothing is thrown.
 */
export class Awaitable<T> implements PromiseLike<T> {
  /** @internal */
  readonly what: string
  readonly #timeoutMs: number
  #outcome: Outcome<T> | undefined
  #waiting: ((outcome: Outcome<T>) => void)[] = []

  /** @internal */
  constructor(what: string, timeoutMs: number) {
    this.what = what
    this.#timeoutMs = timeoutMs
  }

  /** Calls back once the outcome is known, as a promise does. */
  then<A = T, B = never>(
    accepted?: ((value: T) => A | PromiseLike<A>) | null,
    refused?: ((error: Error) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    let promise = new Promise<T>((resolve, reject) => {
      const settle = (it: Outcome<T>) => ("error" in it ? reject(it.error) : resolve(it.value))
      if (this.#outcome) settle(this.#outcome)
      else this.#waiting.push(settle)
    })
    if (!this.#outcome) {
      promise = within(promise, this.#timeoutMs, () => new TimedOut(this.what, this.#timeoutMs))
    }
    return promise.then(accepted, refused)
  }

  /** Calls back if it fails, as a promise does. */
  catch<B = never>(refused: (error: Error) => B | PromiseLike<B>): Promise<T | B> {
    return this.then(undefined, refused)
  }

  /** @internal Whether the outcome is known. */
  get isSettled(): boolean {
    return this.#outcome !== undefined
  }

  /** @internal Ends the wait, if it has not ended. Gives whether somebody waited. */
  settle(outcome: Outcome<T>): boolean {
    if (this.#outcome) return true
    const waiting = this.#waiting
    this.#outcome = outcome
    this.#waiting = []
    for (const settle of waiting) settle(outcome)
    return waiting.length > 0
  }

  /** @internal Ends the wait, as the client was closed. */
  close(): void {
    this.settle({ error: new Closed(this.what) })
  }
}

/**
 * A local change, or action, on its way. It shows already; awaited, it settles when the server has
 * accepted it, with the id that it was accepted under (none if nothing was left to send), or throws:
 * {@link Rejected} with the reason, {@link OutcomeUnknown}, {@link TimedOut} or {@link Unsent}.
 *
 * Nobody has to await it: a rejection that nobody waits for is told to `client.onRejected` alone.
 */
export class Pending extends Awaitable<string | undefined> {}

/**
 * A service that is offered. Awaited, it settles when the server knows of it, or throws:
 * {@link ServiceError} if another client offers it, {@link TimedOut} or {@link Closed}.
 */
export class Registration extends Awaitable<void> {
  /** Takes the offer back. */
  readonly stop: () => void

  /** @internal */
  constructor(what: string, timeoutMs: number, stop: () => void) {
    super(what, timeoutMs)
    this.stop = stop
  }
}
