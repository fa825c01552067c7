"""A TCP relay that can be cut: the network between a client and the server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from typing_extensions import Self


class Relay:
    """Passes on what it gets, both ways, until it is cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._backs: set[asyncio.StreamWriter] = set()
        self._dead: set[asyncio.StreamWriter] = set()
        self.refuses = False
        """Whether new connections are closed at once."""
        self._flows = asyncio.Event()
        self._flows.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuses = True
        self.thaw()
        self.cut()
        self._server.close()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    def cut(self) -> None:
        """Cuts all connections that there are."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._backs.clear()

    def freeze(self) -> None:
        """Passes nothing on any more, and reads nothing: the line is there, and dead."""
        self._flows.clear()

    def thaw(self) -> None:
        """Passes on what was held up, and all that follows."""
        self._flows.set()

    def half_open(self) -> None:
        """Cuts the server's side; the client's stays open, and hears nothing more."""
        for writer in self._backs:
            self._dead.add(writer)
            writer.transport.abort()
        self._backs.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, back}
        self._backs.add(back)
        await asyncio.gather(self._pump(reader, back, back), self._pump(there, writer, back))

    async def _pump(self, reader: asyncio.StreamReader, writer: Any, back: Any) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        # Half open: until it is cut, the client's side hears nothing, not even an end.
        if back not in self._dead:
            writer.transport.abort()
