"""The connection against a server that follows a script: what a real one does only in bad times."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

import topicsync_client
from topicsync_client import ClosedUnanswered, Invalid, OutcomeUnknown, Status, Unsent
from topicsync_client.frames import FRAME_BYTES_MAX, decode, frames
from topicsync_client.replica import LocalChange, Message, Replica
from topicsync_client.types import BUILT_IN

HELLO: dict[str, Any] = {
    "type": "hello",
    "content": {"id": 1, "session": "s1", "protocol": 1, "limits": {}},
}
SUBSCRIBED: list[dict[str, Any]] = [
    {
        "type": "subscribed",
        "content": {"topic_name": "n", "type": "int", "epoch": "e", "version": 0, "options": {}},
    },
    {
        "type": "update",
        "content": {
            "topic_name": "n",
            "version": 0,
            "commit": 1,
            "snapshot": True,
            "change": {"type": "set", "value": 0},
        },
    },
]


class Scripted:
    """One connection, as the script sees it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self._inbox: list[Any] = []

    async def say(self, *messages: Any) -> None:
        await self.socket.send(json.dumps(messages))

    async def hear(self) -> Any:
        while not self._inbox:
            heard = json.loads(await self.socket.recv())
            self._inbox += heard if isinstance(heard, list) else [heard]
        return self._inbox.pop(0)

    async def begin(self) -> None:
        """A session with one topic."""
        await self.say(HELLO)
        assert (await self.hear())["type"] == "subscribe"
        await self.say(*SUBSCRIBED)


Script = Callable[[Scripted], Awaitable[None]]


@asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[topicsync_client.Client]:
    """A client of a server that follows a script for each connection, the last one from then on."""
    left = list(scripts)

    async def handle(socket: ServerConnection) -> None:
        script = left.pop(0) if len(left) > 1 else left[0]
        try:
            await script(Scripted(socket))
            await socket.wait_closed()
        except ConnectionClosed:
            pass

    subprotocols: Any = ["topicsync.v1.json"]
    async with serve(handle, "127.0.0.1", 0, subprotocols=subprotocols) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}/"
        async with topicsync_client.connect(url, encoding="json", retry_min=0.01) as client:
            yield client


def confirm(message: Any, version: int = 1) -> Message:
    content = {"topic_name": "n", "version": version, "commit": 2, "author": 1}
    return {"type": "update", "content": content | {"change": message["content"]["change"]}}


async def test_what_a_busy_server_had_no_room_for_is_sent_again() -> None:
    sent: list[Any] = []

    async def script(server: Scripted) -> None:
        await server.begin()
        sent.append(await server.hear())
        refused = {"topic_name": "n", "code": "busy", "reason": "later"}
        refused["change"] = sent[0]["content"]["change"]
        await server.say({"type": "reject_update", "content": refused})
        sent.append(await server.hear())
        await server.say(confirm(sent[1]))

    async with scripted(script) as client:
        count = await client.int("n").ready()
        assert await count.add(1) == "1_1"
        assert sent[0] == sent[1]


@pytest.mark.parametrize("frame", ["{", "7", '["text"]', b"\xc1", '{"type": "hello"'])
async def test_a_frame_that_cannot_be_read_costs_the_connection_only(
    frame: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int | None] = []

    async def spoil(server: Scripted) -> None:
        await server.socket.send(frame)
        await server.socket.wait_closed()
        codes.append(server.socket.close_code)

    async with scripted(spoil, Scripted.begin) as client:
        await client.int("n").ready()
    # 1000 would have ended the session.
    assert codes == [1002]
    assert "cannot be read" in caplog.text or "holds no messages" in caplog.text


async def test_being_online_for_a_moment_does_not_reset_the_wait() -> None:
    """A value that cannot be read, say, loses each connection as soon as it is there."""
    attempts = 0

    async def spoil(server: Scripted) -> None:
        nonlocal attempts
        attempts += 1
        await server.begin()
        await server.socket.send("{")

    async with scripted(spoil) as client:
        await client.int("n").ready()
        await asyncio.sleep(1.5)
    # Waits from 0.01 s on that double make eight in that time; the same wait each time, 150.
    assert 3 <= attempts <= 12


async def test_messages_that_nobody_knows_are_passed_over() -> None:
    async def script(server: Scripted) -> None:
        strange: list[Any] = [{"type": "dance", "content": {}}, {"type": "update"}, {}]
        await server.say(*strange)
        await server.begin()

    async with scripted(script) as client:
        await client.int("n").ready()


async def test_a_session_resumed_elsewhere_is_over() -> None:
    async def script(server: Scripted) -> None:
        await server.begin()
        await server.socket.close(4001)

    async with scripted(script) as client:
        count = await client.int("n").ready()
        closed = client._core.when(lambda: client.status is Status.CLOSED, "the end")
        ticket = count.add(1)
        await closed
        with pytest.raises((OutcomeUnknown, Unsent)):
            await ticket


async def test_a_lost_session_goes_on_under_a_new_id() -> None:
    resumed: list[Any] = []

    async def first(server: Scripted) -> None:
        await server.begin()
        await server.hear()
        server.socket.transport.abort()

    async def second(server: Scripted) -> None:
        await server.say({"type": "hello", "content": {"id": 2, "session": "s2"}})
        resumed.append(await server.hear())
        unknown = {"code": "session_unknown", "reason": "it is gone", "to": "resume"}
        await server.say({"type": "error", "content": unknown})
        again = await server.hear()
        assert again["content"]["since"] == {"epoch": "e", "version": 0}
        head: Any = {"type": "subscribed", "content": {**SUBSCRIBED[0]["content"], "since": 0}}
        await server.say(head)
        await server.say(confirm(await server.hear()))

    async with scripted(first, second) as client:
        count = await client.int("n").ready()
        in_flight = count.set_if_unchanged(1)
        await asyncio.sleep(0)
        await client._core.when(lambda: client.status is Status.OFFLINE, "the loss")
        waiting = count.add(5)
        # Whether the first was taken, nobody can say; the topic went on without it.
        with pytest.raises(topicsync_client.OutcomeUnknown):
            await in_flight
        assert (await waiting, client.id) == ("2_2", 2)
        assert resumed[0]["content"] == {"session": "s1"}
        assert int(count) == 5


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_many_messages_go_out_in_few_frames(encoding: Any) -> None:
    replica = Replica()
    replica.receive(HELLO)
    for number in range(600):
        replica.request("solve", {"number": number, "text": "é" * 300})
    sent = frames(replica, encoding)
    sizes = [len(frame.encode() if isinstance(frame, str) else frame) for frame in sent]
    assert len(sent) < 10
    assert max(sizes) <= FRAME_BYTES_MAX
    numbers = [message["content"]["args"]["number"] for frame in sent for message in decode(frame)]
    assert numbers == list(range(600))
    assert frames(replica, encoding) == []


def test_what_is_too_large_is_refused_in_its_place() -> None:
    replica = Replica()
    hello = {**HELLO["content"], "limits": {"message_bytes": 200}}
    replica.receive({"type": "hello", "content": hello})
    for topic_name in ("a", "b"):
        replica.subscribe(topic_name, BUILT_IN["event"])
        replica.outbox()
        subscribed = {"topic_name": topic_name, "type": "event", "epoch": "e", "version": 0}
        replica.receive({"type": "subscribed", "content": subscribed})
    replica.events()
    emit = [LocalChange(name, {"type": "emit", "args": {"x": "y" * 150}}) for name in ("a", "b")]
    replica.local(emit)
    replica.local([LocalChange("a", {"type": "emit", "args": {}})])
    (frame,) = frames(replica, "msgpack")
    assert msgpack.unpackb(frame)["content"]["change"]["args"] == {}
    assert [type(event).__name__ for event in replica.events()][-1] == "Rejected"


async def test_closing_does_not_wait_for_a_server_that_never_answers() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = topicsync_client.connect(f"ws://127.0.0.1:{port}/")
        ticket = client.int("n").add(1)
        await asyncio.sleep(0.05)
        with pytest.raises(
            ClosedUnanswered, match=r"1 change \(1 of topic 'n'\) not sent"
        ) as closed:
            await asyncio.wait_for(client.close(0.1), 3)
        change = {"type": "add", "value": 1}
        assert closed.value.unsent == [{"topic_name": "n", "change": change}]
        with pytest.raises(Unsent, match="'add' of topic 'n'"):
            await ticket
        server.close()


def test_a_url_that_is_none_is_refused() -> None:
    urls: list[Any] = [
        "http://nowhere",
        "nowhere",
        "ws://",
        "localhost:9101",
        "ws://h:99999/",
        None,
        7,
    ]
    for url in urls:
        with pytest.raises(Invalid, match="ws://"):
            topicsync_client.sync.connect(url)
