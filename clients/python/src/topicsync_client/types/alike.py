"""What two sequences share, as far as differences go by it (R30)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

MIDDLE_MAX = 1 << 20
"""In how long a middle, between what two sequences share at their ends, more is looked for."""


class Common(NamedTuple):
    """A stretch that two sequences share."""

    old: int
    """Where it begins in the old one."""
    new: int
    """Where it begins in the new one."""
    length: int


Run = Callable[[Sequence[Any], int], Hashable]
"""Gives what the run at a place is compared by."""


def in_common(old: Sequence[Any], new: Sequence[Any], run: int, run_at: Run) -> list[Common]:
    """Give the stretches that two sequences share, in order.

    These are their beginnings, then their ends, and between them what is found by runs of `run`
    items that stand once in both middles. Items are compared by `==`, and runs by what `run_at`
    gives.

    This is the patience diff (B. Cohen, in Bazaar, 2005), with runs of items for its unique lines,
    done once: what lies between two stretches is not looked into again. O(n log n).
    """
    start = shared_start(old, new, 0, 0)
    end = shared_end(old, new, len(old), len(new), start, start)
    old_end, new_end = len(old) - end, len(new) - end
    found = [Common(0, 0, start)]
    a = b = start
    for i, j in _ascending(_pairs(old[start:old_end], new[start:new_end], run, run_at)):
        i, j = start + i, start + j
        if i < a or j < b:
            # The stretch before was widened over it.
            continue
        before = shared_end(old, new, i, j, a, b)
        i, j = i - before, j - before
        length = shared_start(old, new, i, j, old_end, new_end)
        found.append(Common(i, j, length))
        a, b = i + length, j + length
    found.append(Common(old_end, new_end, end))
    return found


def shared_start(
    old: Sequence[Any],
    new: Sequence[Any],
    i: int,
    j: int,
    old_end: int | None = None,
    new_end: int | None = None,
) -> int:
    """How many items two sequences share from a place in each on."""
    limit = min(
        (len(old) if old_end is None else old_end) - i,
        (len(new) if new_end is None else new_end) - j,
    )
    return _longest(limit, lambda low, high: old[i + low : i + high] == new[j + low : j + high])


def shared_end(
    old: Sequence[Any], new: Sequence[Any], i: int, j: int, old_start: int, new_start: int
) -> int:
    """How many items two sequences share before a place in each, back to a start."""
    limit = min(i - old_start, j - new_start)
    return _longest(limit, lambda low, high: old[i - high : i - low] == new[j - high : j - low])


def _longest(limit: int, alike: Callable[[int, int], bool]) -> int:
    """How far two sequences are alike: in steps that double, and then halve."""
    length, step = 0, 1
    while length < limit:
        step = min(step, limit - length)
        if alike(length, length + step):
            length += step
            step *= 2
        elif step == 1:
            break
        else:
            step //= 2
            limit = min(limit, length + 2 * step + 1)
    return length


def _pairs(old: Sequence[Any], new: Sequence[Any], run: int, run_at: Run) -> list[tuple[int, int]]:
    """Where the runs stand that both sequences have once, in the order of the first."""
    if max(len(old), len(new)) > MIDDLE_MAX:
        return []
    there = _once(new, run, run_at)
    here = _once(old, run, run_at)
    both = ((place, there.get(key)) for key, place in here.items() if place is not None)
    return sorted((place, other) for place, other in both if other is not None)


def _once(items: Sequence[Any], run: int, run_at: Run) -> dict[Hashable, int | None]:
    """Each run's place; None of one that stands there more than once."""
    places: dict[Hashable, int | None] = {}
    for place in range(len(items) - run + 1):
        key = run_at(items, place)
        places[key] = None if key in places else place
    return places


def _ascending(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Give as many of the pairs as ascend on both sides, found by patience sorting.

    Each goes on the leftmost pile whose top is behind it, and remembers the top of the pile before.
    """
    tops: list[int] = []
    values: list[int] = []
    before: list[int | None] = []
    for at, (_, there) in enumerate(pairs):
        pile = bisect_left(values, there)
        before.append(tops[pile - 1] if pile else None)
        tops[pile : pile + 1] = [at]
        values[pile : pile + 1] = [there]
    chain = []
    at_next = tops[-1] if tops else None
    while at_next is not None:
        chain.append(pairs[at_next])
        at_next = before[at_next]
    return chain[::-1]
