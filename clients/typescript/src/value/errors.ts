/** What goes wrong with values and changes, without anybody else having a part in it. */

/** A change or value that is malformed, or does not fit the value that it is applied to. */
export class Invalid extends Error {
  override readonly name = "Invalid"
}

/** Why a change cannot be carried over another: it can no longer do what its author meant. */
export class Conflict extends Error {
  override readonly name = "Conflict"
}

/**
 * Runs `attempt`; gives `undefined` where it throws an {@link Invalid} or a {@link Conflict}, of whose
 * message `heed` is told. Bugs pass through.
 */
export function tryTo<T>(attempt: () => T, heed?: (reason: string) => void): T | undefined {
  try {
    return attempt()
  } catch (error) {
    if (!(error instanceof Invalid || error instanceof Conflict)) throw error
    heed?.(error.message)
    return undefined
  }
}

/** The error of a position that is not there; `rest` says what would be. */
export function outOfBounds(position: number, length: number, rest = ""): Invalid {
  return new Invalid(`position ${position} is out of bounds, the length is ${length}${rest}`)
}

/** The error of what is there and should not be, or the other way round. */
export function misplaced(what: string, there: boolean): Invalid {
  return new Invalid(`${what} is ${there ? "there already" : "not there"}`)
}
