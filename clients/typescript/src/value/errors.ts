/** What goes wrong with values and changes, without anybody else having a part in it. */

/** A change or value that is malformed, or does not fit the value that it is applied to. */
export class Invalid extends Error {
  override readonly name = "Invalid"
}

/** Why a change cannot be rebased over another: it can no longer do what its author meant. */
export class Conflict extends Error {
  override readonly name = "Conflict"
}

/**
 * Runs `attempt`; gives `undefined` where it throws an {@link Invalid} or a {@link Conflict}, whose
 * message is passed to `onFailure`. Any other error is a bug, and is thrown on.
 */
export function tryTo<T>(attempt: () => T, onFailure?: (reason: string) => void): T | undefined {
  try {
    return attempt()
  } catch (error) {
    if (!(error instanceof Invalid || error instanceof Conflict)) throw error
    onFailure?.(error.message)
    return undefined
  }
}

/** The error of a position that is not there; `rest` says what would be. */
export function outOfBounds(position: number, length: number, rest = ""): Invalid {
  return new Invalid(`position ${position} is out of bounds, the length is ${length}${rest}`)
}

/** The error of something that is there already, or is not there. */
export function misplaced(what: string, there: boolean): Invalid {
  return new Invalid(`${what} is ${there ? "there already" : "not there"}`)
}
