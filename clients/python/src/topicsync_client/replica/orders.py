"""Orders: the places of local actions in the order made, over all topics (R12)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import TypeAlias

Order: TypeAlias = int
"""The place of a local action in the order made."""


class Orders:
    """Orders without doubles, ascending. New ones mostly come at the end and go at the front."""

    def __init__(self) -> None:
        self._orders: list[Order] = []

    def __bool__(self) -> bool:
        return bool(self._orders)

    def __contains__(self, order: Order) -> bool:
        at = bisect_left(self._orders, order)
        return at < len(self._orders) and self._orders[at] == order

    @property
    def last(self) -> Order | None:
        """The greatest."""
        return self._orders[-1] if self._orders else None

    def add(self, order: Order) -> None:
        """Put an order in."""
        at = bisect_left(self._orders, order)
        if at == len(self._orders) or self._orders[at] != order:
            self._orders.insert(at, order)

    def discard(self, order: Order) -> bool:
        """Take an order out, and tell whether it was there."""
        at = bisect_left(self._orders, order)
        if at == len(self._orders) or self._orders[at] != order:
            return False
        del self._orders[at]
        return True

    def between(self, first: Order, last: Order) -> list[Order]:
        """Those from `first` to `last`, both included."""
        start, stop = bisect_left(self._orders, first), bisect_right(self._orders, last)
        return self._orders[start:stop]

    def starting_at(self, first: Order, count: int) -> list[Order]:
        """The first `count` of those from `first` on."""
        start = bisect_left(self._orders, first)
        return self._orders[start : start + count]

    def after(self, order: Order) -> Order | None:
        """The next one behind `order`."""
        at = bisect_right(self._orders, order)
        return self._orders[at] if at < len(self._orders) else None

    def behind(self, order: Order) -> Iterator[Order]:
        """Those behind `order`, the last one first."""
        for at in range(len(self._orders) - 1, -1, -1):
            if self._orders[at] <= order:
                return
            yield self._orders[at]


class Bound:
    """What goes out as one batch, as a change was composed past others (R10): ranges of orders."""

    def __init__(self) -> None:
        self._starts: list[Order] = []
        self._ends: dict[Order, Order] = {}

    def around(self, order: Order) -> tuple[Order, Order] | None:
        """The first and last of the range that an order is in."""
        at = bisect_right(self._starts, order) - 1
        if at < 0:
            return None
        start = self._starts[at]
        end = self._ends[start]
        return (start, end) if order <= end else None

    def bind(self, first: Order, last: Order) -> None:
        """Make one range of all from `first` to `last`, with those that it touches."""
        start, end = first, last
        if (around := self.around(first)) is not None:
            start, end = around[0], max(end, around[1])
        low, high = bisect_left(self._starts, start), bisect_right(self._starts, end)
        for inner in self._starts[low:high]:
            end = max(end, self._ends.pop(inner))
        self._starts[low:high] = [start]
        self._ends[start] = end

    def unbind(self, last: Order) -> None:
        """Forget the ranges that begin at `last` or before: that goes out."""
        while self._starts and self._starts[0] <= last:
            del self._ends[self._starts.pop(0)]
