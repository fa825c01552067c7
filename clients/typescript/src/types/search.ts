/** Searching what is in order. */

/** The first position from 0 up to `length` of which `isBefore` is not so. O(log n). */
export function lowerBound(length: number, isBefore: (at: number) => boolean): number {
  let [low, high] = [0, length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (isBefore(middle)) low = middle + 1
    else high = middle
  }
  return low
}

/** How many items two sequences share at their beginnings, and then at their ends. */
export function sharedEnds<T>(
  a: readonly T[],
  b: readonly T[],
  isSame: (a: T, b: T) => boolean,
): [start: number, end: number] {
  const shortest = Math.min(a.length, b.length)
  let [start, end] = [0, 0]
  while (start < shortest && isSame(a[start]!, b[start]!)) start++
  while (end < shortest - start && isSame(a.at(-1 - end)!, b.at(-1 - end)!)) end++
  return [start, end]
}
