"""A large dict or set that many versions share, sorted by its keys.

As the server sorts by key too, all clients go through a dict or set in one order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import itemgetter
from typing import Any

from .values import same

CHUNK = 512
"""How many entries a chunk gets."""

_Chunk = tuple[list[Any], list[Any]]
"""The keys of some entries, sorted, and their values."""


class Table:
    """Values by key. It never changes: `put` and `without` give another.

    Each copies one chunk of at most `CHUNK` entries and the list of pointers to the chunks.
    """

    __slots__ = ("_chunks", "_firsts", "_len", "plain")

    def __init__(self, entries: Iterable[tuple[Any, Any]] = ()) -> None:
        """A table of these entries, whose keys have to be distinct."""
        ordered = sorted(entries, key=itemgetter(0))
        keys = [key for key, _ in ordered]
        values = [value for _, value in ordered]
        half = CHUNK // 2
        starts = range(0, len(keys), half)
        self._chunks: list[_Chunk] = [
            (keys[at : at + half], values[at : at + half]) for at in starts
        ]
        self._firsts = [chunk_keys[0] for chunk_keys, _ in self._chunks]
        self._len = len(keys)
        self.plain: Any = None
        """The plain form of this table, kept once it was made; None before."""

    def __len__(self) -> int:
        return self._len

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(keys for keys, _ in self._chunks)

    def values(self) -> Iterator[Any]:
        """The values, in the order of their keys."""
        return chain.from_iterable(values for _, values in self._chunks)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """The entries, in the order of their keys."""
        return zip(self, self.values(), strict=True)

    def __contains__(self, key: object) -> bool:
        return self._find(key)[2]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Table) or self._len != other._len:
            return False
        return all(a == b for a, b in zip(self, other, strict=True)) and all(
            map(same, self.values(), other.values())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Table({dict(self.items())!r})"

    def get(self, key: Any, default: Any = None) -> Any:
        """The value under `key`."""
        chunk, at, found = self._find(key)
        return self._chunks[chunk][1][at] if found else default

    def put(self, key: Any, value: Any) -> Table:
        """Another table, with `value` under `key`."""
        if not self._chunks:
            return self._with(0, [([key], [value])], 1)
        chunk, at, found = self._find(key)
        keys, values = self._chunks[chunk]
        new_values = values.copy()
        if found:
            new_values[at] = value
            return self._with(chunk, [(keys, new_values)], 0)
        new_keys = keys.copy()
        new_keys.insert(at, key)
        new_values.insert(at, value)
        return self._with(chunk, _halved(new_keys, new_values), 1)

    def without(self, key: Any) -> Table:
        """Another table, in which `key`, which is in this one, is not."""
        chunk, at, _ = self._find(key)
        keys, values = self._chunks[chunk]
        if len(keys) == 1:
            return self._with(chunk, [], -1)
        return self._with(chunk, [(keys[:at] + keys[at + 1 :], values[:at] + values[at + 1 :])], -1)

    def _with(self, index: int, chunks: list[_Chunk], more: int) -> Table:
        table: Table = Table.__new__(Table)
        firsts = [keys[0] for keys, _ in chunks]
        table._chunks = [*self._chunks[:index], *chunks, *self._chunks[index + 1 :]]
        table._firsts = [*self._firsts[:index], *firsts, *self._firsts[index + 1 :]]
        table._len = self._len + more
        table.plain = None
        return table

    def _find(self, key: Any) -> tuple[int, int, bool]:
        """The chunk that `key` belongs in, where in it, and whether it is there."""
        if not self._chunks:
            return 0, 0, False
        index = max(bisect_right(self._firsts, key) - 1, 0)
        keys = self._chunks[index][0]
        at = bisect_left(keys, key)
        return index, at, at < len(keys) and keys[at] == key


def _halved(keys: list[Any], values: list[Any]) -> list[_Chunk]:
    """One chunk, or two if it is too long."""
    if len(keys) <= CHUNK:
        return [(keys, values)]
    half = len(keys) // 2
    return [(keys[:half], values[:half]), (keys[half:], values[half:])]
