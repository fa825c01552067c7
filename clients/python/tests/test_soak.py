"""The soak's participants, three of them, over a network that is cut: all end with one value."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from conftest import Server
from relay import Relay

from topicsync_client.values import order_of, same

PARTICIPANT = Path(__file__).resolve().parents[1] / "soak/participant.py"


class Process:
    """A participant in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, url: str, seed: int) -> Process:
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, str(PARTICIPANT), url, str(seed)]
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))

    async def ask(self, command: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n".encode())
        return (await self.process.stdout.readline()).decode().strip()


async def test_participants_hold_one_value_after_many_cuts(own_server: Server) -> None:
    async with Relay(own_server.port) as relay:
        participants = [await Process.start(relay.url, seed) for seed in (1, 2, 3)]
        for _ in range(3):
            editing = asyncio.gather(*(it.ask("edit 60") for it in participants))
            while not editing.done():
                await asyncio.sleep(0.07)
                relay.cut()
            assert await editing == ["edited"] * 3
            assert [await it.ask("settle") for it in participants] == ["settled"] * 3
        # What one made last, the others hear a little later.
        for _ in range(50):
            values = [read(await it.ask("values")) for it in participants]
            if same(values[0], values[1]) and same(values[0], values[2]):
                break
            await asyncio.sleep(0.1)
        assert same(values[0], values[1])
        assert same(values[0], values[2])
        assert values[0]["soak/text"]
        for it in participants:
            assert await it.ask("quit") == ""
            assert await it.process.wait() == 0


def read(line: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(line)
    values["soak/set"].sort(key=order_of)
    return values
