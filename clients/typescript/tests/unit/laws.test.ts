/** The laws of every type, at random. A failure prints its seed and the smallest case. */

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { AnyType } from "../../src/types/type.js"
import { compose, resolve, SEPARATE } from "../../src/types/type.js"
import { Conflict, Invalid } from "../../src/value/errors.js"
import { expectSame } from "../support/same.js"
import { changeOf, TYPES, valueOf } from "../support/types.js"

const RUNS = { numRuns: 500 }

function exact(type: AnyType, value: unknown): fc.Arbitrary<unknown> {
  return changeOf(type, value).map((change) => resolve(type, change, value))
}

/** A value, and two exact changes of it. */
function concurrent(type: AnyType) {
  return valueOf(type).chain((value) => fc.tuple(fc.constant(value), exact(type, value), exact(type, value)))
}

/** A value, a change of it, and one of what that leaves. */
function successive(type: AnyType) {
  return valueOf(type).chain((value) =>
    exact(type, value).chain((first) =>
      fc.tuple(fc.constant(value), fc.constant(first), exact(type, type.apply(value, first))),
    ),
  )
}

function applied(type: AnyType, value: unknown, ...changes: unknown[]): unknown {
  for (const change of changes) if (change !== undefined) value = type.apply(value, change)
  return type.encodeValue(value)
}

describe.each(TYPES.map((type) => [type.name, type] as const))("%s", (_name, type) => {
  test("law 2: the inverse takes a change back", () => {
    const pairs = valueOf(type).chain((value) => fc.tuple(fc.constant(value), exact(type, value)))
    fc.assert(
      fc.property(pairs, ([value, change]) => {
        const back = applied(type, value, change, type.invert(change, value))
        // A sum of floats may round.
        if (type.name === "float") expect(back).toBeTypeOf("number")
        else expectSame(back, type.encodeValue(value))
      }),
      RUNS,
    )
  })

  test("laws 3 and 4: the square closes, or there is a conflict", () => {
    fc.assert(
      fc.property(concurrent(type), ([value, incoming, accepted]) => {
        let rebased
        try {
          rebased = type.rebase(incoming, accepted)
        } catch (error) {
          expect(error).toBeInstanceOf(Conflict)
          return
        }
        try {
          const one = applied(type, value, accepted, rebased.incoming)
          const other = applied(type, value, incoming, rebased.accepted)
          if (type.name === "float") expect(other).toBeTypeOf("number")
          else expectSame(one, other)
        } catch (error) {
          // A number may leave its range on the way.
          if (!(error instanceof Invalid && /range/.test(error.message))) throw error
        }
      }),
      RUNS,
    )
  })

  test("law 5: a composition does what its parts do in turn", () => {
    fc.assert(
      fc.property(successive(type), ([value, first, second]) => {
        const both = compose(type, first, second)
        if (both === SEPARATE) return
        expectSame(applied(type, value, both), applied(type, value, first, second))
      }),
      RUNS,
    )
  })

  test("law 6: what is encoded decodes to the same", () => {
    const pairs = valueOf(type).chain((value) => fc.tuple(fc.constant(value), changeOf(type, value)))
    const through = <T>(json: T) => JSON.parse(JSON.stringify(json)) as T
    fc.assert(
      fc.property(pairs, ([value, change]) => {
        const plain = type.encodeValue(value)
        expectSame(type.encodeValue(type.decodeValue(through(plain))), plain)
        const fields = type.encodeChange(change)
        expectSame(type.encodeChange(type.decodeChange(through(fields))), fields)
      }),
      RUNS,
    )
  })

  test("a difference leads from one value to the other", () => {
    fc.assert(
      fc.property(valueOf(type), valueOf(type), (from, to) => {
        if (!type.diff) return
        expectSame(applied(type, from, ...type.diff(from, to)), type.encodeValue(to))
      }),
      RUNS,
    )
  })

  test("a change leaves the value that it was applied to as it was", () => {
    fc.assert(
      fc.property(concurrent(type), ([value, change]) => {
        const before = structuredClone(type.encodeValue(value))
        type.apply(value, change)
        expectSame(type.encodeValue(value), before)
      }),
      RUNS,
    )
  })
})
