"""Topics are used as the containers, texts and numbers that they hold."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, MutableMapping, MutableSequence, MutableSet
from typing import Any

import pytest
from conftest import Server
from hypothesis import given, settings
from hypothesis import strategies as st

import topicsync_client
from topicsync_client import Change, ChangesLost, Emitted, Invalid, Origin, ValueSet
from topicsync_client.core import Core
from topicsync_client.topics import (
    BoolTopic,
    DictTopic,
    FloatTopic,
    IntTopic,
    ListTopic,
    SetTopic,
    StringTopic,
    Topic,
)
from topicsync_client.types import BUILT_IN


def local(handle: type[Any], kind: str, value: Any = None) -> Any:
    """A topic of a client that has no connection: what is seen at once."""
    core = Core()
    core.subscribe("t", BUILT_IN[kind], {})
    topic = handle(core, "t", BUILT_IN[kind])
    if value is not None:
        topic.set(value)
    return topic


def test_topics_are_what_containers_are_asked_for() -> None:
    assert isinstance(local(ListTopic, "list"), MutableSequence)
    assert isinstance(local(DictTopic, "dict"), MutableMapping)
    assert isinstance(local(SetTopic, "set"), MutableSet)


# Each is done to a list topic and to a list, and must come out the same, errors too.
list_steps = st.one_of(
    st.tuples(st.just("insert"), st.integers(-6, 6), st.integers(0, 9)),
    st.tuples(st.just("append"), st.integers(0, 9)),
    st.tuples(st.just("extend"), st.lists(st.integers(0, 9), max_size=3)),
    st.tuples(st.just("pop"), st.integers(-6, 6)),
    st.tuples(st.just("pop")),
    st.tuples(st.just("remove"), st.integers(0, 9)),
    st.tuples(st.just("reverse")),
    st.tuples(st.just("clear")),
    st.tuples(st.just("index"), st.integers(0, 9)),
    st.tuples(st.just("count"), st.integers(0, 9)),
    st.tuples(st.just("__getitem__"), st.integers(-6, 6)),
    st.tuples(st.just("__setitem__"), st.integers(-6, 6), st.integers(0, 9)),
    st.tuples(st.just("__delitem__"), st.integers(-6, 6)),
    st.tuples(st.just("__getitem__"), st.slices(5)),
    st.tuples(st.just("__setitem__"), st.slices(5), st.lists(st.integers(0, 9), max_size=3)),
    st.tuples(st.just("__delitem__"), st.slices(5)),
    st.tuples(st.just("__iadd__"), st.lists(st.integers(0, 9), max_size=3)),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 9), max_size=5), st.lists(list_steps, max_size=6))
def test_a_list_topic_does_as_a_list(start: list[int], steps: list[Any]) -> None:
    topic, plain = local(ListTopic, "list", start), list(start)
    gives_a_ticket = ("insert", "append", "extend", "remove", "reverse", "clear", "__iadd__")
    for name, *args in steps:
        results = []
        for it in (topic, plain):
            try:
                results.append(getattr(it, name)(*args))
            except (IndexError, ValueError) as error:
                results.append(type(error))
        if name in gives_a_ticket and not isinstance(results[1], type):
            assert not isinstance(results[0], type)
        else:
            assert results[0] == results[1], (name, args)
        assert topic == plain


def test_a_list_can_be_changed_while_it_is_walked() -> None:
    items = local(ListTopic, "list", [1, 2])
    items.extend(items)
    items += items
    assert items == [1, 2] * 4
    with pytest.raises(ValueError, match="do not fit"):
        items[::2] = [1]


def test_an_int_topic_reckons_as_a_number_does() -> None:
    n, other = local(IntTopic, "int", 7), local(IntTopic, "int", 2)
    assert n > 2
    assert 2 < n <= 7
    assert n == 7 == n
    assert n != other
    assert n > other
    assert (n + 1, 1 + n, n - 1, 10 - n, n * 2, 2 * n) == (8, 8, 6, 3, 14, 14)
    assert (n / 2, 14 / n, n // 2, 15 // n, n % 4, 15 % n) == (3.5, 2.0, 3, 2, 3, 1)
    assert (n**2, 2**n, divmod(n, 2), divmod(15, n)) == (49, 128, (3, 1), (2, 1))
    assert (n + other, -n, +n, abs(-n), round(n), math.floor(n)) == (9, -7, 7, 7, 7, 7)
    assert (f"{n}", f"{n:04}", str(n), "%d" % n) == ("7", "0007", "7", "7")  # noqa: UP031
    assert ([*range(n)][-1], "abcdefgh"[n], bool(n), complex(n)) == (6, "h", True, 7 + 0j)
    assert sum([n, n]) == 14
    assert max(n, other) is n
    with pytest.raises(TypeError):
        n + "1"
    with pytest.raises(TypeError):
        n < "1"  # noqa: B015
    assert n != "7"
    n += 1
    n -= 3
    assert isinstance(n, IntTopic)
    assert n == 5


def test_other_topics_do_too() -> None:
    x = local(FloatTopic, "float", 2.5)
    assert (x > 2, x * 2, f"{x:.2f}", round(x), x == 2.5) == (True, 5.0, "2.50", 2, True)
    assert (math.ceil(x), math.trunc(x)) == (3, 2)
    flag = local(BoolTopic, "bool", True)
    assert (flag == True, flag != False, str(flag), bool(flag)) == (True, True, "True", True)  # noqa: E712
    assert flag != 1
    text = local(StringTopic, "string", "fox")
    assert (text + "es", "the " + text, f"{text:>5}") == ("foxes", "the fox", "  fox")
    assert ("a" < text < "z", text >= "fox", "ox" in text) == (True, True, True)
    assert 1 not in text
    with pytest.raises(TypeError):
        text + 1


def test_put_is_the_upsert_of_a_dict() -> None:
    nodes = local(DictTopic, "dict")
    for value in (1, 2):
        nodes.put("a", value)
        nodes["b"] = value
    assert nodes == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"type": "insert", "position": 99, "item": 1},
            "position 99 is out of bounds, the length is 0, an insert may go from 0 to 0",
        ),
        ({"type": "pop", "position": 0}, "position 0 is out of bounds, the length is 0"),
        ({"type": "pop", "position": -1}, "position -1 is out of bounds, the length is 0"),
        (
            {"type": "replace", "position": 3, "item": 1},
            "position 3 is out of bounds, the length is 0",
        ),
        ({"type": "move", "from": 0, "to": 0}, "position 0 is out of bounds, the length is 0"),
    ],
)
def test_a_position_that_is_not_there_is_told_with_the_length(change: Any, why: str) -> None:
    with pytest.raises(Invalid) as invalid:
        local(Topic, "list").change(change)
    assert str(invalid.value) == why


# Callbacks and iterating.


async def test_callbacks_hear_of_a_change_after_the_call(server: Server, name: str) -> None:
    async with topicsync_client.connect(server.url) as client:
        items = await client.list(name).ready()
        cursors = await client.presence(f"{name}/cursors").ready()
        within: list[bool] = []
        calling = False

        def note(_: Change) -> None:
            within.append(calling)

        items.on_change(note)
        cursors.on_change(note)
        edits: list[Callable[[], object]] = [
            lambda: items.append(1),
            lambda: cursors.set({"x": 1}),
            lambda: items.extend([2, 3]),
        ]
        for edit in edits:
            calling = True
            edit()
            calling = False
        await client.settled()
        assert within == [False] * 4


async def test_a_callback_hears_only_what_happens_while_it_listens(
    server: Server, name: str
) -> None:
    async with topicsync_client.connect(server.url) as client:
        count = await client.int(name).ready()
        first: list[Any] = []
        second: list[Any] = []
        stop = count.on_change(first.append)
        count.add(1)
        count.on_change(second.append)
        count.add(1)
        stop()
        await client.settled()
        assert (len(first), len(second)) == (0, 1)


async def test_what_is_not_taken_becomes_one_move(server: Server, name: str) -> None:
    async with topicsync_client.connect(server.url) as client:
        count = await client.int(name).ready()
        changes = count.changes(limit=3)
        for _ in range(10):
            count.add(1)
            await asyncio.sleep(0)
        await client.settled()
        told: list[Any] = [await anext(changes)]
        while told[-1].value != 10:
            told.append(await anext(changes))
        assert len(told) <= 3
        assert (told[0].old, told[0].origin) == (0, Origin.SNAPSHOT)
        for before, after in itertools.pairwise(told):
            assert before.value == after.old
        assert all(isinstance(it, ValueSet) for it in told)


async def test_events_that_are_not_taken_are_told_as_lost(server: Server, name: str) -> None:
    async with topicsync_client.connect(server.url) as client:
        bell = await client.event(name).ready()
        changes = bell.changes(limit=3)
        for number in range(10):
            bell.emit({"number": number})
        await client.settled()
        with pytest.raises(ChangesLost, match=f"7 events of topic {name!r}"):
            await anext(changes)
        left = [await anext(changes) for _ in range(3)]
        assert [it.args["number"] for it in left if isinstance(it, Emitted)] == [7, 8, 9]


# What fails and nobody listens for is said once (R44).


async def test_what_nobody_waits_for_is_logged(
    server: Server, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        topicsync_client.connect(server.url) as one,
        topicsync_client.connect(server.url) as other,
    ):
        await one.int(name).ready()
        await one.register(name, lambda _: 1)
        with caplog.at_level(logging.WARNING, "topicsync_client"):
            other.list(name)
            other.register(name, lambda _: 2)
            await other.settled()
            while len(caplog.records) < 2:
                await asyncio.sleep(0.01)
            assert f"'{name}': wrong_type" in caplog.text
            assert "service_taken" in caplog.text
            assert f"service {name!r}" in caplog.text
            caplog.clear()
            with pytest.raises(topicsync_client.SubscribeError):
                await other.dict(name).ready()
            assert caplog.records == []


async def test_a_server_that_is_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "topicsync_client"):
        client = topicsync_client.connect("ws://127.0.0.1:9/", retry_min=0.01, retry_max=0.02)
        await asyncio.sleep(0.2)
        await client.close()
    (record,) = caplog.records
    assert "cannot connect to ws://127.0.0.1:9/" in record.getMessage()


async def test_what_is_no_topic_type_is_refused_at_once(server: Server, name: str) -> None:
    async with topicsync_client.connect(server.url) as client:
        wrong: Any = None
        with pytest.raises(Invalid, match=name):
            client.topic(name, wrong)
        for of_service in (client.register, client.request):
            with pytest.raises(Invalid, match="512"):
                await of_service("x" * 513, wrong)
        with pytest.raises(Invalid, match="surrogates"):
            client.dict("\ud800")
