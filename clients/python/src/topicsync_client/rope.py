"""A long text or list that many versions share: what is edited is copied, and nothing else.

```text
  Rope ── chunks ──► ["It was a bright ", "cold day in Apr", "il, and the clocks"]
```

An edit copies one chunk of at most `CHUNK` characters or items, and the list of pointers to the
chunks: for a million characters that is some microseconds. A chunk is found from the one that was
edited last, as edits keep together.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Generic, TypeVar

from .values import same

CHUNK = 1024
"""How long a chunk gets."""

S = TypeVar("S", str, list[Any])


class Rope(Generic[S]):
    """A string or list in chunks. It never changes: `splice` gives another."""

    __slots__ = ("_chunks", "_empty", "_len", "_near", "_whole")

    def __init__(self, whole: S) -> None:
        self._empty: S = whole[:0]
        self._whole: S | None = whole
        self._chunks: list[S] = _cut(whole)
        self._len = len(whole)
        # A chunk and the position where it starts, to begin a search from.
        self._near = (0, 0)

    def __len__(self) -> int:
        return self._len

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self._chunks)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Rope) or self._len != other._len:
            return False
        if self._chunks == other._chunks and isinstance(self._empty, str):
            return True
        return same(self.whole(), other.whole())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Rope({self.whole()!r})"

    def whole(self) -> S:
        """All of it as one; made once, in O(n)."""
        if self._whole is None:
            if isinstance(self._empty, str):
                self._whole = self._empty.join(self._chunks)
            else:
                self._whole = list(self)
        return self._whole

    def keep(self, whole: S) -> S:
        """Keep an equal form of the whole, to be given by `whole`."""
        self._whole = whole
        return whole

    def slice(self, start: int, stop: int) -> S:
        """What is from `start` to before `stop`, positions that have to be there."""
        if start == stop:
            return self._empty
        index, begin = self._find(start)
        chunk = self._chunks[index]
        piece = chunk[start - begin : stop - begin]
        while begin + len(chunk) < stop:
            begin += len(chunk)
            index += 1
            chunk = self._chunks[index]
            piece = piece + chunk[: stop - begin]
        return piece

    def splice(self, start: int, stop: int, piece: S) -> Rope[S]:
        """Another rope, with `piece` in the place of what is from `start` to before `stop`."""
        chunks = self._chunks
        if not chunks:
            return Rope(piece)
        first, begin = self._find(start)
        last = first
        end = begin + len(chunks[first])
        while end < stop:
            last += 1
            end += len(chunks[last])
        middle: S = chunks[first][: start - begin] + piece
        if stop < end:
            middle = middle + chunks[last][stop - end :]
        if len(middle) < CHUNK // 4:
            # Too small to stand alone.
            if first > 0:
                first -= 1
                begin -= len(chunks[first])
                middle = chunks[first] + middle
            elif last + 1 < len(chunks):
                last += 1
                middle = middle + chunks[last]
        joined: list[S] = chunks[:first] + _cut(middle) + chunks[last + 1 :]
        spliced: Rope[S] = Rope.__new__(Rope)
        spliced._empty = self._empty
        spliced._whole = None
        spliced._chunks = joined
        spliced._len = self._len - (stop - start) + len(piece)
        spliced._near = (first, begin) if first < len(spliced._chunks) else (0, 0)
        return spliced

    def _find(self, position: int) -> tuple[int, int]:
        """The chunk that `position` is in or at the end of, and where it starts."""
        chunks = self._chunks
        index, begin = self._near
        while position < begin:
            index -= 1
            begin -= len(chunks[index])
        end = begin + len(chunks[index])
        while end < position:
            index += 1
            begin = end
            end += len(chunks[index])
        self._near = (index, begin)
        return index, begin


def _cut(whole: S) -> list[S]:
    """Chunks that are neither empty nor too long, and about equal."""
    if len(whole) <= CHUNK:
        return [whole] if whole else []
    count = len(whole) // (CHUNK // 2)
    size = -(-len(whole) // count)
    return [whole[start : start + size] for start in range(0, len(whole), size)]
