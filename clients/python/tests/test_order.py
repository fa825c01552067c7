"""A replica's own order: what one client does in one order is accepted and undone so (law 11)."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from conftest import Server
from relay import Relay

import topicsync_client
from topicsync_client.replica import LocalChange, Replica
from topicsync_client.types import BUILT_IN


async def test_the_edge_is_undone_and_not_the_move(server: Server, name: str) -> None:
    """Three changes on two topics, and an undo, while the line is slow (R12, R16)."""
    async with (
        Relay(server.port) as relay,
        topicsync_client.connect(relay.url, retry_min=0.01) as client,
        topicsync_client.connect(server.url) as other,
    ):
        nodes, edges = client.dict(f"{name}/nodes"), client.list(f"{name}/edges")
        await nodes.put("n1", {"x": 0})
        await edges.ready()
        theirs = other.dict(f"{name}/nodes"), other.list(f"{name}/edges")
        await asyncio.gather(*(topic.ready() for topic in theirs))
        relay.freeze()
        nodes["n1"] = {"x": 1}
        # By now the first move is on its way.
        await asyncio.sleep(0.05)
        nodes["n1"] = {"x": 2}
        edges.append("edge")
        undoing = asyncio.ensure_future(client.undo())
        await asyncio.sleep(0.05)
        relay.thaw()
        undone = await undoing
        assert [it["topic_name"] for it in undone.undone] == [f"{name}/edges"]
        assert (nodes["n1"], edges.value) == ({"x": 2}, [])
        moves = await client.history(f"{name}/nodes")
        drawn, taken_back = await client.history(f"{name}/edges")
        assert [it.commit for it in moves] == sorted(it.commit for it in moves)
        assert moves[-1].commit < drawn.commit < taken_back.commit


@pytest.mark.parametrize("seed", range(8))
async def test_law_11_own_order_holds_over_all_topics(server: Server, name: str, seed: int) -> None:
    """Online, after cuts and after offline work. Each item says when it was made."""
    random = Random(seed)
    made = 0
    async with (
        Relay(server.port) as relay,
        topicsync_client.connect(relay.url, retry_min=0.01, retry_max=0.05) as client,
        topicsync_client.connect(server.url) as other,
    ):
        names = [f"{name}/{number}" for number in range(4)]
        topics = [await client.list(topic_name).ready() for topic_name in names]
        theirs = [await other.list(topic_name).ready() for topic_name in names]

        def make() -> None:
            nonlocal made
            made += 1
            topic = random.choice(topics)
            topic.insert(random.randint(0, len(topic)), made)

        for _ in range(80):
            match random.randrange(16):
                case 0:
                    relay.freeze()
                case 1 | 2 | 3:
                    relay.thaw()
                case 4:
                    relay.cut()
                case 5 | 6:
                    with client.action():
                        for _ in range(random.randint(2, 4)):
                            make()
                case 7:
                    random.choice(theirs).append("theirs")
                case _:
                    make()
            await asyncio.sleep(random.choice([0, 0, 0.003]))
        relay.thaw()
        await client.settled()
        accepted: list[tuple[int, int]] = []
        for topic_name in names:
            for entry in await client.history(topic_name):
                item = entry.change.get("item")
                if isinstance(item, int):
                    accepted.append((item, entry.commit))
        assert [item for item, _ in sorted(accepted)] == list(range(1, made + 1))
        commits = [commit for _, commit in sorted(accepted)]
        assert commits == sorted(commits)
        # Undo takes back the last ones first.
        there = {item for topic in topics for item in topic if item != "theirs"}
        for _ in range(5):
            if not (await client.undo()).undone:
                break
            left = {item for topic in topics for item in topic if item != "theirs"}
            assert max(left, default=0) < min(there - left)
            there = left


def online(*topic_names: str, kind: str = "string") -> Replica:
    """A replica that is online and subscribed, with empty topics."""
    replica = Replica()
    replica.receive({"type": "hello", "content": {"id": 1, "session": "s"}})
    for topic_name in topic_names:
        replica.subscribe(topic_name, BUILT_IN[kind])
    replica.outbox()
    for topic_name in topic_names:
        head = {"topic_name": topic_name, "type": kind, "epoch": "e", "version": 0}
        replica.receive({"type": "subscribed", "content": head})
        value = BUILT_IN[kind].encode_value(BUILT_IN[kind].initial())
        snapshot = {"version": 0, "snapshot": True, "change": {"type": "set", "value": value}}
        replica.receive({"type": "update", "content": {"topic_name": topic_name, **snapshot}})
    replica.events()
    return replica


def test_r48_topics_edited_in_turn_go_out_at_once() -> None:
    names = [f"t{number}" for number in range(3000)]
    replica = online(*names, kind="int")
    for topic_name in names:
        replica.local([LocalChange(topic_name, {"type": "add", "value": 1})])
    sent = replica.outbox()
    assert [it["content"]["topic_name"] for it in sent] == names
    # Edited again within the round trip, all that waits goes out in one flush behind the answers.
    for topic_name in names[:500]:
        replica.local([LocalChange(topic_name, {"type": "add", "value": 1})])
    assert replica.outbox() == []
    for message in sent:
        content: Any = message["content"]
        update = {**content, "version": 1, "commit": 1, "author": 1}
        replica.receive({"type": "update", "content": update})
    assert len(replica.outbox()) == 500
