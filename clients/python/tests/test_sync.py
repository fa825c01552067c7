"""The client without asyncio."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Server

import topicsync_client
from topicsync_client import ClientClosed, Inserted, Rejected, ServiceError, Status


def test_topics_are_there_with_their_values(server: Server, name: str) -> None:
    with topicsync_client.sync.connect(server.url) as client:
        nodes = client.dict(name)
        nodes["n1"] = {"x": 1}
        assert nodes.add("n2", 2).wait(10)
    with topicsync_client.sync.connect(server.url, encoding="json") as client:
        assert client.dict(name).value == {"n1": {"x": 1}, "n2": 2}
    assert client.status is Status.CLOSED
    with pytest.raises(ClientClosed):
        client.request("anything")
    client.close()


def test_changes_of_another_can_be_iterated(server: Server, name: str) -> None:
    with (
        topicsync_client.sync.connect(server.url) as one,
        topicsync_client.sync.connect(server.url) as other,
    ):
        items = one.list(name)
        changes = items.changes()
        threading.Timer(0.05, lambda: other.list(name).append("theirs")).start()
        change = next(changes)
        assert isinstance(change, Inserted)
        assert (change.item, change.author) == ("theirs", other.id)
        items.unsubscribe()
        assert list(changes) == []


def test_whatever_has_to_be_waited_for_blocks(server: Server, name: str) -> None:
    with topicsync_client.sync.connect(server.url, timeout=20) as client:
        client.online()
        nodes = client.dict(name)
        with client.action() as ticket:
            nodes["a"] = 1
            nodes["b"] = 2
        ticket.wait()
        nodes["a"] = 3
        assert client.undo().undone
        assert client.redo().undone
        client.settled()
        assert nodes.value == {"a": 3, "b": 2}
        assert client.value_at(name, version=1).value == {"a": 1}
        assert len(client.history(name)) == 5
        assert client.cut(commit=client.history(name)[-1].commit, topic_names=[name]).topics
        past = client.subscribe_at(name, version=1)
        assert past.step(2).value == {"a": 3, "b": 2}
        entry = past.entry()
        assert entry is not None
        assert entry.author == client.id
        with pytest.raises(ServiceError, match="invalid"):
            past.go_to(version=99)


def test_a_rejection_is_raised_where_it_is_waited_for(server: Server, name: str) -> None:
    with (
        topicsync_client.sync.connect(server.url) as one,
        topicsync_client.sync.connect(server.url) as other,
    ):
        mine = one.dict(name)
        mine.add("a", 0).wait(10)
        theirs = other.dict(name)
        tickets = [topic.change_value_if_unchanged("a", 9) for topic in (mine, theirs)]
        with pytest.raises(Rejected, match="stale"):
            [ticket.wait(10) for ticket in tickets]


def test_services_may_wait_themselves(server: Server, name: str) -> None:
    with (
        topicsync_client.sync.connect(server.url) as provider,
        topicsync_client.sync.connect(server.url) as asker,
    ):

        @provider.service(f"{name}/twice")
        def twice(request: topicsync_client.Request) -> Any:
            return 2 * provider.request(f"{name}/number")

        async def number(request: topicsync_client.Request) -> Any:
            return 21

        provider.register(f"{name}/number", number).wait(10)
        assert asker.request(f"{name}/twice") == 42


def test_many_threads_use_one_client(server: Server, name: str) -> None:
    with topicsync_client.sync.connect(server.url) as client:
        count, items = client.int(f"{name}/count"), client.list(f"{name}/items")

        def work(number: int) -> None:
            for _ in range(50):
                with client.action():
                    count.add(1)
                    items.append(number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        client.settled()
        assert int(count) == len(items) == 400
        assert items.confirmed == items.value


def test_who_waits_too_long_is_told(name: str) -> None:
    with (
        topicsync_client.sync.connect("ws://127.0.0.1:9/", timeout=0.05) as client,
        pytest.raises(TimeoutError),
    ):
        client.dict(name)
