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
