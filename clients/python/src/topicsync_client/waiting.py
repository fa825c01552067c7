"""Results that are still to come: to be awaited in asyncio, or waited for in a thread.

Nothing waits for ever. A `Waiting` ends with a result, or with an error that says what it was
about. Whoever waits for it waits no longer than the client's time-out, and is told `TimedOut` then.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent import futures
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from .errors import TimedOut

if TYPE_CHECKING:
    from .replica import LocalChange

T = TypeVar("T")


class Host(Protocol):
    """What a `Waiting` needs to know of its client."""

    timeout: float
    """How many seconds are waited where nothing else is said."""

    def check_may_block(self, about: str) -> None:
        """Raise `RuntimeError` if the present thread is the one that would end the waiting."""

    def standing(self) -> str:
        """Say where the connection stands, for a message to people."""


class Waiting(Generic[T]):
    """A result that is still to come: `await` it, or call `wait` where there is no event loop.

    The work goes on whether anybody waits or not. It can be waited for any number of times.
    """

    _awaited = False
    """Whether anybody waits, or did: whoever does is told of an error there, and needs no log."""

    def __init__(
        self,
        host: Host,
        about: str | Callable[[], str],
        limit: float | None = None,
        give_up: Callable[[], object] | None = None,
    ) -> None:
        self._host = host
        self._about = about
        self._limit = limit
        self._give_up = give_up
        """Called when the one who waited waits no longer, and there is no result."""
        self._future: futures.Future[T] = futures.Future()

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait_in_loop().__await__()

    async def _wait_in_loop(self) -> T:
        self._awaited = True
        if not self._future.done():
            future = asyncio.wrap_future(self._future)
            # If the time is over, nobody is left to ask it for its error.
            future.add_done_callback(lambda it: it.cancelled() or it.exception())
            try:
                # Unlike `wait_for`, this does not cancel the future, which others may wait for.
                await asyncio.wait([future], timeout=self._seconds())
            except BaseException:
                self._gave_up()
                raise
        return self._result(self._seconds())

    def wait(self, timeout: float | None = None) -> T:
        """Block until it is there, at most `timeout` seconds; then raise `TimedOut`.

        Without a `timeout` the client's holds, which is 30 seconds unless it was set.
        """
        self._awaited = True
        seconds = self._seconds() if timeout is None else timeout
        if not self._future.done():
            self._host.check_may_block(self._describe())
            try:
                futures.wait([self._future], min(seconds, threading.TIMEOUT_MAX))
            except BaseException:
                self._gave_up()
                raise
        return self._result(seconds)

    @property
    def done(self) -> bool:
        """Whether there is a result or an error."""
        return self._future.done()

    def _describe(self) -> str:
        """Say what is to come, for a message to people."""
        return self._about if isinstance(self._about, str) else self._about()

    def _seconds(self) -> float:
        return self._host.timeout if self._limit is None else self._limit

    def _result(self, seconds: float) -> T:
        if not self._future.done():
            self._gave_up()
            raise TimedOut(self._describe(), seconds, self._host.standing())
        return self._future.result()

    def _gave_up(self) -> None:
        if self._give_up is not None and not self._future.done():
            self._give_up()

    def _resolve(self, result: T) -> None:
        if not self._future.done():
            self._future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self._future.done():
            self._future.set_exception(error)


class Ticket(Waiting["str | None"]):
    """A change or action that was made. It shows already; awaited, it gives the outcome.

    That is the id under which the server accepted it (None if nothing was left to send), or an
    exception: `Rejected`, `OutcomeUnknown` or `ClientClosed`. Nobody has to wait for it. After
    `TimedOut` the change is still pending, and is sent once there is a connection: one can go on
    waiting for the same ticket.
    """

    _open = False

    def __init__(self, host: Host, changes: Sequence[LocalChange] = ()) -> None:
        super().__init__(host, lambda: f"the outcome of {name_changes(self._changes)}")
        self._changes = changes

    def __await__(self) -> Generator[Any, None, str | None]:
        self._check_closed()
        self._awaited = True
        return super().__await__()

    def wait(self, timeout: float | None = None) -> str | None:
        """Block until the outcome is there, at most `timeout` seconds; then raise `TimedOut`."""
        self._check_closed()
        return super().wait(timeout)

    def _check_closed(self) -> None:
        if self._open:
            raise RuntimeError("an action is sent at the end of its block: wait behind it")


def name_changes(changes: Sequence[LocalChange]) -> str:
    """Name changes that were made together, for a message to people."""
    if len(changes) == 1:
        (change,) = changes
        return f"change {change.fields.get('type', '')!r} of topic {change.topic_name!r}"
    if not changes:
        return "a change"
    topic_names = ", ".join(repr(name) for name in sorted({it.topic_name for it in changes}))
    return f"an action of {len(changes)} changes of topics {topic_names}"
