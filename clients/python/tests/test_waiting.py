"""Nothing waits for ever, and nothing is lost on a close."""

from __future__ import annotations

import asyncio
import contextlib
import math
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from conftest import Server
from relay import Relay

import topicsync_client
from topicsync_client import (
    Client,
    ClientClosed,
    ClosedUnanswered,
    OutcomeUnknown,
    ServiceError,
    Status,
    TimedOut,
    TopicsyncError,
    Unsent,
)

NOWHERE = "ws://127.0.0.1:9/"


# Time-outs say what was waited for.


async def test_what_does_not_come_in_time_is_named() -> None:
    client = topicsync_client.connect(NOWHERE, timeout=0.02, close_timeout=0.05)
    nodes = client.dict("nodes")
    ticket = nodes.add("a", 1)
    with client.action() as action:
        nodes["b"] = 1
        nodes["c"] = 1

    def solve(request: topicsync_client.Request) -> None:
        pass

    waits: list[tuple[Any, str]] = [
        (nodes.ready(), "the first value of topic 'nodes'"),
        (ticket, "the outcome of change 'add' of topic 'nodes'"),
        (action, "the outcome of an action of 2 changes of topics 'nodes'"),
        (client.online(), "the connection"),
        (client.settled(), r"2 pending changes of topics 'nodes'"),
        (client.request("solve", 1), "the answer of service 'solve'"),
        (client.undo(), "the answer of service '_topicsync/undo'"),
        (client.value_at("nodes", version=1), "the answer of service '_topicsync/value_at'"),
        (client.register("solve", solve), "the registration of service 'solve'"),
    ]
    for waiting, about in waits:
        with pytest.raises(TimedOut, match=rf"{about}.* did not come within 0.02 s: the client is"):
            await waiting
    # Nobody is left who waits, and a request that was given up is not sent later.
    core = client._core
    assert (core._calls, core._watched, core._ready["nodes"]) == ({}, [], [])
    assert core.replica._calls_waiting == []
    with pytest.raises(ClosedUnanswered, match="3 changes"):
        await client.close()
    with pytest.raises(Unsent, match="'add' of topic 'nodes'"):
        await ticket


async def test_whoever_gives_up_waiting_takes_a_request_back() -> None:
    client = topicsync_client.connect(NOWHERE)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.undo(), 0.02)
    assert client._core.replica._calls_waiting == []
    await client.close()


async def test_a_ticket_can_be_waited_for_again(server: Server, name: str) -> None:
    async with (
        Relay(server.port) as relay,
        topicsync_client.connect(relay.url, timeout=0.1, retry_min=0.01) as client,
    ):
        relay.refuses = True
        ticket = client.int(name).add(1)
        with pytest.raises(TimedOut):
            await ticket
        relay.refuses = False
        client._core.timeout = 10
        assert await ticket


async def test_the_servers_time_out_is_told_like_the_clients(server: Server, name: str) -> None:
    async with topicsync_client.connect(server.url) as client:

        async def sleep(request: topicsync_client.Request) -> None:
            await asyncio.sleep(5)

        await client.register(name, sleep)
        with pytest.raises(TimedOut, match=name):
            await client.request(name, timeout=0.05)
        # The server's own, which is the shorter one here.
        replica = client._core.replica
        waiting = client._core.call(name, lambda _: replica.request(name, None, 20))
        with pytest.raises(TimedOut, match=name):
            await waiting


def test_nobody_blocks_the_thread_that_brings_the_answer(server: Server, name: str) -> None:
    told: list[BaseException] = []
    with topicsync_client.sync.connect(server.url) as client:
        count = client.int(name)

        def ask(_: object) -> None:
            for wait in (lambda: client.request("anything"), client.close):
                try:
                    wait()
                except RuntimeError as error:
                    told.append(error)

        count.on_change(ask)
        count.add(1).wait()
        client.settled()
    assert len(told) == 2
    assert all("thread of the event loop" in str(error) for error in told)


async def test_a_second_registration_of_a_service_ends_too(server: Server, name: str) -> None:
    async with topicsync_client.connect(server.url) as client:
        first, second = (client.register(name, lambda _: 1) for _ in range(2))
        await asyncio.gather(first, second)
        await client.register(name, lambda _: 3)
        assert await client.request(name) == 3
        third = client.register(f"{name}/other", lambda _: 4)
        client.unregister(f"{name}/other")
        with pytest.raises(ServiceError, match="unregistered"):
            await third


async def test_settled_waits_for_services(server: Server, name: str) -> None:
    async with (
        topicsync_client.connect(server.url) as provider,
        topicsync_client.connect(server.url) as asker,
    ):
        for number in range(20):
            provider.service(f"{name}/{number}")(lambda request: request.args)
        await provider.settled()
        for number in range(20):
            assert await asker.request(f"{name}/{number}", number) == number


async def test_an_offer_that_was_lost_with_the_line_is_made_again(
    server: Server, name: str
) -> None:
    async with (
        Relay(server.port) as relay,
        topicsync_client.connect(relay.url, retry_min=0.01) as client,
    ):
        await client.online()
        relay.freeze()
        registering = client.register(name, lambda _: 1)
        await asyncio.sleep(0.05)
        relay.cut()
        relay.thaw()
        await registering
        assert await client.request(name) == 1


# Requests and lost lines (R39).


async def cut_while_asking(
    relay: Relay, client: Client, ask: Callable[[], Awaitable[Any]]
) -> asyncio.Future[Any]:
    """Asks on a line that is dead, and then cut."""
    await client.online()
    relay.freeze()
    asking = asyncio.ensure_future(ask())
    await asyncio.sleep(0.05)
    relay.cut()
    relay.thaw()
    return asking


async def test_r39_reading_requests_are_asked_again(server: Server, name: str) -> None:
    async with (
        Relay(server.port) as relay,
        topicsync_client.connect(relay.url, retry_min=0.01) as client,
    ):
        nodes = client.dict(name)
        await nodes.add("a", 1)
        asking = await cut_while_asking(relay, client, lambda: client.value_at(name, version=1))
        assert (await asking).value == {"a": 1}
        asking = await cut_while_asking(relay, client, lambda: client.history(name))
        assert len(await asking) == 1


async def test_r39_others_end_as_lost(server: Server, name: str) -> None:
    async with (
        Relay(server.port) as relay,
        topicsync_client.connect(relay.url, retry_min=0.01) as client,
    ):
        await client.dict(name).add("a", 1)
        for ask in (client.undo, lambda: client.request(f"{name}/solve")):
            asking = await cut_while_asking(relay, client, ask)
            with pytest.raises(ServiceError, match="lost") as lost:
                await asking
            assert lost.value.code == "lost"


@pytest.mark.parametrize("seed", range(12))
async def test_within_the_time_out_nothing_is_open(own_server: Server, seed: int) -> None:
    """Any request at any time; the line cut, frozen or half open; the server restarted."""
    random = Random(seed)
    timeout = 0.8
    async with Relay(own_server.port) as relay:
        client = topicsync_client.connect(
            relay.url, timeout=timeout, close_timeout=0.5, retry_min=0.01, retry_max=0.1
        )
        nodes, texts = client.dict("nodes"), client.string("text")
        open_waits: list[asyncio.Future[Any]] = []
        services = iter(range(1000))

        async def timed(waiting: Awaitable[Any]) -> None:
            began = time.monotonic()
            with contextlib.suppress(TopicsyncError):
                await waiting
            assert time.monotonic() - began < timeout + 0.6

        def ask() -> Awaitable[Any]:
            match random.randrange(10):
                case 0:
                    return client.undo()
                case 1:
                    return client.redo()
                case 2:
                    return client.value_at("nodes", version=0)
                case 3:
                    return client.history("nodes")
                case 4:
                    return client.request("nobody", 1)
                case 5:
                    return client.register(f"service {next(services)}", lambda _: None)
                case 6:
                    return client.int(f"topic {next(services)}").ready()
                case 7:
                    return client.settled()
                case 8:
                    return client.online()
            return nodes.put("k", 1) if random.random() < 0.5 else texts.insert(0, "x")

        for _ in range(40):
            open_waits.append(asyncio.ensure_future(timed(ask())))
            await asyncio.sleep(random.uniform(0, 0.02))
            match random.randrange(12):
                case 0:
                    relay.cut()
                case 1:
                    relay.freeze()
                case 2:
                    relay.half_open()
                case 3 | 4:
                    relay.thaw()
                case 5 if random.random() < 0.4:
                    own_server.kill()
                    own_server.start()
        # Whatever the line is like by now.
        await asyncio.gather(*open_waits)
        began = time.monotonic()
        with contextlib.suppress(ClosedUnanswered):
            await client.close()
        assert time.monotonic() - began < 0.5 + 4
        assert client.status is Status.CLOSED
        core = client._core
        assert not any([core._tickets, core._calls, core._ready, core._registering])


# Closing.


async def keys_of(url: str, name: str) -> set[str]:
    async with topicsync_client.connect(url) as client:
        return set(await client.dict(name).ready())


async def test_what_was_changed_is_sent_before_the_end_of_a_block(
    server: Server, name: str
) -> None:
    for number in range(20):
        async with topicsync_client.connect(server.url) as client:
            client.dict(name)[f"k{number}"] = number
    assert await keys_of(server.url, name) == {f"k{number}" for number in range(20)}


async def test_close_waits_for_the_connection_and_the_answer(server: Server, name: str) -> None:
    client = topicsync_client.connect(server.url)
    ticket = client.dict(name).add("a", 1)
    await client.close()
    assert await ticket
    with pytest.raises(Unsent, match="closed"):
        await client.dict(f"{name}/other").add("b", 1)
    # Once is enough, and twice no harm.
    await client.close()


async def test_close_says_what_did_not_go(server: Server, name: str) -> None:
    async with Relay(server.port) as relay:
        client = topicsync_client.connect(relay.url)
        nodes = await client.dict(name).ready()
        relay.freeze()
        sent = nodes.add("sent", 1)
        await asyncio.sleep(0.05)
        waiting = client.list(f"{name}/list").append("waits")
        with pytest.raises(ClosedUnanswered) as closed:
            await client.close(0.1)
        assert [it["topic_name"] for it in closed.value.unknown] == [name]
        assert closed.value.unsent[0]["change"]["item"] == "waits"
        assert "not sent" in str(closed.value)
        with pytest.raises(OutcomeUnknown, match=name):
            await sent
        with pytest.raises(Unsent, match=f"{name}/list"):
            await waiting


async def test_an_error_in_the_block_is_not_hidden_by_what_did_not_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        async with topicsync_client.connect(NOWHERE, close_timeout=0.05) as client:
            client.int("n").add(1)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert "1 change (1 of topic 'n') not sent" in caplog.text


async def test_close_ends_on_a_line_that_is_full(server: Server, name: str) -> None:
    async with Relay(server.port) as relay:
        client = topicsync_client.connect(relay.url)
        await client.online()
        relay.freeze()
        items = client.generic(name)
        await asyncio.sleep(0.05)
        for _ in range(12):
            asking = asyncio.ensure_future(client.request("nobody", "x" * (3 << 20)))
            asking.add_done_callback(lambda it: it.exception())
        await asyncio.sleep(0.05)
        items.set(1)
        began = time.monotonic()
        with pytest.raises(ClosedUnanswered):
            await client.close(0.1)
        assert time.monotonic() - began < 6


async def test_no_change_is_taken_once_close_was_called(server: Server, name: str) -> None:
    async with Relay(server.port) as relay:
        client = topicsync_client.connect(relay.url)
        count = await client.int(name).ready()
        relay.freeze()
        count.add(1)
        await asyncio.sleep(0.02)
        closing = asyncio.ensure_future(client.close(5))
        await asyncio.sleep(0.02)
        with pytest.raises(Unsent):
            await count.add(1)
        relay.thaw()
        await closing
        assert int(count) == 1


async def test_whoever_waits_when_the_client_closes_is_told(name: str) -> None:
    client = topicsync_client.connect(NOWHERE)
    waits = [client.dict(name).ready(), client.register("solve", lambda _: 1)]
    waiting = [asyncio.ensure_future(_awaited(it)) for it in [*waits, client.request("solve")]]
    await asyncio.sleep(0)
    await client.close(0.01)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    for error, about in zip(told, [name, "solve", "solve"], strict=True):
        assert isinstance(error, ClientClosed)
        assert about in str(error)
    with pytest.raises(ClientClosed, match=name):
        await client.dict(name).ready()


async def _awaited(waiting: Any) -> Any:
    return await waiting


def test_an_event_loop_that_ends_without_closing_says_what_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def forget() -> None:
        client = topicsync_client.connect(NOWHERE)
        client.int("n").add(1)
        await asyncio.sleep(0)

    asyncio.run(forget())
    assert "the client ended with 1 change (1 of topic 'n') not sent" in caplog.text


def test_a_program_that_ends_without_closing_loses_nothing(server: Server, name: str) -> None:
    program = f"""
import topicsync_client
client = topicsync_client.sync.connect({server.url!r})
nodes = client.dict({name!r})
for number in range(100):
    nodes[str(number)] = number
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
    with topicsync_client.sync.connect(server.url) as client:
        assert len(client.dict(name)) == 100


def test_a_service_that_never_returns_keeps_no_program(server: Server, name: str) -> None:
    program = f"""
import threading, topicsync_client
client = topicsync_client.sync.connect({server.url!r})
entered = threading.Event()
def stuck(request):
    entered.set()
    threading.Event().wait()
client.register({name!r}, stuck).wait()
threading.Thread(target=lambda: client.request({name!r}), daemon=True).start()
entered.wait()
client.close(0.1)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=15, capture_output=True)


def test_a_sync_client_says_what_did_not_go() -> None:
    client = topicsync_client.sync.connect(NOWHERE, timeout=0.02, close_timeout=0.02)
    with pytest.raises(TimedOut, match="topic 'n'"):
        client.int("n")
    client._inner.int("n").add(1)
    with pytest.raises(ClosedUnanswered, match="not sent"):
        client.close()


def test_waiting_for_ever_has_to_be_asked_for(server: Server, name: str) -> None:
    with topicsync_client.sync.connect(server.url, timeout=math.inf) as client:
        assert client.int(name).add(1).wait()
        assert client.request("_topicsync/stats")
    assert not [it for it in threading.enumerate() if it.name == "topicsync_client"]
