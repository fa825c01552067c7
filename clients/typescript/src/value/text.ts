/**
 * Text that many versions share.
 *
 * A counted tree of short strings. An edit copies the path to the strings that it touches, so that
 * it costs O(log n) whatever the text's length, and an older version is a pointer.
 *
 * Positions count code points, as on the wire. {@link Text.pointAt} and {@link Text.unitAt} convert
 * from and to UTF-16 code units, in which JavaScript counts.
 */

import { Invalid, outOfBounds } from "./errors.js"

/** How many UTF-16 units one string of the tree has at most. */
const LEAF_MAX = 512
/** How many children one branch has at most. */
const CHILDREN_MAX = 16

interface Node {
  readonly points: number
  readonly units: number
  /** A leaf has a string. */
  readonly string?: string
  /** A branch has children, all of one height and none of them empty. */
  readonly children?: readonly Node[]
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00
}

/** How many code points a string has. */
export function countPoints(string: string): number {
  let count = string.length
  for (let at = 0; at < string.length; at++) if (isHigh(string.charCodeAt(at))) count--
  return count
}

/** Where, in UTF-16 units, the code point at `point` begins. */
function unitOf(string: string, points: number, point: number): number {
  if (points === string.length) return point
  let unit = 0
  for (let left = point; left > 0; left--) unit += isHigh(string.charCodeAt(unit)) ? 2 : 1
  return unit
}

function leaf(string: string, points: number): Node {
  return { points, units: string.length, string }
}

function branch(children: readonly Node[]): Node {
  let points = 0
  let units = 0
  for (const child of children) {
    points += child.points
    units += child.units
  }
  return { points, units, children }
}

/** Leaves of a string: none of an empty one, and several of a long one. */
function leaves(string: string, points: number): Node[] {
  if (string.length <= LEAF_MAX) return string === "" ? [] : [leaf(string, points)]
  const nodes = []
  const size = Math.ceil(string.length / Math.ceil(string.length / (LEAF_MAX - 1)))
  for (let start = 0; start < string.length;) {
    let end = Math.min(start + size, string.length)
    if (end < string.length && isHigh(string.charCodeAt(end - 1))) end++
    const piece = string.slice(start, end)
    nodes.push(leaf(piece, countPoints(piece)))
    start = end
  }
  return nodes
}

/** Branches over nodes of one height, as few as can hold them. */
function branches(nodes: readonly Node[]): Node[] {
  const count = Math.ceil(nodes.length / CHILDREN_MAX)
  const size = Math.ceil(nodes.length / count)
  return Array.from({ length: count }, (_, at) => branch(nodes.slice(at * size, (at + 1) * size)))
}

/** Two neighbours made one, where both are small. */
function joined(left: Node, right: Node): Node | undefined {
  if (left.children && right.children) {
    const fits = left.children.length + right.children.length <= CHILDREN_MAX / 2
    return fits ? branch([...left.children, ...right.children]) : undefined
  }
  const fits = left.units + right.units <= LEAF_MAX / 2
  return fits ? leaf(left.string! + right.string!, left.points + right.points) : undefined
}

/** What a node becomes when `string` takes the place of the code points from `from` to `to`. */
function spliced(node: Node, from: number, to: number, string: string, points: number): Node[] {
  if (node.string !== undefined) {
    const start = unitOf(node.string, node.points, from)
    const end = from === to ? start : unitOf(node.string, node.points, to)
    const whole = node.string.slice(0, start) + string + node.string.slice(end)
    return leaves(whole, node.points - (to - from) + points)
  }
  const children = node.children!
  let first = 0
  let start = 0
  while (from > start + children[first]!.points) start += children[first++]!.points
  let last = first
  let end = start
  while (to > end + children[last]!.points) end += children[last++]!.points
  const child = children[first]!
  const inside =
    first === last
      ? spliced(child, from - start, to - start, string, points)
      : [
          ...spliced(child, from - start, child.points, string, points),
          ...spliced(children[last]!, 0, to - end, "", 0),
        ]
  const all = [...children]
  all.splice(first, last - first + 1, ...inside)
  joinAt(all, first + inside.length)
  joinAt(all, first)
  return all.length === 0 ? [] : all.length <= CHILDREN_MAX ? [branch(all)] : branches(all)
}

/** Joins the node at `at` with the one before it, where both are small. */
function joinAt(nodes: Node[], at: number): void {
  if (at < 1 || at >= nodes.length) return
  const one = joined(nodes[at - 1]!, nodes[at]!)
  if (one) nodes.splice(at - 1, 2, one)
}

function strings(node: Node, from: number, to: number): string {
  if (node.string !== undefined) {
    if (from <= 0 && to >= node.points) return node.string
    const start = unitOf(node.string, node.points, Math.max(from, 0))
    return node.string.slice(start, unitOf(node.string, node.points, Math.min(to, node.points)))
  }
  let string = ""
  let start = 0
  for (const child of node.children!) {
    const end = start + child.points
    if (end > from && start < to) string += strings(child, from - start, to - start)
    start = end
  }
  return string
}

/** An immutable text. */
export class Text {
  /** The text without anything in it. */
  static readonly empty = new Text(leaf("", 0))

  readonly #root: Node
  #string: string | undefined

  private constructor(root: Node) {
    this.#root = root
    this.#string = root.string
  }

  /** The text of a string. O(n), n being its length. */
  static of(string: string): Text {
    if (string.length <= LEAF_MAX) return new Text(leaf(string, countPoints(string)))
    const text = Text.empty.splice(0, 0, string)
    text.#string = string
    return text
  }

  /** How many code points there are. */
  get points(): number {
    return this.#root.points
  }

  /** How many UTF-16 code units there are: the length of the string. */
  get units(): number {
    return this.#root.units
  }

  /** The string. It is put together at the first call, in O(n), and kept. */
  toString(): string {
    return (this.#string ??= strings(this.#root, 0, this.points))
  }

  /** The code points from `from` up to `to`. O(log n + m), m being their number. */
  slice(from: number, to: number): string {
    return strings(this.#root, from, to)
  }

  /** The text with `string` in the place of the code points from `from` up to `to`. O(log n + m). */
  splice(from: number, to: number, string: string): Text {
    let nodes = spliced(this.#root, from, to, string, countPoints(string))
    while (nodes.length > 1) nodes = branches(nodes)
    let root = nodes[0]
    while (root?.children?.length === 1) root = root.children[0]
    return root ? new Text(root) : Text.empty
  }

  /** This text, and `other` behind it. Costs what the shorter one is long. */
  concat(other: Text): Text {
    if (this.points < other.points) return other.splice(0, 0, this.toString())
    return this.splice(this.points, this.points, other.toString())
  }

  /**
   * The code point that begins at a position in UTF-16 units. O(log n). Between the halves of a surrogate
   * pair none does; `side` says whether the start or the end of the pair is meant then.
   *
   * @throws {@link Invalid} if it is beyond the end, or between the halves and no side is given.
   */
  pointAt(unit: number, side?: "start" | "end"): number {
    if (!(Number.isInteger(unit) && unit >= 0 && unit <= this.units)) {
      throw outOfBounds(unit, this.units)
    }
    let node = this.#root
    let points = 0
    let left = unit
    while (node.string === undefined && node.points !== node.units) {
      let at = 0
      for (; left > node.children![at]!.units; at++) {
        left -= node.children![at]!.units
        points += node.children![at]!.points
      }
      node = node.children![at]!
    }
    if (node.points === node.units) return points + left
    const string = node.string!
    points += countPoints(string.slice(0, left))
    // The first half alone counts for no code point: it is a high one, of which the second follows.
    if (left === 0 || left === string.length || !isHigh(string.charCodeAt(left - 1))) return points
    if (side) return side === "end" ? points + 1 : points
    throw new Invalid(`position ${unit} is between the halves of a surrogate pair`)
  }

  /** Where, in UTF-16 units, the code point at `point` begins. O(log n). */
  unitAt(point: number): number {
    let node = this.#root
    let units = 0
    while (node.points !== node.units) {
      if (node.string !== undefined) return units + unitOf(node.string, node.points, point)
      let at = 0
      for (; point > node.children![at]!.points; at++) {
        point -= node.children![at]!.points
        units += node.children![at]!.units
      }
      node = node.children![at]!
    }
    return units + point
  }
}
