"""What typing offline and hearing of others cost, in steps of edits that were gone through."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from test_order import online

from topicsync_client.replica import LocalChange, Message, Replica
from topicsync_client.replica.events import Changed
from topicsync_client.types import edit as edits


class Work:
    """Counts the steps of the edits that are composed and rebased."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0
        for name in ("compose", "rebase"):
            monkeypatch.setattr(edits, name, self.counting(getattr(edits, name)))

    def counting(self, work: Any) -> Any:
        def counted(first: edits.Edit, second: edits.Edit) -> Any:
            self.steps += len(first) + len(second)
            return work(first, second)

        return counted


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


def published(version: int, change: dict[str, Any], author: int = 2) -> Message:
    content = {"topic_name": "t", "version": version, "commit": version, "author": author}
    return {"type": "update", "content": {**content, "change": change}}


def type_at_random(replica: Replica, count: int) -> None:
    random = Random(1)
    topic = replica.topic("t")
    assert topic is not None
    for _ in range(count):
        position = random.randint(0, len(topic.view))
        insert = {"type": "insert", "position": position, "insertion": random.choice("abc")}
        delete = {"type": "delete", "position": position, "length": 1}
        fits = position < len(topic.view) and random.random() < 0.3
        replica.local([LocalChange("t", delete if fits else insert)])


def test_r46_a_keystroke_offline_costs_the_same_however_much_was_typed(work: Work) -> None:
    costs = []
    for count in (1000, 4000, 16_000):
        work.steps = 0
        replica = online("t")
        type_at_random(replica, count)
        (message,) = replica.outbox()
        assert message["type"] == "update"
        costs.append(work.steps / count)
    # It grows with the logarithm of what was typed, and no more.
    assert costs[2] < 2 * costs[0]


def test_r46_what_is_composed_in_parts_is_what_was_typed() -> None:
    replica = online("t")
    type_at_random(replica, 500)
    topic = replica.topic("t")
    assert topic is not None
    (pending,) = topic.pending
    view = topic.view.whole()
    assert topic.kind.apply(topic.confirmed, pending.form).whole() == view
    (message,) = replica.outbox()
    replica.receive(published(1, message["content"]["change"], author=1))
    assert topic.confirmed.whole() == view
    assert topic.pending == []


def test_r46_what_takes_itself_back_is_not_sent() -> None:
    replica = online("t")
    for _ in range(200):
        replica.local([LocalChange("t", {"type": "insert", "position": 0, "insertion": "a"})])
    for _ in range(200):
        replica.local([LocalChange("t", {"type": "delete", "position": 0, "length": 1})])
    assert replica.outbox() == []
    assert replica.pending_count == 0


def test_r47_hearing_of_others_costs_the_sum_and_not_the_product(work: Work) -> None:
    costs = []
    for count in (500, 2000):
        replica = online("t")
        type_at_random(replica, count)
        heard = [
            published(version, {"type": "insert", "position": 0, "insertion": "x"})
            for version in range(1, count + 1)
        ]
        work.steps = 0
        replica.receive_frame(heard)
        costs.append(work.steps / count)
    assert costs[1] < 2 * costs[0]


def test_r47_a_run_of_others_changes_is_told_once() -> None:
    random = Random(3)
    one, other = online("t"), online("t")
    for replica in (one, other):
        replica.local([LocalChange("t", {"type": "insert", "position": 0, "insertion": "mine"})])
    length, messages = 0, []
    for version in range(1, 41):
        at = random.randint(0, length)
        change: dict[str, Any] = {"type": "insert", "position": at, "insertion": "xy"}
        length += 2
        messages.append(published(version, change))
    one.receive_frame(messages)
    for message in messages:
        other.receive(message)
    views = [replica.topic("t") for replica in (one, other)]
    assert views[0] is not None
    assert views[1] is not None
    assert views[0].version == views[1].version == 40
    assert views[0].confirmed.whole() == views[1].confirmed.whole()
    assert "mine" in views[0].view.whole()
    told = [event for event in one.events() if isinstance(event, Changed)]
    assert len(told) == 2
    assert (told[1].author, len(told[1].changes)) == (2, 1)
    kind = told[1].kind
    assert kind.apply(told[1].before, told[1].changes[0]).whole() == views[0].view.whole()


@pytest.mark.parametrize("broken", [5, 20])
def test_r47_a_run_that_does_not_fit_leaves_the_replica_sound(broken: int) -> None:
    replica = online("t")
    replica.local([LocalChange("t", {"type": "insert", "position": 0, "insertion": "mine"})])
    insert: dict[str, Any] = {"type": "insert", "position": 0, "insertion": "x"}
    messages = [published(version, insert) for version in range(1, 41)]
    messages[broken] = published(broken + 1, {"type": "delete", "position": 99, "length": 1})
    replica.receive_frame(messages)
    topic = replica.topic("t")
    assert topic is not None
    assert topic.version == broken
    assert topic.view.whole().count("x") == broken
    (message,) = replica.outbox()
    assert message["type"] == "subscribe"
