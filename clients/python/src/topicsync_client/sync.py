"""The same client for programs without an event loop.

```python
import topicsync_client

with topicsync_client.sync.connect("ws://127.0.0.1:8765/") as client:
    nodes = client.dict("nodes")
    nodes["n1"] = {"x": 10}
```

The asyncio client runs in a thread of its own. Topics are the same, and made changes show at once;
what has to be waited for blocks: a topic is given once its value is there, a ticket has `wait`.
Callbacks and services must not wait for others' answers in that thread: services that are plain
functions get a thread each.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterable
from concurrent import futures
from typing import Any, TypeVar

from typing_extensions import Self

from . import past
from .base import BaseClient, Request, Steps
from .client import Client as AsyncClient
from .connection import Config
from .errors import ServiceError
from .frames import Encoding
from .past import Cut, Entry, Time, Undone, ValueAt
from .topics import Topic
from .types.base import TopicType

T = TypeVar("T")
H = TypeVar("H", bound=Topic)
Names = Iterable[str]


def connect(
    url: str,
    *,
    encoding: Encoding = "msgpack",
    timeout: float | None = 30,
    retry_min: float = 0.1,
    retry_max: float = 10,
    silence_max: float = 60,
) -> Client:
    """Start a client of the server at `url`, `ws://host:port/`.

    Whatever has to be waited for raises `TimeoutError` after `timeout` seconds; None waits for
    ever. The other settings are those of `topicsync_client.connect`.
    """
    return Client(Config(url, encoding, retry_min, retry_max, silence_max), timeout)


class _Inner(AsyncClient):
    """The client in the thread: services that are plain functions must not hold it up."""

    async def _call_service(self, service: Any, request: Request) -> Any:
        if inspect.iscoroutinefunction(service):
            return service(request)
        return await asyncio.to_thread(service, request)


class Client(BaseClient):
    """A client of a topicsync server, for threads. See `connect`."""

    def __init__(self, config: Config, timeout: float | None) -> None:
        self._timeout = timeout
        started: futures.Future[_Inner] = futures.Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(_live(config, started)), name="topicsync_client", daemon=True
        )
        self._thread.start()
        self._inner = started.result()
        super().__init__(self._inner._core, self._inner._services)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(0 if kind else 5)

    def close(self, timeout: float = 5) -> None:
        """End the session, and return when the connection is closed.

        While it is online, it waits up to `timeout` seconds for answers to what was changed.
        """
        if self._thread.is_alive():
            closing = self._inner.close(timeout)
            try:
                asyncio.run_coroutine_threadsafe(closing, self._inner._loop).result()
            except RuntimeError:
                # The loop has ended by itself.
                closing.close()
            self._thread.join()

    def online(self) -> None:
        """Wait until the client is online. Raises `ClientClosed` if it was closed before."""
        self._online().wait(self._timeout)

    def settled(self) -> None:
        """Wait until everything changed here has met its fate."""
        self._settled().wait(self._timeout)

    def _topic(self, handle: type[H], name: str, kind: TopicType[Any, Any], options: Any) -> H:
        topic = super()._topic(handle, name, kind, options)
        topic.ready().wait(self._timeout)
        return topic

    def request(self, name: str, args: Any = None, timeout: float | None = None) -> Any:
        """Ask a service. Without a timeout, in seconds, the server's holds.

        Raises `ServiceError` if it is not there, failed or did not answer.
        """
        return self._request(name, args, timeout).wait(self._timeout)

    def undo(self) -> Undone:
        """Undo this client's newest action, others' later work staying as it is."""
        return self._go(self._undo())

    def redo(self) -> Undone:
        """Redo what was undone last."""
        return self._go(self._redo())

    def value_at(
        self,
        name: str,
        *,
        version: int | None = None,
        commit: int | None = None,
        time: Time | None = None,
    ) -> ValueAt:
        """Give a topic's value at a version, after a commit, or at a time."""
        return self._go(self._value_at(name, version=version, commit=commit, time=time))

    def history(
        self, name: str, start: int = 1, stop: int | None = None, limit: int = 1000
    ) -> past.Entries:
        """Give the changes that led to the versions from `start` to `stop`, both included."""
        return self._go(self._history(name, start, stop, limit))

    def cut(
        self,
        *,
        commit: int | None = None,
        time: Time | None = None,
        topic_names: Names | None = None,
        prefix: str | None = None,
    ) -> Cut:
        """Give all topics, or some, as they stood together at a commit or time."""
        return self._go(self._cut(topic_names, prefix, commit=commit, time=time))

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

    def _go(self, steps: Steps[T]) -> T:
        """Go steps that wait now and then."""
        try:
            waiting = next(steps)
            while True:
                try:
                    answer = waiting.wait(self._timeout)
                except ServiceError as error:
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
        self._stand(self._client.value_at(self.name, version=version, commit=commit, time=time))
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
    await asyncio.wait([client._running])


__all__ = ["Client", "Past", "connect"]
