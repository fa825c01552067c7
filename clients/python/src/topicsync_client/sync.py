"""The same client for programs without an event loop.

```python
import topicsync_client

with topicsync_client.sync.connect("ws://127.0.0.1:8765/") as client:
    nodes = client.dict("nodes")
    nodes["n1"] = {"x": 10}
```

The asyncio client runs in a thread of its own. Topics are the same, and made changes show at once;
what has to be waited for blocks: a topic is given once its value is there, a ticket has `wait`.
Callbacks run in that thread, where nothing can be waited for; services that are plain functions get
a thread each.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import threading
from collections.abc import Iterable
from concurrent import futures
from typing import Any, TypeVar
from weakref import WeakSet

from typing_extensions import Self

from . import past
from .base import BaseClient, Request, Steps
from .client import Client as AsyncClient
from .connection import Config
from .core import TIMEOUT, log
from .errors import ClosedUnanswered, TopicsyncError
from .frames import Encoding
from .past import Cut, Entry, Time, Undone, ValueAt
from .topics import Topic
from .types.base import TopicType

JOIN_SECONDS = 2.0
"""How long a client that is closed is given to end its thread."""

T = TypeVar("T")
H = TypeVar("H", bound=Topic)
Names = Iterable[str]


def connect(
    url: str,
    *,
    encoding: Encoding = "msgpack",
    timeout: float = TIMEOUT,
    retry_min: float = 0.1,
    retry_max: float = 10,
    silence_max: float = 60,
    close_timeout: float = 5,
) -> Client:
    """Start a client of the server at `url`, `ws://host:port/`.

    Whatever has to be waited for raises `TimedOut` after `timeout` seconds. This and the other
    settings are those of `topicsync_client.connect`. A client that is not closed is closed when the
    program ends.
    """
    config = Config(url, encoding, retry_min, retry_max, silence_max, timeout, close_timeout)
    return Client(config)


class _Inner(AsyncClient):
    """The client in the thread: services that are plain functions must not hold it up."""

    async def _call_service(self, service: Any, request: Request) -> Any:
        if inspect.iscoroutinefunction(service):
            return service(request)
        answer: futures.Future[Any] = futures.Future()

        def work() -> None:
            try:
                answer.set_result(service(request))
            except BaseException as error:
                answer.set_exception(error)

        # A thread of its own, and no pool: a service that never returns must not keep the program
        # from ending.
        threading.Thread(target=work, name=f"service {request.service_name}", daemon=True).start()
        return await asyncio.wrap_future(answer)


class Client(BaseClient):
    """A client of a topicsync server, for threads. See `connect`."""

    def __init__(self, config: Config) -> None:
        started: futures.Future[_Inner] = futures.Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(_live(config, started)), name="topicsync_client", daemon=True
        )
        self._thread.start()
        self._inner = started.result()
        super().__init__(self._inner._core, self._inner._services)
        _open.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.close()
        except ClosedUnanswered as unanswered:
            if kind is None:
                raise
            # What the block raised matters more.
            log.warning("%s", unanswered)

    def close(self, timeout: float | None = None) -> None:
        """Send what was changed, wait for the answers, end the session, and return when it is over.

        It waits for a connection and for answers up to `timeout` seconds, or the client's
        `close_timeout`, and takes no new changes meanwhile. Then it raises `ClosedUnanswered` if
        there are changes that are neither confirmed nor rejected.
        """
        if not self._thread.is_alive():
            _open.discard(self)
            return
        self._core.check_may_block("the end of the client")
        _open.discard(self)
        closing = self._inner.close(timeout)
        try:
            future = asyncio.run_coroutine_threadsafe(closing, self._inner._loop)
        except RuntimeError:
            # The loop has ended by itself.
            closing.close()
            return
        try:
            future.result()
        finally:
            self._thread.join(JOIN_SECONDS)

    def online(self) -> None:
        """Wait until the client is online. Raises `ClientClosed` if it was closed before."""
        self._core.online().wait()

    def settled(self) -> None:
        """Wait until every change and request has its outcome, and every service is registered."""
        self._core.settled().wait()

    def _topic(self, handle: type[H], name: str, kind: TopicType[Any, Any], options: Any) -> H:
        topic = super()._topic(handle, name, kind, options)
        topic.ready().wait()
        return topic

    def request(self, name: str, args: Any = None, timeout: float | None = None) -> Any:
        """Ask a service, which answers within `timeout` seconds, or the client's time-out.

        Raises `TimedOut` if it did not, and `ServiceError` if it is not there or failed.
        """
        return self._request(name, args, timeout).wait()

    def undo(self) -> Undone:
        """Undo this client's newest action, others' later work staying as it is."""
        return self._run_steps(self._undo())

    def redo(self) -> Undone:
        """Redo what was undone last."""
        return self._run_steps(self._redo())

    def value_at(
        self,
        name: str,
        *,
        version: int | None = None,
        commit: int | None = None,
        time: Time | None = None,
    ) -> ValueAt:
        """Give a topic's value at a version, after a commit, or at a time."""
        return self._run_steps(self._value_at(name, version=version, commit=commit, time=time))

    def history(
        self, name: str, start: int = 1, stop: int | None = None, limit: int = 1000
    ) -> past.Entries:
        """Give the changes that led to the versions from `start` to `stop`, both included."""
        return self._run_steps(self._history(name, start, stop, limit))

    def cut(
        self,
        *,
        commit: int | None = None,
        time: Time | None = None,
        topic_names: Names | None = None,
        prefix: str | None = None,
    ) -> Cut:
        """Give all topics, or some, as they stood together at a commit or time."""
        return self._run_steps(self._cut(topic_names, prefix, commit=commit, time=time))

    def subscribe_at(
        self,
        name: str,
        *,
        version: int | None = None,
        commit: int | None = None,
        time: Time | None = None,
    ) -> Past:
        """Give a read-only view of a topic's past, which can be stepped."""
        return Past(self, name, self.value_at(name, version=version, commit=commit, time=time))

    def _run_steps(self, steps: Steps[T]) -> T:
        """Do work with several waits by blocking for each."""
        try:
            waiting = next(steps)
            while True:
                try:
                    answer = waiting.wait()
                except TopicsyncError as error:
                    waiting = steps.throw(error)
                else:
                    waiting = steps.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result


class Past(past.PastTopic):
    """A topic's past, a version at a time."""

    def __init__(self, client: Client, name: str, start: ValueAt) -> None:
        super().__init__(name, start)
        self._client = client

    def go_to(
        self,
        *,
        version: int | None = None,
        commit: int | None = None,
        time: Time | None = None,
    ) -> Self:
        """Go to another moment. Raises `ServiceError` if it is not there."""
        self._move_to(self._client.value_at(self.name, version=version, commit=commit, time=time))
        return self

    def step(self, count: int = 1) -> Self:
        """Go on by so many versions, or back if `count` is negative."""
        return self.go_to(version=self.version + count)

    def entry(self) -> Entry | None:
        """Give the change that led to this version; None if it is the initial one."""
        if not self.version:
            return None
        return self._client.history(self.name, self.version, self.version)[0]


async def _live(config: Config, started: futures.Future[_Inner]) -> None:
    try:
        client = _Inner(config)
    except BaseException as error:
        started.set_exception(error)
        raise
    started.set_result(client)
    await client._connection.over()
    # What the last status led to is told before the loop ends.
    await asyncio.sleep(0)


_open: WeakSet[Client] = WeakSet()
"""The clients that are not closed."""


def _close_all() -> None:
    """At the end of the program, close what it did not: what was changed is still sent."""
    for client in list(_open):
        try:
            client.close()
        except TopicsyncError as error:
            log.warning("at the end of the program: %s", error)


atexit.register(_close_all)


__all__ = ["Client", "Past", "connect"]
