"""Clients of a real server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from conftest import Server
from relay import Relay

import topicsync_client
from topicsync_client import (
    Added,
    Change,
    Client,
    ClientClosed,
    Edited,
    Emitted,
    Inserted,
    Invalid,
    Rejected,
    Removed,
    ServiceError,
    Splice,
    Status,
    SubscribeError,
    ValueChanged,
    ValueSet,
)
from topicsync_client.types import Generic


@pytest.fixture
async def two(server: Server) -> AsyncIterator[tuple[Client, Client]]:
    """Two clients, one of each encoding."""
    async with (
        topicsync_client.connect(server.url) as one,
        topicsync_client.connect(server.url, encoding="json") as other,
    ):
        yield one, other


async def until(holds: Any) -> None:
    """Waits until something holds."""
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


async def test_a_change_shows_at_once_and_then_to_the_other(
    two: tuple[Client, Client], name: str
) -> None:
    mine, theirs = two[0].dict(name), two[1].dict(name)
    await mine.ready()
    await theirs.ready()
    told = theirs.changes()
    ticket = mine.add("n1", {"x": 10, "y": [None, True, 2.5, "😀"]})
    assert mine["n1"] == {"x": 10, "y": [None, True, 2.5, "😀"]}
    assert (mine.pending, mine.confirmed) == (1, {})
    id = await ticket
    assert id is not None
    assert id.startswith(f"{two[0].id}_")
    assert (mine.pending, mine.confirmed) == (0, mine.value)
    change = await anext(told)
    assert isinstance(change, Added)
    assert (change.key, change.local, change.author) == ("n1", False, two[0].id)
    assert theirs.value == mine.value


async def test_both_change_at_once_and_converge(two: tuple[Client, Client], name: str) -> None:
    topics = [client.string(name) for client in two]
    for topic in topics:
        await topic.ready()
    await topics[0].insert(0, "the fox")
    await until(lambda: str(topics[1]) == "the fox")
    await asyncio.gather(topics[0].insert(4, "quick "), topics[1].append(" jumps"))
    await until(lambda: str(topics[0]) == str(topics[1]) == "the quick fox jumps")


async def test_a_rejected_change_leaves_and_says_why(
    two: tuple[Client, Client], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    mine, theirs = two[0].dict(name), two[1].dict(name)
    await mine.ready()
    await theirs.ready()
    await mine.add("n1", 0)
    await until(lambda: "n1" in theirs)
    heard: list[Any] = []
    stop = two[1].on_rejected(heard.append)
    both = mine.change_value_if_unchanged("n1", 1), theirs.change_value_if_unchanged("n1", 2)
    settled = await asyncio.gather(*both, return_exceptions=True)
    (error,) = [it for it in settled if isinstance(it, Exception)]
    assert isinstance(error, Rejected)
    assert (error.code, error.topic_name) == ("stale", name)
    assert "changed" in error.reason
    await until(lambda: mine.value == theirs.value)
    assert len(heard) == isinstance(settled[1], Rejected)
    stop()
    # One that nobody awaits or listens to is logged, and harms nothing.
    with caplog.at_level(logging.WARNING, "topicsync_client"):
        mine.change_value_if_unchanged("n1", 3)
        theirs.change_value_if_unchanged("n1", 4)
        await two[0].settled()
        await two[1].settled()
    assert "taken back" in caplog.text
    await until(lambda: mine.value == theirs.value)


async def test_the_plain_write_wins(two: tuple[Client, Client], name: str) -> None:
    mine, theirs = two[0].dict(name), two[1].dict(name)
    await mine.ready()
    await theirs.ready()
    await mine.add("n1", 0)
    await until(lambda: "n1" in theirs)
    await asyncio.gather(mine.change_value("n1", 1), theirs.change_value("n1", 2))
    await until(lambda: mine.value == theirs.value)


async def test_what_does_not_fit_is_refused_here(two: tuple[Client, Client], name: str) -> None:
    nodes = two[0].dict(name)
    with pytest.raises(Invalid, match="not there"):
        nodes.remove("n1")
    with pytest.raises(Invalid, match="beyond"):
        nodes.add("n1", 2**53)
    with pytest.raises(Invalid, match="not finite"):
        nodes["n1"] = float("nan")
    with pytest.raises(Invalid, match="no option"):
        two[0].dict("another", histroy=False)
    with pytest.raises(Invalid, match="name"):
        two[0].dict("")
    with pytest.raises(Invalid, match="control"):
        two[0].dict("a\nb")
    with pytest.raises(SubscribeError, match="wrong_type"):
        two[0].list(name)
    assert (nodes.value, nodes.pending) == ({}, 0)


async def test_another_type_on_the_server_is_told(two: tuple[Client, Client], name: str) -> None:
    await two[0].int(name).ready()
    with pytest.raises(SubscribeError, match="wrong_type"):
        await two[1].list(name).ready()


async def test_an_action_is_whole_or_not_at_all(two: tuple[Client, Client], name: str) -> None:
    nodes, edges = two[0].dict(f"{name}/nodes"), two[0].list(f"{name}/edges")
    seen: list[Change] = []
    edges.on_change(seen.append)
    await nodes.ready()
    await edges.ready()
    seen.clear()
    with two[0].action() as ticket:
        nodes["n1"] = {}
        edges.append(["n1", "n1"])
        assert len(edges) == 1
        assert seen == []
        with pytest.raises(RuntimeError, match="behind"):
            await ticket
    await ticket
    assert len(seen) == 1
    action = two[0].action()

    def fail() -> None:
        with action:
            edges.clear()
            assert edges.value == []
            del nodes["n2"]

    with pytest.raises(KeyError):
        fail()
    assert (edges.value, two[0].pending) == ([["n1", "n1"]], 0)
    with pytest.raises(Rejected, match="rolled_back"):
        await action.ticket

    def within() -> None:
        nodes["n2"] = 2
        with two[0].action():
            assert nodes["n2"] == 2
            nodes["n3"] = 3

    await two[0].action(within)
    history = await two[0].history(f"{name}/nodes")
    assert [entry.version for entry in history] == [1, 2, 3]
    assert history[1].action_id == history[2].action_id != history[0].action_id
    with two[0].action() as ticket:
        pass
    assert await ticket is None


async def test_an_action_is_of_its_task_and_block(two: tuple[Client, Client], name: str) -> None:
    count = two[0].int(name)
    await count.ready()

    async def add() -> None:
        await count.add(1)

    before = asyncio.ensure_future(add())
    with two[0].action() as ticket:
        count.add(10)
        count.add(20)
        await before
        behind = asyncio.ensure_future(add())
    await ticket
    await behind
    entries = await two[0].history(name)
    assert [(entry.change["value"], bool(entry.action_id)) for entry in entries] == [
        (1, False),
        (10, True),
        (20, True),
        (1, False),
    ]


async def test_a_list_feels_like_a_list(two: tuple[Client, Client], name: str) -> None:
    items, theirs = two[0].list(name), two[1].list(name)
    await items.ready()
    await theirs.ready()
    plain: list[Any] = []
    both: list[Any] = [items, plain]
    for it in both:
        it.append("a")
        it.insert(0, 1)
        it.extend(["b", "c", "d"])
        it[1] = "A"
        del it[0]
        it += ["e"]
        it.remove("b")
        it[1:3] = ["x", "y", "z"]
        del it[:1]
    assert items.value == plain == list(items) == theirs_value(items)
    assert (items[0], items[-1], items[1:3]) == (plain[0], plain[-1], plain[1:3])
    assert items.index("z") == plain.index("z")
    assert "y" in items
    assert object() not in items
    assert items.pop() == plain.pop()
    assert items.pop(0) == plain.pop(0)
    assert items == plain != [*plain, 1]
    await items.move(0, 1)
    assert items.value == plain[::-1]
    wrongs: list[Callable[[], object]] = [lambda: items[7], lambda: items.pop(7)]
    for wrong in wrongs:
        with pytest.raises(IndexError):
            wrong()
    with pytest.raises(ValueError, match="not in the list"):
        items.remove("nobody")
    await two[0].settled()
    await until(lambda: theirs.value == items.value)
    await items.clear()
    with pytest.raises(IndexError):
        items.pop()


def theirs_value(topic: Any) -> Any:
    return [*topic]


async def test_a_dict_feels_like_a_dict(two: tuple[Client, Client], name: str) -> None:
    nodes = two[0].dict(name)
    await nodes.ready()
    plain: dict[str, Any] = {}
    for it in (nodes, plain):
        it["b"] = 1
        it["a"] = {"x": 1}
        it["b"] = 2
        it.update({"c": 3, "d": 4}, e=5)
        del it["c"]
        assert it.pop("d") == 4
        assert it.pop("d", None) is None
        assert it.setdefault("e", 6) == 5
        assert it.get("nothing", 7) == 7
        with pytest.raises(KeyError):
            del it["nothing"]
        with pytest.raises(KeyError):
            it["nothing"]
    assert nodes.value == plain
    assert list(nodes) == sorted(plain)
    assert dict(nodes.items()) == plain
    assert (len(nodes), "a" in nodes, "z" in nodes) == (3, True, False)
    with pytest.raises(TypeError, match="cannot be changed in place"):
        nodes["a"]["x"] = 2
    nodes.clear()
    await two[0].settled()
    assert nodes.confirmed == {}


async def test_a_set_feels_like_a_set(two: tuple[Client, Client], name: str) -> None:
    tags = two[0].set(name)
    await tags.ready()
    plain: set[Any] = set()
    for it in (tags, plain):
        for item in ("b", "a", "b", 1):
            it.add(item)
        it.discard("b")
        it.discard("b")
        it.remove(1)
        with pytest.raises(KeyError):
            it.remove(1)
    assert set(tags) == plain
    assert (len(tags), "a" in tags, tags | {"z"}) == (1, True, {"a", "z"})
    await tags.append([1])
    with pytest.raises(Invalid, match="already"):
        tags.append([1.0])
    assert True not in tags
    assert tags.value == ["a", [1]]


async def test_a_text_feels_like_a_str(two: tuple[Client, Client], name: str) -> None:
    text, theirs = two[0].string(name), two[1].string(name)
    await text.ready()
    await theirs.ready()
    text += "a😀b"
    text[1] = "xyz"
    text[-1:] = "!"
    del text[0]
    text.insert(1, "é")
    text.edit([1, {"d": 1}, 1, "𝄞"])
    assert str(text) == "xy𝄞z!"
    assert (text[2], text[-1], text[1:3], text[::-1], len(text)) == ("𝄞", "!", "y𝄞", "!z𝄞yx", 5)
    assert "𝄞z" in text
    assert list(text) == list("xy𝄞z!")
    assert text == "xy𝄞z!" != theirs
    with pytest.raises(Invalid, match="out of bounds"):
        text.delete(3, 9)
    await until(lambda: str(theirs) == str(text))


async def test_numbers_registers_and_events(two: tuple[Client, Client], name: str) -> None:
    one, other = two
    count, mean = one.int(f"{name}/count"), one.float(f"{name}/mean")
    flag, any_value = one.bool(f"{name}/flag"), one.generic(f"{name}/any")
    bell, theirs = one.event(f"{name}/bell"), other.event(f"{name}/bell")
    for topic in (count, mean, flag, any_value, bell, theirs):
        await topic.ready()
    rung = theirs.changes()
    count += 5
    count -= 2
    count.add(1)
    mean.set(0.5)
    mean += 1
    await flag.set(True)
    await any_value.set({"a": [1]})
    await bell.emit({"by": "ada"})
    assert (int(count), float(mean), bool(flag), any_value.value) == (4, 1.5, True, {"a": [1]})
    change = await anext(rung)
    assert isinstance(change, Emitted)
    assert change.args == {"by": "ada"}
    wrong: list[Callable[[], object]] = [
        lambda: count.set(True),
        lambda: count.set(0.5),
        lambda: flag.set(1),
    ]
    for change_wrongly in wrong:
        with pytest.raises(Invalid):
            change_wrongly()
    await one.settled()


async def test_changes_are_fine_grained_and_tell_whose_they_are(
    two: tuple[Client, Client], name: str
) -> None:
    topics = [client.list(name) for client in two]
    text = two[0].string(f"{name}/text")
    for topic in (*topics, text):
        await topic.ready()
    seen: list[Change] = []
    stop = topics[0].on_change(seen.append)
    topics[0].on_change(lambda _: 1 / 0)
    await topics[0].append("mine")
    await until(lambda: len(topics[1]) == 1)
    await topics[1].insert(0, "theirs")
    await until(lambda: len(topics[0]) == 2)
    stop()
    topics[0].append("unheard")
    first, second = seen
    assert isinstance(first, Inserted)
    assert isinstance(second, Inserted)
    assert (first.position, first.item, first.local, first.author) == (0, "mine", True, None)
    assert (second.item, second.local, second.author) == ("theirs", False, two[1].id)
    edits = text.changes()
    text.insert(0, "abc")
    text[1:2] = "X"
    change = await anext(edits)
    assert isinstance(change, Edited)
    change = await anext(edits)
    assert isinstance(change, Edited)
    assert change.splices == (Splice(1, "b", ""), Splice(1, "", "X"))
    assert change.topic_name == f"{name}/text"


async def test_iterating_changes_ends_with_its_topic(server: Server, name: str) -> None:
    async with topicsync_client.connect(server.url) as client:
        count, other = client.int(name), client.int(f"{name}/other")
        await count.ready()
        await other.ready()
        told, of_client = count.changes(), other.changes()
        count.add(1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(of_client), 0.01)
        count.unsubscribe()
        assert [change.value async for change in told if isinstance(change, ValueSet)] == [1]
        with pytest.raises(ClientClosed):
            count.add(1)
    assert [change async for change in of_client] == []


async def test_a_client_that_gives_up_waiting_loses_no_change(
    two: tuple[Client, Client], name: str
) -> None:
    count = two[0].int(name)
    await count.ready()
    told = count.changes()
    waiting = asyncio.ensure_future(anext(told))
    await asyncio.sleep(0)
    count.add(1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    change = await asyncio.wait_for(anext(told), 1)
    assert isinstance(change, ValueSet)
    assert change.value == 1


async def test_what_is_made_before_the_connection_is_sent_with_it(
    server: Server, name: str
) -> None:
    client = topicsync_client.connect(server.url)
    assert client.status is Status.CONNECTING
    nodes = client.dict(name)
    ticket = nodes.add("n1", 1)
    assert nodes["n1"] == 1
    await ticket
    seen: list[Status] = []
    client.on_status(seen.append)
    await client.close()
    assert seen == [client.status] == [Status.CLOSED]
    with pytest.raises(ClientClosed):
        await nodes.add("n2", 1)
    with pytest.raises(ClientClosed):
        await client.request("anything")
    with pytest.raises(ClientClosed):
        await client.online()


async def test_a_cut_connection_costs_nothing(server: Server, name: str) -> None:
    async with (
        Relay(server.port) as relay,
        topicsync_client.connect(relay.url, retry_min=0.01, retry_max=0.05) as client,
        topicsync_client.connect(server.url) as other,
    ):
        items, theirs = client.list(name), other.list(name)
        seen: list[Status] = []
        client.on_status(seen.append)
        await items.ready()
        await theirs.ready()
        id = client.id
        relay.refuses = True
        in_flight = items.append(1)
        await asyncio.sleep(0)
        relay.cut()
        await until(lambda: client.status is Status.OFFLINE)
        offline = [items.insert(0, number) for number in (2, 3)]
        assert items[:2] == [3, 2]
        await theirs.append("other")
        relay.refuses = False
        await asyncio.gather(in_flight, *offline)
        assert client.id == id
        await until(lambda: items.value == theirs.value)
        assert sorted(map(str, items)) == ["1", "2", "3", "other"]
        history = await other.history(name)
        assert len(history) == 4
        assert seen.count(Status.ONLINE) == 2
        assert Status.OFFLINE in seen


async def test_a_server_that_restarts_finds_its_clients_again(own_server: Server) -> None:
    async with topicsync_client.connect(own_server.url, retry_min=0.01, retry_max=0.05) as client:
        nodes = client.dict("nodes")
        await nodes.add("n1", 1)
        id = client.id
        own_server.stop()
        await until(lambda: client.status is not Status.ONLINE)
        ticket = nodes.add("n2", 2)
        own_server.start()
        await ticket
        assert nodes.confirmed == {"n1": 1, "n2": 2}
        assert client.id == id
        # What lives in memory alone begins anew, in another epoch.
        memory = client.dict("memory", durability="memory")
        await memory.add("gone", 1)
        own_server.kill()
        own_server.start()
        await until(lambda: memory.value == {})
        assert nodes.value == {"n1": 1, "n2": 2}


async def test_services_both_ways(two: tuple[Client, Client], name: str) -> None:
    provider, asker = two

    @provider.service(f"{name}/square")
    def square(request: topicsync_client.Request) -> Any:
        assert request.client_id == asker.id
        return request.args["x"] ** 2

    async def slow(request: topicsync_client.Request) -> Any:
        await asyncio.sleep(0.01)
        if request.args is None:
            raise ServiceError("nothing to do")
        return request.args

    await provider.register(f"{name}/slow", slow)
    assert await asker.request(f"{name}/square", {"x": 7}) == 49
    assert await asker.request(f"{name}/slow", [1, "é"]) == [1, "é"]
    with pytest.raises(ServiceError, match="nothing to do"):
        await asker.request(f"{name}/slow")
    with pytest.raises(ServiceError, match="KeyError") as failed:
        await asker.request(f"{name}/square", {})
    assert failed.value.code == "failed"
    with pytest.raises(ServiceError, match="service_taken"):
        await asker.register(f"{name}/slow", slow)
    provider.unregister(f"{name}/slow")
    await provider.settled()
    with pytest.raises(ServiceError, match="no_such_service"):
        await asker.request(f"{name}/slow")
    with pytest.raises(Invalid):
        await asker.request(f"{name}/square", {"x": 2**60})


async def test_presence_comes_and_goes_with_its_session(server: Server, name: str) -> None:
    async with topicsync_client.connect(server.url) as client:
        cursors = client.presence(name)
        cursors.set({"x": 1})
        await cursors.ready()
        async with topicsync_client.connect(server.url) as other:
            theirs = other.presence(name)
            told = theirs.changes()
            theirs.set({"x": 2})
            await until(lambda: len(cursors.others) == len(theirs.others) == 1)
            assert client.id is not None
            assert theirs.others == {client.id: {"x": 1}}
            assert len(theirs.all) == 2
            cursors.set({"x": 3})
            await until(lambda: theirs.others == {client.id: {"x": 3}})
            cursors.remove()
            await until(lambda: theirs.others == {})
            kinds = [type(await anext(told)) for _ in range(4)]
            assert kinds == [ValueSet, Added, ValueChanged, Removed]
        await until(lambda: cursors.others == {})


async def test_undo_takes_back_ones_own(two: tuple[Client, Client], name: str) -> None:
    mine, theirs = (client.list(name) for client in two)
    await mine.ready()
    await theirs.ready()
    await mine.append("mine")
    await theirs.append("theirs")
    mine.append("mine too")
    undone = await two[0].undo()
    assert undone.action_id is not None
    assert undone.undone[0]["topic_name"] == name
    await two[0].undo()
    assert mine.value == ["theirs"]
    await two[0].redo()
    assert mine.value == ["mine", "theirs"]
    assert (await two[1].redo()).action_id is None


async def test_the_past_can_be_read_and_stepped(two: tuple[Client, Client], name: str) -> None:
    client = two[0]
    nodes = await client.dict(name).ready()
    await nodes.add("a", 1)
    await nodes.change_value("a", 2)
    await nodes.add("b", 3)
    assert (await client.value_at(name, version=2)).value == {"a": 2}
    entries = await client.history(name)
    assert [entry.version for entry in entries] == [1, 2, 3]
    assert entries[1].author == client.id
    assert entries[1].change["type"] == "change_value"
    assert [it.version for it in await client.history(name, start=2, limit=1)] == [2]
    cut = await client.cut(commit=entries[0].commit, prefix=name)
    assert cut.topics[name].value == {"a": 1}
    assert (cut.topics[name].type, cut.topics[name].version) == ("dict", 1)
    by_name = await client.cut(time=entries[2].time, topic_names=[name])
    assert by_name.topics.keys() == {name}
    past = await client.subscribe_at(name, commit=entries[0].commit)
    assert (past.version, past.value) == (1, {"a": 1})
    assert (await past.step(2)).value == nodes.value
    assert (await past.step(-1)).value == {"a": 2}
    entry = await past.entry()
    assert entry is not None
    assert entry.version == 2
    assert await (await past.go_to(version=0)).entry() is None
    await past.go_to(time=entry.time)
    with pytest.raises(ServiceError, match="invalid"):
        await past.go_to(version=99)
    assert past.version >= 2
    with pytest.raises(ValueError, match="one of"):
        await client.value_at(name, version=1, commit=1)


async def test_what_nests_as_deep_as_can_be_is_in_the_past_too(
    two: tuple[Client, Client], name: str
) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    register = await two[0].generic(name).ready()
    await register.set(deep)
    assert (await two[0].value_at(name, version=1)).value == deep
    (entry,) = await two[1].history(name)
    assert entry.change["value"] == deep
    cut = await two[1].cut(commit=entry.commit, topic_names=[name])
    assert cut.topics[name].value == deep


async def test_a_type_that_the_server_does_not_know_is_told(
    two: tuple[Client, Client], name: str
) -> None:
    class Strange(Generic):
        name = "strange"

    topic = two[0].topic(name, Strange())
    ticket = topic.change({"type": "set", "value": 1})
    assert topic.value == 1
    with pytest.raises(SubscribeError):
        await topic.ready()
    with pytest.raises(Rejected):
        await ticket


async def test_what_is_too_large_is_refused_and_the_rest_goes_on(
    two: tuple[Client, Client], name: str
) -> None:
    nodes = two[0].dict(name)
    await nodes.ready()
    with pytest.raises(Rejected, match="too_large"):
        await nodes.add("large", "x" * (5 << 20))
    await nodes.add("small", 1)
    assert nodes.value == {"small": 1}
    with pytest.raises(ServiceError, match="bytes"):
        await two[0].request("anything", "x" * (5 << 20))


async def test_many_changes_go_out_in_few_messages(two: tuple[Client, Client], name: str) -> None:
    items, theirs = two[0].list(name), two[1].list(name)
    await items.ready()
    await theirs.ready()
    for number in range(3000):
        items.append(number)
    await two[0].settled()
    await until(lambda: len(theirs) == 3000)
    assert theirs.value == list(range(3000))


async def test_a_topic_may_deliver_only_the_latest(two: tuple[Client, Client], name: str) -> None:
    mine, theirs = (client.float(name, delivery="latest") for client in two)
    await mine.ready()
    await theirs.ready()
    for number in range(50):
        mine.set(number)
        await asyncio.sleep(0.002)
    await two[0].settled()
    await until(lambda: theirs.value == 49)


async def test_a_wrong_url_is_told() -> None:
    with pytest.raises(Invalid, match="ws://"):
        topicsync_client.connect("http://nowhere")
