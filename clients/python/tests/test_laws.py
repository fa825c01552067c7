"""The laws that every topic type keeps, at random. `v · c` is `v` with `c` applied."""

from __future__ import annotations

import copy
from typing import Any

import strategies as some
from hypothesis import given, settings
from hypothesis import strategies as st

import topicsync_client as told
from topicsync_client.errors import Conflict, Invalid
from topicsync_client.frames import decode, encode
from topicsync_client.types import BUILT_IN, Composed
from topicsync_client.types.base import TopicType
from topicsync_client.values import checked, order_of, same

ABOUT = told.About("topic", told.Origin.REMOTE, 1)

Situation = tuple[TopicType[Any, Any], Any]

settings.register_profile("here", deadline=None, max_examples=120, derandomize=True)
settings.load_profile("here")


@given(some.situations(), st.data())
def test_law_2_an_inverse_takes_a_change_back(situation: Situation, data: st.DataObject) -> None:
    kind, value = situation
    (change,) = data.draw(some.run(kind, value, 1))
    after = kind.apply(value, change)
    inverse = kind.invert(change, value)
    assert same(after if inverse is None else kind.apply(after, inverse), value)


@given(some.situations(), st.data())
def test_law_4_the_square_closes(situation: Situation, data: st.DataObject) -> None:
    kind, value = situation
    (accepted,), (incoming,) = (
        data.draw(some.run(kind, value, 1)),
        data.draw(some.run(kind, value, 1)),
    )
    try:
        rebased = kind.rebase(incoming, accepted)
    except Conflict:
        return
    try:
        one = applied(kind, value, [accepted, rebased.incoming])
        other = applied(kind, value, [incoming, rebased.accepted])
    except Invalid:
        # A number may leave its range.
        if kind.name == "int":
            return
        raise
    assert same(one, other)


@given(some.situations(), st.data())
def test_law_5_composing_does_what_both_do(situation: Situation, data: st.DataObject) -> None:
    kind, value = situation
    first, second = data.draw(some.run(kind, value, 2))
    after = applied(kind, value, [first, second])
    match kind.compose(first, second):
        case Composed.NOTHING:
            assert same(after, value)
        case Composed.SEPARATE:
            pass
        case composed:
            assert same(kind.apply(value, composed), after)


@given(some.situations(), st.data())
def test_law_6_changes_and_values_survive_both_encodings(
    situation: Situation, data: st.DataObject
) -> None:
    kind, value = situation
    (change,) = data.draw(some.run(kind, value, 1))
    message = {"change": kind.encode_change(change), "value": kind.encode_value(value)}
    for encoding in ("json", "msgpack"):
        frame = encode(message, encoding)
        (read,) = decode(frame.decode() if encoding == "json" else frame)
        assert same(kind.decode_change(checked(read["change"])), change)
        assert same(kind.decode_value(checked(read["value"])), value)


@given(some.kinds, st.data())
def test_differences_lead_from_one_value_to_the_other(name: str, data: st.DataObject) -> None:
    kind = BUILT_IN[name]
    plain = some.of_kind[name]
    old, new = (kind.decode_value(checked(data.draw(plain))) for _ in range(2))
    if not same(old, new):
        assert same(applied(kind, old, kind.differences(old, new)), new)


@given(some.situations(), st.data())
def test_what_is_told_of_a_change_can_be_followed(
    situation: Situation, data: st.DataObject
) -> None:
    """A list, dict, set or text that goes by the fine-grained changes alone keeps up."""
    kind, value = situation
    (change,) = data.draw(some.run(kind, value, 1))
    follower = Follower(kind.encode_value(value))
    follower.follow(kind.describe(change, value, ABOUT))
    assert same(follower.plain, kind.encode_value(kind.apply(value, change)))


class Follower:
    """A plain value that follows what is told."""

    def __init__(self, plain: Any) -> None:
        self.plain = copy.deepcopy(plain)

    def follow(self, change: Any) -> None:
        plain = self.plain
        match change:
            case told.ValueSet():
                assert same(plain, change.old)
                self.plain = change.value
            case told.Inserted():
                plain.insert(change.position, change.item)
            case told.Popped():
                assert same(plain.pop(change.position), change.item)
            case told.Replaced():
                assert same(plain[change.position], change.old)
                plain[change.position] = change.item
            case told.Moved():
                assert same(plain[change.position], change.item)
                plain.insert(change.to, plain.pop(change.position))
            case told.ItemAdded():
                self.plain = sorted([*plain, change.item], key=order_of)
            case told.ItemRemoved():
                self.plain = [it for it in plain if not same(it, change.item)]
            case told.Added():
                assert change.key not in plain
                plain[change.key] = change.value
            case told.Removed():
                assert same(plain.pop(change.key), change.value)
            case told.ValueChanged():
                assert same(plain[change.key], change.old)
                plain[change.key] = change.value
            case told.Edited():
                for at, removed, inserted in change.splices:
                    assert plain[at : at + len(removed)] == removed
                    plain = plain[:at] + inserted + plain[at + len(removed) :]
                self.plain = plain
            case told.Emitted():
                pass
            case _:
                raise AssertionError(f"nobody knows {change}")


def applied(kind: TopicType[Any, Any], value: Any, changes: list[Any]) -> Any:
    for change in changes:
        if change is not None:
            exact = kind.resolve(change, value)
            value = kind.apply(value, exact)
    return value
