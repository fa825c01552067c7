/** Chance that a seed decides, so that a story can be played again. */

/** A generator of Tommy Ettinger's ("Mulberry32", 2017). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }
}

/** The seeds of a test: `SEED` alone, or as many as `RUNS` says. */
export function seeds(runs: number): number[] {
  const { SEED, RUNS } = process.env
  if (SEED) return [Number(SEED)]
  return Array.from({ length: Number(RUNS ?? runs) }, (_, at) => at + 1)
}
