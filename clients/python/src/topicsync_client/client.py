"""The client for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Iterable
from typing import Any, TypeVar

from typing_extensions import Self

from . import past
from .base import BaseClient, Request, Steps
from .connection import Config, Connection
from .core import TIMEOUT, Core, Status, log
from .errors import ClientClosed, ClosedUnanswered, ServiceError, TimedOut, TopicsyncError
from .frames import Encoding
from .past import Cut, Entry, Time, Undone, ValueAt
from .replica.events import Requested, ServiceFailure
from .values import checked

T = TypeVar("T")
Names = Iterable[str]


def connect(
    url: str,
    *,
    encoding: Encoding = "msgpack",
    retry_min: float = 0.1,
    retry_max: float = 10,
    silence_max: float = 60,
    timeout: float = TIMEOUT,
    close_timeout: float = 5,
) -> Client:
    """Start a client of the server at `url`, `ws://host:port/`.

    The client can be used at once, before there is a connection: it connects by itself, and again
    after a loss; what was changed meanwhile is sent then. It lives until it is closed, which
    `async with` does at its end. To be called where an event loop runs. Raises `Invalid` if the
    `url` cannot be one.

    `encoding` is `"msgpack"` or `"json"`. In seconds: the second attempt to connect comes after
    `retry_min` at most, and further waits are up to twice as long, up to `retry_max`; a server that
    was silent for `silence_max` is gone; whatever is awaited raises `TimedOut` after `timeout`
    (`math.inf` waits for ever); `close` waits for answers for `close_timeout`.
    """
    config = Config(url, encoding, retry_min, retry_max, silence_max, timeout, close_timeout)
    return Client(config)


class Client(BaseClient):
    """A client of a topicsync server, for asyncio. See `connect`."""

    def __init__(self, config: Config) -> None:
        super().__init__(Core(config.timeout), {})
        self._close_timeout = config.close_timeout
        self._loop = asyncio.get_running_loop()
        self._core.serve = self._serve
        self._connection = Connection(self._core, config)
        self._serving: set[asyncio.Future[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        try:
            await self.close()
        except ClosedUnanswered as unanswered:
            if kind is None:
                raise
            # What the block raised matters more.
            log.warning("%s", unanswered)

    async def close(self, timeout: float | None = None) -> None:
        """Send what was changed, wait for the answers, end the session, and return when it is over.

        It waits for a connection and for answers up to `timeout` seconds, or the client's
        `close_timeout`, and takes no new changes meanwhile. Then it raises `ClosedUnanswered` if
        there are changes that are neither confirmed nor rejected; whoever awaits one of them is
        told `Unsent` or `OutcomeUnknown`.
        """
        if self.status is Status.CLOSED:
            return
        self._core.close()
        seconds = self._close_timeout if timeout is None else timeout
        try:
            with contextlib.suppress(TimedOut, ClientClosed):
                await self._core.when(self._is_settled, "the answers", seconds)
        finally:
            await self._connection.close()
            for serving in self._serving:
                serving.cancel()
        if self._core.unsent or self._core.unknown:
            raise ClosedUnanswered(seconds, self._core.unsent, self._core.unknown)

    def _is_settled(self) -> bool:
        return self.status is Status.CLOSED or self._core.replica.is_settled

    async def online(self) -> None:
        """Wait until the client is online. Raises `ClientClosed` if it was closed before."""
        await self._core.online()

    async def settled(self) -> None:
        """Wait until every change and request has its outcome, and every service is registered."""
        await self._core.settled()

    async def request(self, name: str, args: Any = None, timeout: float | None = None) -> Any:
        """Ask a service, which answers within `timeout` seconds, or the client's time-out.

        Raises `TimedOut` if it did not, and `ServiceError` if it is not there or failed.
        """
        return await self._request(name, args, timeout)

    async def undo(self) -> Undone:
        """Undo this client's newest action, others' later work staying as it is."""
        return await _run_steps(self._undo())

    async def redo(self) -> Undone:
        """Redo what was undone last."""
        return await _run_steps(self._redo())

    async def value_at(
        self,
        name: str,
        *,
        version: int | None = None,
        commit: int | None = None,
        time: Time | None = None,
    ) -> ValueAt:
        """Give a topic's value at a version, after a commit, or at a time."""
        return await _run_steps(self._value_at(name, version=version, commit=commit, time=time))

    async def history(
        self, name: str, start: int = 1, stop: int | None = None, limit: int = 1000
    ) -> past.Entries:
        """Give the changes that led to the versions from `start` to `stop`, both included."""
        return await _run_steps(self._history(name, start, stop, limit))

    async def cut(
        self,
        *,
        commit: int | None = None,
        time: Time | None = None,
        topic_names: Names | None = None,
        prefix: str | None = None,
    ) -> Cut:
        """Give all topics, or some, as they stood together at a commit or time."""
        return await _run_steps(self._cut(topic_names, prefix, commit=commit, time=time))

    async def subscribe_at(
        self,
        name: str,
        *,
        version: int | None = None,
        commit: int | None = None,
        time: Time | None = None,
    ) -> Past:
        """Give a read-only view of a topic's past, which can be stepped."""
        return Past(
            self, name, await self.value_at(name, version=version, commit=commit, time=time)
        )

    def _serve(self, requested: Requested) -> None:
        """Have a service of the program answer a request, in the event loop."""

        def start() -> None:
            serving = asyncio.ensure_future(self._answer(requested))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)

        self._loop.call_soon_threadsafe(start)

    async def _answer(self, requested: Requested) -> None:
        value, failure = None, None
        try:
            value = checked(await self._result(requested))
        except ServiceError as error:
            failure = ServiceFailure("failed", error.reason)
        except Exception as error:
            log.exception("service %r raised", requested.service_name)
            failure = ServiceFailure("failed", f"{type(error).__name__}: {error}")
        self._core.act(lambda replica: replica.respond(requested.request_id, value, failure))

    async def _result(self, requested: Requested) -> Any:
        service = self._services.get(requested.service_name)
        if service is None:
            raise ServiceError("it is not offered any more", service_name=requested.service_name)
        request = Request(requested.service_name, requested.args, requested.client_id)
        result = await self._call_service(service, request)
        return await result if inspect.isawaitable(result) else result

    async def _call_service(self, service: Any, request: Request) -> Any:
        return service(request)


class Past(past.PastTopic):
    """A topic's past, a version at a time."""

    def __init__(self, client: Client, name: str, start: ValueAt) -> None:
        super().__init__(name, start)
        self._client = client

    async def go_to(
        self,
        *,
        version: int | None = None,
        commit: int | None = None,
        time: Time | None = None,
    ) -> Self:
        """Go to another moment. Raises `ServiceError` if it is not there."""
        at = await self._client.value_at(self.name, version=version, commit=commit, time=time)
        self._move_to(at)
        return self

    async def step(self, count: int = 1) -> Self:
        """Go on by so many versions, or back if `count` is negative."""
        return await self.go_to(version=self.version + count)

    async def entry(self) -> Entry | None:
        """Give the change that led to this version; None if it is the initial one."""
        if not self.version:
            return None
        return (await self._client.history(self.name, self.version, self.version))[0]


async def _run_steps(steps: Steps[T]) -> T:
    """Do work with several waits by awaiting each."""
    try:
        waiting = next(steps)
        while True:
            try:
                answer = await waiting
            except TopicsyncError as error:
                waiting = steps.throw(error)
            else:
                waiting = steps.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


__all__ = ["Client", "Past", "connect"]
