"""The connection: moves the replica's messages, and connects again after a loss."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from .core import TIMEOUT, Core, Status, log
from .errors import Invalid
from .frames import Encoding, decode, frames, subprotocol

PROTOCOL_ERROR = 1002
"""The code with which a connection is closed on which the server sent nonsense."""

READ_BYTES_MAX = 1 << 30
"""The largest frame that is read: a snapshot of a large topic comes as one."""

BUSY_DELAY = 0.25
"""How many seconds to wait before what the server had no room for is sent again."""

CLOSE_SECONDS = 2.0
"""How long a close handshake may take before the connection is dropped."""

RESUMED_ELSEWHERE = 4001
"""The code with which the server closes a connection whose session another one resumed."""


@dataclass(frozen=True)
class Config:
    """How a client connects. Times are in seconds."""

    url: str
    """`ws://host:port/`"""
    encoding: Encoding = "msgpack"
    retry_min: float = 0.1
    """How long to wait before the second attempt at most; further waits are up to twice as long."""
    retry_max: float = 10.0
    """The longest wait between attempts."""
    silence_max: float = 60.0
    """A server that was silent for so long is gone."""
    timeout: float = TIMEOUT
    """How long whoever waits for something waits, before `TimedOut` is raised."""
    close_timeout: float = 5.0
    """How long `close` waits for answers."""

    def __post_init__(self) -> None:
        try:
            parse_uri(self.url)
        except (InvalidURI, ValueError, AttributeError, TypeError) as error:
            raise Invalid(f"a server's url is ws://host:port/, not {self.url!r}") from error
        if self.encoding not in get_args(Encoding):
            raise Invalid(f"an encoding is one of {get_args(Encoding)}, not {self.encoding!r}")


class Connection:
    """Keeps a client connected: one WebSocket connection after the other, with waits in between."""

    def __init__(self, core: Core, config: Config) -> None:
        self._core = core
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.Event()
        self._closing = asyncio.Event()
        core.loop_thread = threading.get_ident()
        core.wake = self._wake
        core.later = self._later
        core.busy = self._busy
        self._running = self._loop.create_task(self._run())

    async def close(self) -> None:
        """Send what can be sent at once, end the session, and return when that is done.

        It takes at most `CLOSE_SECONDS`, and a little for what is cancelled then.
        """
        self._closing.set()
        self._work.set()
        if self._core.status is not Status.ONLINE:
            # Nobody waits for an attempt to connect.
            self._running.cancel()
        try:
            # A peer that reads nothing holds up what is sent to it.
            await asyncio.wait([self._running], timeout=CLOSE_SECONDS)
        finally:
            self._running.cancel()
        await asyncio.wait([self._running], timeout=CLOSE_SECONDS)
        # The task may have been cancelled before it had begun.
        self._core.set_status(Status.CLOSED)

    async def over(self) -> None:
        """Wait until there will be no other attempt to connect."""
        await asyncio.wait([self._running])

    def _wake(self) -> None:
        if threading.get_ident() == self._core.loop_thread:
            self._work.set()
        else:
            # The loop may be closed already; then nobody has to be woken.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._work.set)

    def _later(self, work: Callable[[], None]) -> None:
        here = threading.get_ident() == self._core.loop_thread
        try:
            (self._loop.call_soon if here else self._loop.call_soon_threadsafe)(work)
        except RuntimeError:
            # The loop is closed: what is left to tell is told at once.
            work()

    def _busy(self) -> None:
        def resend() -> None:
            self._core.act(lambda replica: replica.resend_busy())

        self._loop.call_soon_threadsafe(self._loop.call_later, BUSY_DELAY, resend)

    async def _run(self) -> None:
        """Connect, and connect again, until the client is closed."""
        try:
            await self._keep_connected()
        except Exception:
            log.exception("the client has failed, and is closed")
        finally:
            self._core.set_status(Status.CLOSED)

    async def _keep_connected(self) -> None:
        wait = self._config.retry_min
        warned = False
        while not self._closing.is_set():
            self._core.set_status(Status.CONNECTING)
            began = self._loop.time()
            try:
                over = await self._use_one_connection()
            except (OSError, TimeoutError, asyncio.TimeoutError, WebSocketException) as error:
                # Once for each time that the server is away, not for each attempt.
                level = logging.INFO if warned else logging.WARNING
                log.log(level, "cannot connect to %s: %s", self._config.url, error)
                warned, over = True, False
            if over:
                return
            if self._core.status is Status.ONLINE:
                warned = False
                # A connection that ends as soon as it is there has not worked: a value on the way
                # may be one that cannot be read. The wait grows until one holds for a while.
                if self._loop.time() - began > self._config.retry_max:
                    wait = self._config.retry_min
            self._core.act_in_loop(lambda replica: replica.disconnected())
            self._core.set_status(Status.OFFLINE)
            # Jittered, so that clients that lost one server do not all come back at once.
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                jittered = wait * random.uniform(0.5, 1)
                await asyncio.wait_for(self._closing.wait(), jittered)
            wait = min(wait * 2, self._config.retry_max)

    async def _use_one_connection(self) -> bool:
        """Connect, then read and write until one of the two ends.

        Tells whether no other connection is to follow.
        """
        async with connect(
            self._config.url,
            subprotocols=[Subprotocol(subprotocol(self._config.encoding))],
            compression=None,
            max_size=READ_BYTES_MAX,
            open_timeout=self._config.silence_max,
            ping_interval=self._config.silence_max / 3,
            ping_timeout=self._config.silence_max / 3,
            close_timeout=1,
        ) as socket:
            tasks = [asyncio.create_task(work(socket)) for work in (self._read, self._write)]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            return any(task.result() for task in done)

    async def _read(self, socket: ClientConnection) -> bool:
        try:
            async for frame in socket:
                self._core.receive(decode(frame))
        except Invalid as invalid:
            log.warning("%s", invalid)
            # Not 1000, which would end the session.
            await socket.close(PROTOCOL_ERROR)
        except ConnectionClosed:
            pass
        return socket.close_code == RESUMED_ELSEWHERE

    async def _write(self, socket: ClientConnection) -> bool:
        encoding = self._config.encoding
        try:
            while True:
                self._work.clear()
                closing = self._closing.is_set()
                for frame in self._core.act_in_loop(lambda replica: frames(replica, encoding)):
                    await socket.send(frame)
                if closing:
                    await socket.close(1000)
                    return True
                await self._work.wait()
        except ConnectionClosed:
            return self._closing.is_set() or socket.close_code == RESUMED_ELSEWHERE
