/**
 * Text that many versions share.
 *
 * A row of short strings. An edit makes those anew that it touches, and copies the row, which has a
 * place for some two thousand characters: that is little even for a book. An older version is a pointer.
 *
 * Positions count code points, as on the wire. {@link Text.pointAt} and {@link Text.unitAt} convert
 * from and to UTF-16 code units, in which JavaScript counts.
 */

import { Invalid, outOfBounds } from "./errors.js"

/** How many UTF-16 units one piece has at most before it is cut. */
const PIECE_MAX = 2048
/** Cuts a string: up to the end if that is near, and otherwise half as much. No pair is parted. */
const CUT = /[^]{1,2048}$|[^]{1024}/gu
const HIGH_SURROGATES = /[\ud800-\udbff]/g

interface Piece {
  readonly string: string
  readonly points: number
  readonly units: number
}

function pieceOf(string: string): Piece {
  return { string, points: countPoints(string), units: string.length }
}

const NOTHING = pieceOf("")

/** How many code points a string has. */
function countPoints(string: string): number {
  return string.length - (string.match(HIGH_SURROGATES)?.length ?? 0)
}

/** Where, in UTF-16 units, the code point at `point` begins. */
function unitOf({ string, points, units }: Piece, point: number): number {
  if (points === units) return point
  let unit = 0
  while (point-- > 0) unit += string.codePointAt(unit)! > 0xffff ? 2 : 1
  return unit
}

/** An immutable text. */
export class Text {
  /** The text without anything in it. */
  static readonly empty = new Text([])

  /** How many code points there are. */
  readonly points: number
  /** How many UTF-16 code units there are: the length of the string. */
  readonly units: number
  /** None is empty, and few are short. */
  readonly #pieces: readonly Piece[]
  #string: string | undefined

  private constructor(pieces: readonly Piece[]) {
    let points = 0
    let units = 0
    for (const piece of pieces) {
      points += piece.points
      units += piece.units
    }
    this.points = points
    this.units = units
    this.#pieces = pieces
  }

  /** The text of a string. */
  static of(string: string): Text {
    const text = Text.empty.splice(0, 0, string)
    text.#string = string
    return text
  }

  /** The string. It is put together at the first call, and kept. */
  toString(): string {
    return (this.#string ??= this.slice(0, this.points))
  }

  /** The code points from `from` up to `to`. */
  slice(from: number, to: number): string {
    const [first, start] = this.#place(from)
    const [last, end, { units }] = this.#place(to)
    let string = ""
    for (let at = first; at <= last; at++) string += this.#pieces[at]?.string ?? ""
    return string.slice(start, string.length - units + end)
  }

  /** The text with `string` in the place of the code points from `from` up to `to`. */
  splice(from: number, to: number, string: string): Text {
    const [first, start, { string: head }] = this.#place(from)
    let [last, end, { string: tail }] = from === to ? [first, start, { string: head }] : this.#place(to)
    let whole = head.slice(0, start) + string + tail.slice(end)
    // What is short is joined with what is behind it.
    if (whole.length < PIECE_MAX / 2) whole += this.#pieces[++last]?.string ?? ""
    const cut = whole.length > PIECE_MAX ? whole.match(CUT)! : whole === "" ? [] : [whole]
    return new Text(this.#pieces.toSpliced(first, last - first + 1, ...cut.map(pieceOf)))
  }

  /** This text, and `other` behind it. */
  concat(other: Text): Text {
    if (this.points < other.points) return other.splice(0, 0, this.toString())
    return this.splice(this.points, this.points, other.toString())
  }

  /**
   * The code point that begins at a position in UTF-16 units.
   *
   * @throws {@link Invalid} if it is beyond the end, or between the halves of a surrogate pair.
   */
  pointAt(unit: number): number {
    if (!(Number.isInteger(unit) && unit >= 0 && unit <= this.units)) {
      throw outOfBounds(unit, this.units)
    }
    if (this.points === this.units) return unit
    const [, left, { string }, passed] = this.#seek(unit, true)
    const before = string.slice(0, left)
    if (/[\ud800-\udbff]$/.test(before)) {
      throw new Invalid("the position is between the halves of a surrogate pair")
    }
    return passed + countPoints(before)
  }

  /** Where, in UTF-16 units, the code point at `point` begins. */
  unitAt(point: number): number {
    if (this.points === this.units) return point
    const [, left, piece, passed] = this.#seek(point)
    return passed + unitOf(piece, left)
  }

  /** The piece that holds a code point, and at which of its units. */
  #place(point: number): [index: number, unit: number, piece: Piece] {
    const [index, left, piece] = this.#seek(point)
    return [index, unitOf(piece, left), piece]
  }

  /** The piece that holds a position, what is left to go in it, and how much was passed the other way. */
  #seek(left: number, inUnits = false): [index: number, left: number, piece: Piece, passed: number] {
    let index = 0
    let passed = 0
    for (const piece of this.#pieces) {
      const { points, units } = piece
      const length = inUnits ? units : points
      if (left <= length) return [index, left, piece, passed]
      left -= length
      passed += points + units - length
      index++
    }
    return [index, left, NOTHING, passed]
  }
}
