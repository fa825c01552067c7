"""What is still to come: to be awaited in asyncio, or waited for in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent import futures
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Waiting(Generic[T]):
    """Something to come: `await` it, or call `wait` where there is no event loop.

    It goes on by itself whether anybody waits or not, and can be waited for any number of times.
    """

    def __init__(self) -> None:
        self._future: futures.Future[T] = futures.Future()

    def __await__(self) -> Generator[Any, None, T]:
        # Who gives up waiting does not call it off for others.
        return asyncio.shield(asyncio.wrap_future(self._future)).__await__()

    def wait(self, timeout: float | None = None) -> T:
        """Block until it is there, at most `timeout` seconds; then raise `TimeoutError`."""
        if not futures.wait([self._future], timeout).done:
            raise TimeoutError("it did not come in time")
        return self._future.result()

    @property
    def done(self) -> bool:
        """Whether it has come, one way or the other."""
        return self._future.done()

    def _come(self, result: T) -> None:
        if not self._future.done():
            self._future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self._future.done():
            self._future.set_exception(error)


class Ticket(Waiting["str | None"]):
    """A change or action on its way. It shows already; awaited, it settles.

    It gives the id under which the server accepted it (None if nothing was left to send), or raises
    `Rejected`, `FateUnknown` or `ClientClosed`. Nobody has to wait for it.
    """

    item: Any = None
    """What a `pop` took out."""

    _open = False
    _awaited = False

    def __await__(self) -> Generator[Any, None, str | None]:
        self._check_sent()
        return super().__await__()

    def wait(self, timeout: float | None = None) -> str | None:
        """Block until it is settled, at most `timeout` seconds."""
        self._check_sent()
        return super().wait(timeout)

    def _check_sent(self) -> None:
        self._awaited = True
        if self._open:
            raise RuntimeError("an action is sent at the end of its block: wait behind it")
