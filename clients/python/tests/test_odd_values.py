"""Any value that the server takes passes: written, published, as a snapshot, and written back."""

from __future__ import annotations

import asyncio
import sys
from math import copysign
from typing import Any

import pytest
from conftest import Server

import topicsync_client
from topicsync_client import Invalid
from topicsync_client.values import INT_MAX, same


def nested(levels: int, leaf: Any) -> Any:
    value = leaf
    for level in range(levels):
        value = [value] if level % 2 else {"": value}
    return value


NUMBERS: dict[str, Any] = {
    "zero": 0,
    "minus zero": -0.0,
    "one as a float": 1.0,
    "largest int": INT_MAX,
    "smallest int": -INT_MAX,
    "largest int as a float": float(INT_MAX),
    "2^53": 2.0**53,
    "-2^53": -(2.0**53),
    "2^53 + 2": 2.0**53 + 2,
    "1e16": 1e16,
    "2^63": 2.0**63,
    "-2^63": -(2.0**63),
    "2^64": 2.0**64,
    "-2^64": -(2.0**64),
    "1e21": 1e21,
    "largest": sys.float_info.max,
    "smallest": -sys.float_info.max,
    "least normal": sys.float_info.min,
    "least of all": 5e-324,
    "exponent": 1.5e-7,
    "tenth": 0.1,
    "sum": 0.1 + 0.2,
    "long": 123456789.12345679,
    "int8": -128,
    "uint8": 255,
    "int16": -32768,
    "uint16": 65535,
    "int32": -(2**31),
    "uint32": 2**32 - 1,
    "uint32 + 1": 2**32,
}
KEYS = [
    "",
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "__class__",
    "0",
    "-1",
    "01",
    "1e3",
    "9007199254740993",
    " ",
    "\x00",
    "\x1f",
    "\x7f",
    "\u2028",
    "\ufeff",
    "a\nb",
    '"',
    "\\",
    "type",
    "id",
    "base",
    "ключ",
    "😀",
    "e\u0301",
    "é",
    "d",
    "x" * 2000,
]
TEXTS = [
    "".join(map(chr, range(32))),
    "\x01null",
    "\x011234567890123456",
    "1234567890123456",
    "\ud7ff\ue000\uffff\U0010ffff",
    "\r\n",
    "NaN",
    "</script>",
]
ODD: dict[str, Any] = {
    **NUMBERS,
    "keys": {key: {key: [key]} for key in KEYS},
    "texts": TEXTS,
    "deepest list": nested(100, 1),
    "empty": [{}, [], "", None, False],
}


@pytest.fixture(params=["json", "msgpack"])
def encoding(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["json", "msgpack"])
def other_encoding(request: pytest.FixtureRequest) -> Any:
    return request.param


def identical(a: Any, b: Any) -> bool:
    """Equal on the wire, and to the last bit."""
    if isinstance(a, float) and isinstance(b, (int, float)):
        return a == b and (a != 0 or copysign(1, a) == copysign(1, b) or isinstance(b, int))
    return same(a, b)


async def test_odd_values_pass_live_and_in_snapshots_and_back(
    server: Server, name: str, encoding: Any, other_encoding: Any
) -> None:
    """One writes, the other hears it, writes it back, and a third gets it as a snapshot."""
    async with (
        topicsync_client.connect(server.url, encoding=encoding) as one,
        topicsync_client.connect(server.url, encoding=other_encoding) as other,
    ):
        mine = await one.generic(name).ready()
        theirs, back = other.generic(name), other.dict(f"{name}/back")
        await asyncio.gather(theirs.ready(), back.ready())
        told = theirs.changes()
        for about, value in ODD.items():
            ticket = mine.set(value)
            heard: Any = await anext(told)
            await ticket
            assert identical(value, heard.value), about
            assert identical(value, mine.value), about
            # Within a dict it stands one deeper.
            if about != "deepest list":
                await back.put(about, heard.value)
        async with topicsync_client.connect(server.url, encoding=encoding) as third:
            snapshot = await third.dict(f"{name}/back").ready()
            for about, value in ODD.items():
                if about != "deepest list":
                    assert identical(value, snapshot[about]), about
            everything = await third.generic(name).ready()
            assert same(everything.value, mine.value)
            await everything.set(ODD["deepest list"])
        assert (await one.value_at(name, version=mine.version)).value == mine.value


async def test_odd_keys_names_and_items_pass(
    server: Server, name: str, encoding: Any, other_encoding: Any
) -> None:
    async with (
        topicsync_client.connect(server.url, encoding=encoding) as one,
        topicsync_client.connect(server.url, encoding=other_encoding) as other,
    ):
        mine, tags = one.dict(name), one.set(f"{name}/set")
        bell = one.event(f"{name}/event")
        await asyncio.gather(*(it.ready() for it in (mine, tags, bell)))
        theirs, their_tags = other.dict(name), other.set(f"{name}/set")
        their_bell = other.event(f"{name}/event")
        await asyncio.gather(*(it.ready() for it in (theirs, their_tags, their_bell)))
        rung = their_bell.changes()
        for key in KEYS:
            mine[key] = {key: 1}
            tags.add(key)
        for number in NUMBERS.values():
            tags.discard(number)
            tags.add(number)
        await bell.emit({key: key for key in KEYS})
        heard: Any = await anext(rung)
        assert heard.args == {key: key for key in KEYS}
        await one.settled()
        while len(theirs) < len(mine) or len(their_tags) < len(tags):
            await asyncio.sleep(0.01)
        assert theirs.value == {key: {key: 1} for key in KEYS}
        assert same(their_tags.value, tags.value)
        for key in KEYS:
            del theirs[key]
            their_tags.discard(key)
        await other.settled()
        for key in ("__proto__", "constructor", "0", "\u2028", "ключ/😀", "e\u0301"):
            await other.int(f"{name}/{key}").add(1)


async def test_long_texts_pass(
    server: Server, name: str, encoding: Any, other_encoding: Any
) -> None:
    """Of 4 MB, less what surrounds them in a message."""
    async with (
        topicsync_client.connect(server.url, encoding=encoding) as one,
        topicsync_client.connect(server.url, encoding=other_encoding) as other,
    ):
        long = "é" * ((4 << 20) // 2 - 500)
        mine = await one.string(name).ready()
        theirs = await other.string(name).ready()
        await mine.set(long)
        while len(theirs) < len(long):
            await asyncio.sleep(0.01)
        await theirs.append(long)
        async with topicsync_client.connect(server.url, encoding=encoding) as third:
            assert str(await third.string(name).ready()) == 2 * long


async def test_odd_numbers_pass_in_number_topics(
    server: Server, name: str, encoding: Any, other_encoding: Any
) -> None:
    async with (
        topicsync_client.connect(server.url, encoding=encoding) as one,
        topicsync_client.connect(server.url, encoding=other_encoding) as other,
    ):
        mine = await one.float(name).ready()
        theirs = await other.float(name).ready()
        told = theirs.changes()
        for about, number in NUMBERS.items():
            ticket = mine.set(number)
            heard: Any = await anext(told)
            await ticket
            assert identical(float(number), heard.value), about
            assert isinstance(heard.value, float), about
            assert isinstance(mine.value, float), about


def test_what_the_server_refuses_is_refused_here() -> None:
    from test_containers import local

    register = local(topicsync_client.GenericTopic, "generic")
    refused = [INT_MAX + 1, -INT_MAX - 1, 2**64, float("inf"), float("nan"), nested(101, 1), {1: 1}]
    for value in refused:
        with pytest.raises(Invalid):
            register.set(value)
