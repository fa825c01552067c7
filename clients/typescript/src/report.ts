/** Errors that nobody catches. */

/** Reports what a callback threw, as the platform does with what nobody catches. */
export function report(error: unknown): void {
  if (globalThis.reportError) globalThis.reportError(error)
  else console.error(error)
}
