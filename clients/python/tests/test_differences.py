"""How two values differ (R30), and what becomes of offline edits at a later snapshot (R29)."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_order import online

from topicsync_client.replica import LocalChange, Replica
from topicsync_client.types.alike import Common, in_common, shared_end, shared_start


def window(run: int) -> Any:
    return lambda items, at: items[at : at + run]


@pytest.mark.parametrize(
    ("old", "new", "run", "expected"),
    [
        ("abcdef", "abXef", 3, ["ab", "ef"]),
        ("a1234z", "a-1234-z", 3, ["a", "1234", "z"]),
        ("one two three", "ONE two THREE", 3, [" two "]),
        ("aaaa", "aa", 2, ["aa"]),
        ("", "abc", 2, []),
        ("-11111.22222.33333-", "-22222.33333.11111-", 3, ["-", "22222.33333", "-"]),
    ],
)
def test_ends_are_shared_and_what_stands_once_between_them(
    old: str, new: str, run: int, expected: list[str]
) -> None:
    found = in_common(old, new, run, window(run))
    assert [new[it.new : it.new + it.length] for it in found if it.length] == expected


short = st.text("ab", max_size=40)


@given(short, short, st.integers(1, 3))
def test_what_is_shared_stands_in_both_and_in_one_order(old: str, new: str, run: int) -> None:
    a = b = 0
    found: list[Common] = in_common(old, new, run, window(run))
    for i, j, length in found:
        assert i >= a
        assert j >= b
        assert old[i : i + length] == new[j : j + length]
        a, b = i + length, j + length
    assert (a, b) == (len(old), len(new))


@given(short, short)
def test_how_far_two_are_alike_is_found_as_if_by_looking_at_each(old: str, new: str) -> None:
    count = 0
    while count < min(len(old), len(new)) and old[count] == new[count]:
        count += 1
    assert shared_start(old, new, 0, 0) == count
    assert shared_end(old[::-1], new[::-1], len(old), len(new), 0, 0) == count


def jump(replica: Replica, value: str) -> str:
    """The value as it comes in one snapshot after a long absence; gives the view."""
    replica.disconnected()
    hello = {"type": "hello", "content": {"id": 1, "session": "s", "resumed": True}}
    for _ in range(2):
        replica.receive(hello)
        replica.outbox()
    head = {"topic_name": "t", "type": "string", "epoch": "e", "version": 20_000}
    replica.receive({"type": "subscribed", "content": head})
    snapshot = {"version": 20_000, "snapshot": True, "change": {"type": "set", "value": value}}
    replica.receive({"type": "update", "content": {"topic_name": "t", **snapshot}})
    topic = replica.topic("t")
    assert topic is not None
    return str(topic.view.whole())


def test_r30_words_put_offline_stand_where_they_were_put() -> None:
    """40 edits here and there, while others type more than the log keeps."""
    random = Random(7)
    sentences = [f"Sentence {number} of the text, as it was. " for number in range(400)]
    replica = online("t")
    text = "".join(sentences)
    insert = {"type": "insert", "position": 0, "insertion": text}
    replica.local([LocalChange("t", insert)])
    (message,) = replica.outbox()
    published = {**message["content"], "version": 1, "commit": 1, "author": 1}
    replica.receive({"type": "update", "content": published})
    topic = replica.topic("t")
    assert topic is not None
    replica.disconnected()
    mine = sorted(random.sample(range(400), 40))
    for number in mine:
        at = topic.view.whole().index(f" {number} of") + len(f" {number}")
        change = {"type": "insert", "position": at, "insertion": f"<{number}>"}
        replica.local([LocalChange("t", change)])
    # Meanwhile others write new sentences, change some and take some out.
    theirs = []
    for number, sentence in enumerate(sentences):
        if number not in mine and random.random() < 0.2:
            sentence = "" if random.random() < 0.3 else sentence.replace("as it was", "changed")
        theirs.append(sentence)
        if random.random() < 0.3:
            theirs.append(f"A new one, {random.random()}. ")
    view = jump(replica, "".join(theirs))
    for number in mine:
        assert f"Sentence {number}<{number}> of the text" in view
    (message,) = [it for it in replica.outbox() if it["type"] == "update"]
    assert message["content"]["change"]["type"] == "edit"
