"""Iterating over the changes of a topic."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from math import inf
from weakref import finalize, ref

from typing_extensions import Self

from .changes import Change, Origin
from .core import Core, Status, fine_grained
from .errors import ChangesLost
from .replica.events import Changed
from .waiting import Waiting

CHANGES_LIMIT = 10_000
"""How many moves of a topic's view wait to be taken, unless `changes` is told otherwise."""


class Changes(AsyncIterator[Change], Iterator[Change]):
    """Every change of a topic's view from now on, local and remote, in order.

    `async for change in topic.changes()`, or `for` where there is no event loop. It ends with the
    subscription or the client; until then it waits for the next change however long that takes.

    What is not taken yet waits, up to a limit. Beyond it, all that waits becomes one `ValueSet`
    from the value before to the value after, with origin `SNAPSHOT`, as if the server had sent a
    whole value. Of an event topic, which has no value, the oldest events are dropped, and
    `ChangesLost` is raised in their place; iterating can go on after it.
    """

    def __init__(self, core: Core, topic_name: str, limit: int) -> None:
        self._core = core
        self._topic_name = topic_name
        self._limit = max(1, limit)
        self._moves: deque[Changed] = deque()
        # The single changes of the move that is being taken, which came before those in `_moves`.
        self._singles: deque[Change] = deque()
        self._lost = 0
        self._next: Waiting[Change | None] | None = None
        self._ended = core.status is Status.CLOSED
        # The listeners hold a weak reference: an iterator that nobody holds any more is collected,
        # and stops listening.
        me = ref(self)

        def put(move: Changed) -> None:
            if (it := me()) is not None:
                it._put(move)

        def end(_: object) -> None:
            if (it := me()) is not None:
                it.close()

        def end_if_closed(status: Status) -> None:
            if status is Status.CLOSED:
                end(status)

        stops = [
            core.listen("view", topic_name, put),
            core.listen("closed", topic_name, end),
            core.listen("status", "", end_if_closed),
        ]
        self._stop = finalize(self, lambda: [stop() for stop in stops])
        self._stop.atexit = False

    def close(self) -> None:
        """End it, once what waits is taken."""
        with self._core.lock:
            self._stop()
            self._ended = True
            if self._next is not None:
                self._next._resolve(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        waiting = self._take()
        try:
            change = await waiting
        except BaseException:
            self._put_back(waiting)
            raise
        if change is None:
            raise StopAsyncIteration
        return change

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        waiting = self._take()
        try:
            change = waiting.wait()
        except BaseException:
            self._put_back(waiting)
            raise
        if change is None:
            raise StopIteration
        return change

    def _put(self, move: Changed) -> None:
        with self._core.lock:
            if len(self._moves) >= self._limit:
                self._make_room(move)
            else:
                self._moves.append(move)
            if self._next is not None:
                self._next._resolve(self._pop())
                self._next = None

    def _make_room(self, move: Changed) -> None:
        first = self._moves[0]
        if not move.kind.stateful:
            self._moves.popleft()
            self._moves.append(move)
            self._lost += 1
            return
        self._moves.clear()
        self._moves.append(
            Changed(move.topic_name, move.kind, first.before, move.value, [], Origin.SNAPSHOT)
        )

    def _take(self) -> Waiting[Change | None]:
        about = f"the next change of topic {self._topic_name!r}"
        waiting: Waiting[Change | None] = Waiting(self._core, about, inf)
        with self._core.lock:
            if self._lost:
                lost, self._lost = self._lost, 0
                waiting._fail(ChangesLost(self._topic_name, lost))
            elif (change := self._pop()) is not None or self._ended:
                waiting._resolve(change)
            else:
                self._next = waiting
        return waiting

    def _pop(self) -> Change | None:
        if not self._singles and self._moves:
            self._singles += fine_grained(self._moves.popleft())
        return self._singles.popleft() if self._singles else None

    def _put_back(self, waiting: Waiting[Change | None]) -> None:
        """Undo a `_take` of somebody who gave up waiting: the next one gets what came."""
        with self._core.lock:
            if self._next is waiting:
                self._next = None
            elif waiting.done and waiting._future.exception() is None:
                if (change := waiting._future.result()) is not None:
                    self._singles.appendleft(change)
