/** What two sequences have in common, as far as differences go by it (R30). */

import { lowerBound } from "./search.js"

/** In how long a middle, between what two sequences share at their ends, more is looked for. */
const MIDDLE_MAX = 2 ** 20

/** A stretch that two sequences have in common: where it begins in the old one, in the new one, its length. */
export type Common = readonly [old: number, now: number, length: number]

/**
 * The stretches that two sequences have in common, in order: their ends, and between these what is found by
 * runs of `run` parts that stand in both middles once.
 *
 * This is the patience diff (B. Cohen, in Bazaar, 2005), with runs of parts for its unique lines, done once:
 * what lies between two stretches is not looked into again. O(n log n).
 */
export function inCommon(old: readonly string[], now: readonly string[], run: number): Common[] {
  const shortest = Math.min(old.length, now.length)
  let [start, end] = [0, 0]
  while (start < shortest && old[start] === now[start]) start++
  while (end < shortest - start && old.at(-1 - end) === now.at(-1 - end)) end++
  const [oldEnd, nowEnd] = [old.length - end, now.length - end]
  const found: Common[] = [[0, 0, start]]
  /** Where the last stretch ends. */
  let [oldAt, nowAt] = [start, start]
  for (let [i, j] of ascending(pairs(old.slice(start, oldEnd), now.slice(start, nowEnd), run))) {
    i += start
    j += start
    // The stretch before was widened over it.
    if (i < oldAt || j < nowAt) continue
    while (i > oldAt && j > nowAt && old[i - 1] === now[j - 1]) {
      i--
      j--
    }
    let length = 0
    while (i + length < oldEnd && j + length < nowEnd && old[i + length] === now[j + length]) length++
    found.push([i, j, length])
    oldAt = i + length
    nowAt = j + length
  }
  return [...found, [oldEnd, nowEnd, end]]
}

type Pair = [old: number, now: number]

/** Where the runs stand that both sequences have once, in the order of the first. */
function pairs(old: readonly string[], now: readonly string[], run: number): Pair[] {
  if (Math.max(old.length, now.length) > MIDDLE_MAX) return []
  const there = places(now, run)
  const found: Pair[] = []
  for (const [key, place] of places(old, run)) {
    const other = there.get(key) ?? -1
    if (place >= 0 && other >= 0) found.push([place, other])
  }
  return found
}

/** By run, in the order met: its place, or -1 if it stands there more than once. */
function places(parts: readonly string[], run: number): Map<string, number> {
  const places = new Map<string, number>()
  for (let at = 0; at + run <= parts.length; at++) {
    const key = run === 1 ? parts[at]! : parts.slice(at, at + run).join("")
    places.set(key, places.has(key) ? -1 : at)
  }
  return places
}

/**
 * As many of the pairs as ascend on both sides, found by patience sorting: each goes on the leftmost pile
 * whose top is behind it, and remembers the top of the pile before.
 */
function ascending(pairs: readonly Pair[]): Pair[] {
  const tops: number[] = []
  const before = pairs.map(([, now], at) => {
    const pile = lowerBound(tops.length, (pile) => pairs[tops[pile]!]![1] < now)
    tops[pile] = at
    return tops[pile - 1]
  })
  const row: Pair[] = []
  for (let at = tops.at(-1); at !== undefined; at = before[at]) row.push(pairs[at]!)
  return row.reverse()
}
