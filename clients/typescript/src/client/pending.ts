/** A local change on its way. */

/** How a change ended: accepted under an id, or not. */
type Fate = { readonly id: string | undefined } | { readonly error: Error }

/**
 * A local change, or action, on its way. It shows already; awaited, it settles when the server has
 * accepted it, with the id that it was accepted under (none if nothing was left to send), or throws:
 * {@link Rejected} with the reason, {@link FateUnknown} or {@link Closed}.
 *
 * Nobody has to await it: a rejection that nobody waits for is told to `client.onRejected` alone.
 */
export class Pending implements PromiseLike<string | undefined> {
  #fate: Fate | undefined
  #waiting: ((fate: Fate) => void)[] | undefined

  /** Calls back once the fate is known, as a promise does. */
  then<A = string | undefined, B = never>(
    accepted?: ((id: string | undefined) => A | PromiseLike<A>) | null,
    refused?: ((error: Error) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    const promise = new Promise<string | undefined>((resolve, reject) => {
      const settle = (fate: Fate) => ("error" in fate ? reject(fate.error) : resolve(fate.id))
      if (this.#fate) settle(this.#fate)
      else (this.#waiting ??= []).push(settle)
    })
    return promise.then(accepted, refused)
  }

  /** Calls back if the change is refused, as a promise does. */
  catch<B = never>(refused: (error: Error) => B | PromiseLike<B>): Promise<string | undefined | B> {
    return this.then(undefined, refused)
  }

  /** @internal */
  settle(fate: Fate): void {
    this.#fate = fate
    for (const settle of this.#waiting ?? []) settle(fate)
    this.#waiting = undefined
  }
}
