"""Iterating over the changes of a topic."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from weakref import finalize, ref

from typing_extensions import Self

from .changes import Change
from .core import Core, Status
from .waiting import Waiting


class Changes(AsyncIterator[Change], Iterator[Change]):
    """Every change of a topic's view from now on, local and remote, in order.

    `async for change in topic.changes()`, or `for` where there is no event loop. It ends with the
    subscription or the client. What is not taken yet waits, without bound.
    """

    def __init__(self, core: Core, topic_name: str) -> None:
        self._lock = core.lock
        self._queue: deque[Change] = deque()
        self._next: Waiting[Change | None] | None = None
        self._ended = core.status is Status.CLOSED
        # Who stops iterating lets this go, and with it what it listens to.
        me = ref(self)

        def put(change: Change) -> None:
            if (it := me()) is not None:
                it._put(change)

        def end(_: object) -> None:
            if (it := me()) is not None:
                it.close()

        def end_if_closed(status: Status) -> None:
            if status is Status.CLOSED:
                end(status)

        stops = [
            core.listen("change", topic_name, put),
            core.listen("closed", topic_name, end),
            core.listen("status", "", end_if_closed),
        ]
        self._stop = finalize(self, lambda: [stop() for stop in stops])
        self._stop.atexit = False

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._stop()
            self._ended = True
            if self._next is not None:
                self._next._come(None)

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
        change = self._take().wait()
        if change is None:
            raise StopIteration
        return change

    def _put(self, change: Change) -> None:
        with self._lock:
            if self._next is None:
                self._queue.append(change)
            else:
                self._next._come(change)
                self._next = None

    def _take(self) -> Waiting[Change | None]:
        waiting: Waiting[Change | None] = Waiting()
        with self._lock:
            if self._queue:
                waiting._come(self._queue.popleft())
            elif self._ended:
                waiting._come(None)
            else:
                self._next = waiting
        return waiting

    def _put_back(self, waiting: Waiting[Change | None]) -> None:
        """Somebody gave up waiting: what came for them is the next one's."""
        with self._lock:
            if self._next is waiting:
                self._next = None
            elif (change := waiting.wait(0)) is not None:
                self._queue.appendleft(change)
