"""Values, and the structures that hold many of them, compared with plain ones after each step."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from enum import IntEnum
from math import inf, nan
from typing import Any

import msgpack
import pytest
import strategies as some
from hypothesis import given, settings
from hypothesis import strategies as st

from topicsync_client import rope, table
from topicsync_client.errors import Invalid
from topicsync_client.rope import Rope
from topicsync_client.table import Table
from topicsync_client.values import (
    INT_MAX,
    NESTING_MAX,
    FrozenDict,
    FrozenList,
    checked,
    order_of,
    same,
    thawed,
)


def test_numbers_compare_by_value_and_booleans_are_none() -> None:
    assert same(1, 1.0)
    assert same([0, {"a": -0.0}], [0.0, {"a": 0}])
    assert not same(True, 1)
    assert not same(0.0, False)
    assert not same([True], [1])
    assert not same({"a": 1}, {"a": True})
    assert not same({"a": None}, {"b": None})
    assert not same("1", 1)


@given(some.values, some.values)
def test_values_are_the_same_just_if_their_orders_are(a: Any, b: Any) -> None:
    a, b = checked(a), checked(b)
    assert same(a, b) == (order_of(a) == order_of(b))
    assert (order_of(a) < order_of(b)) + (order_of(b) < order_of(a)) + same(a, b) == 1


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (2**53, "whole number"),
        (-(2**53), "whole number"),
        (nan, "not finite"),
        ([1, {"a": -inf}], "not finite"),
        (b"bytes", "not bytes"),
        ({1: 2}, "a key is a string, not int"),
        ({1, 2}, "not set"),
        (object(), "not object"),
        ("\ud83d", "surrogate"),
        ({"\ud83d": 1}, "surrogate"),
    ],
)
def test_what_is_no_value_is_refused(value: Any, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        checked(value)


def test_nesting_has_its_end() -> None:
    deepest: Any = 1
    for _ in range(NESTING_MAX):
        deepest = [deepest]
    assert checked(deepest) == deepest
    with pytest.raises(Invalid, match="100 containers"):
        checked([deepest])


def test_what_is_at_heart_a_value_becomes_one() -> None:
    class Level(IntEnum):
        HIGH = 3

    assert type(checked(Level.HIGH)) is int
    assert checked((1, (2,))) == [1, [2]]
    assert checked(INT_MAX) == INT_MAX


def test_a_frozen_value_looks_like_any_and_cannot_be_changed() -> None:
    plain: Any = {"a": [1, {"b": 2}], "c": "d"}
    frozen = checked(plain)
    assert frozen == plain
    assert json.loads(json.dumps(frozen)) == plain
    assert msgpack.unpackb(msgpack.packb(frozen)) == plain
    assert pickle.loads(pickle.dumps(frozen)) == plain
    changes: list[Callable[[], object]] = [
        lambda: frozen.update(x=1),
        lambda: frozen["a"].append(1),
        lambda: frozen["a"].__setitem__(0, 1),
        lambda: frozen["a"][1].pop("b"),
        lambda: frozen.setdefault("z", 1),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="cannot be changed in place"):
            change()
    for copied in (copy.deepcopy(frozen), thawed(frozen)):
        copied["a"][1]["b"] = 3
        assert type(copied) is dict
    assert frozen == plain
    assert isinstance(frozen, FrozenDict)
    assert isinstance(frozen["a"], FrozenList)


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short inputs fill many chunks."""
    monkeypatch.setattr(rope, "CHUNK", 8)
    monkeypatch.setattr(table, "CHUNK", 4)


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("whole", ["", "abcdefgh😀" * 9, [], list(range(70))])
def test_a_rope_does_as_the_string_or_list_that_it_is(whole: Any) -> None:
    @settings(max_examples=40)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        plain, versions = whole, []
        tree = Rope(plain)
        for _ in range(12):
            start = data.draw(st.integers(0, len(plain)))
            stop = data.draw(st.integers(start, min(len(plain), start + 40)))
            count = data.draw(st.sampled_from([0, 1, 1, 3, 30]))
            piece = "x" * count if isinstance(whole, str) else ["x"] * count
            versions.append((tree, plain))
            tree = tree.splice(start, stop, piece)
            plain = plain[:start] + piece + plain[stop:]
            assert len(tree) == len(plain)
            assert tree.slice(start, len(plain)) == plain[start:]
        for of_version, as_it_was in [*versions, (tree, plain)]:
            assert of_version.whole() == as_it_was
            assert list(of_version) == list(as_it_was)
            assert of_version == Rope(as_it_was)
            assert all(0 < len(chunk) <= rope.CHUNK for chunk in of_version._chunks)

    check()


@pytest.mark.usefixtures("_small_chunks")
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40))))
def test_a_table_does_as_a_dict_and_is_sorted(steps: list[tuple[bool, int]]) -> None:
    tree, versions = Table(), []
    plain: dict[int, str] = {}
    for put, key in steps:
        versions.append((tree, dict(plain)))
        if put:
            tree, plain[key] = tree.put(key, str(key)), str(key)
        elif key in plain:
            tree = tree.without(key)
            del plain[key]
        assert (key in tree) == (key in plain)
        assert tree.get(key) == plain.get(key)
    for of_version, as_it_was in [*versions, (tree, plain)]:
        assert list(of_version.items()) == sorted(as_it_was.items())
        assert len(of_version) == len(as_it_was)
        assert of_version == Table(as_it_was.items())


def test_tables_and_ropes_of_other_values_differ() -> None:
    assert Table([("a", 1)]) == Table([("a", 1.0)])
    assert Table([("a", 1)]) != Table([("a", True)])
    assert Rope([1]) == Rope([1.0])
    assert Rope([1]) != Rope([True])
    assert Rope("a") != Rope("b")
