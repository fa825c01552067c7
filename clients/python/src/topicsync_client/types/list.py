"""`list`: values in a row.

Every change but `set` is a taking out, a putting in, or both, so that all rebasing comes down to
how a *gap* (a place between items) and how an *item* move over one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..changes import About, Change, Inserted, Moved, Popped, Replaced, ValueSet
from ..errors import Conflict, Invalid
from ..rope import Rope
from ..values import Fields, FrozenList, kind_of, order_of
from .alike import in_common
from .base import (
    ChangeOf,
    Composed,
    Rebased,
    TopicType,
    require,
    require_int,
    require_item,
    unknown_change,
)

END = -1
"""The position that means the end, wherever that is; of what takes an item, the last item."""

POSITION_MAX = 2**32 - 1
"""The largest position or length in a list or text."""

Items = Rope[list[Any]]
"""The items of a list."""


@dataclass(eq=False, slots=True)
class Set(ChangeOf):
    """The whole list is this."""

    items: Items


@dataclass(eq=False, slots=True)
class Insert(ChangeOf):
    """Puts `item` before the item at `position`."""

    position: int
    item: Any


@dataclass(eq=False, slots=True)
class Pop(ChangeOf):
    """Takes out the item at `position`."""

    position: int


@dataclass(eq=False, slots=True)
class Replace(ChangeOf):
    """Puts `item` in the place of the one at `position`."""

    position: int
    item: Any


@dataclass(eq=False, slots=True)
class Move(ChangeOf):
    """Takes out the item at `position`, then puts it before the item that is at `to` by then."""

    position: int
    to: int


ListChange = Set | Insert | Pop | Replace | Move


def require_position(fields: Fields, field: str) -> int:
    """A field that is a position, or `END`."""
    position = require_int(fields, field)
    if END <= position <= POSITION_MAX:
        return position
    raise out_of_bounds(position, POSITION_MAX)


def out_of_bounds(position: int, length: int) -> Invalid:
    """The error for a position that is not there."""
    return Invalid(f"position {position} is out of bounds, the length is {length}")


def resolved(position: int, length: int) -> int:
    """The position of the item meant, in a list of `length` items."""
    if position == END and length:
        return length - 1
    if 0 <= position < length:
        return position
    raise out_of_bounds(position, length)


def resolved_gap(gap: int, length: int) -> int:
    """The place meant, in a list of `length` items, before which or behind which items stand."""
    if gap == END:
        return length
    if 0 <= gap <= length:
        return gap
    reason = f"the length is {length}, an insert may go from 0 to {length}"
    raise Invalid(f"position {gap} is out of bounds, {reason}")


def _gap_over_pop(gap: int, popped: int) -> int:
    return gap - 1 if popped < gap else gap


def _gap_over_insert(gap: int, inserted: int, newcomer: bool) -> int:
    # Of two at one place, the newcomer's is to the left.
    moves = inserted < gap if newcomer else inserted <= gap
    return gap + 1 if moves else gap


def _item_over_insert(item: int, inserted: int) -> int:
    return item + 1 if inserted <= item else item


def _item_over_pop(item: int, popped: int) -> int:
    return item - 1 if popped < item else item


def _item_over(other: ListChange, item: int) -> int | None:
    """Where the item at `item` is after `other`; None if that took it out."""
    match other:
        case Insert(at):
            return _item_over_insert(item, at)
        case Pop(at):
            return None if at == item else _item_over_pop(item, at)
        case Move(at, to):
            return to if at == item else _item_over_insert(_item_over_pop(item, at), to)
    return item


def _gap_over(other: ListChange, gap: int, newcomer: bool) -> int:
    """Where the gap at `gap` is after `other`, `newcomer` telling whose gap it is."""
    match other:
        case Insert(at):
            return _gap_over_insert(gap, at, newcomer)
        case Pop(at):
            return _gap_over_pop(gap, at)
        case Move(at, to):
            return _gap_over_insert(_gap_over_pop(gap, at), to, newcomer)
    return gap


def _without(other: ListChange, popped: int) -> ListChange:
    """`other` as it is once the item at `popped` is out, which is not the one that it takes."""
    match other:
        case Insert(at, item):
            return Insert(_gap_over_pop(at, popped), item)
        case Pop(at):
            return Pop(_item_over_pop(at, popped))
        case Move(at, to):
            # `to` counts without the moved item, so the popped one is looked for there too.
            return Move(_item_over_pop(at, popped), _gap_over_pop(to, _item_over_pop(popped, at)))
    return other


def _over(change: ListChange, other: ListChange, newcomer: bool) -> ListChange | None:
    """`change` rebased over `other`; None if the item that it is about was taken out."""
    if isinstance(other, (Set, Replace)) or _names_end(other) or _names_end(change):
        return change
    match change:
        case Insert(gap, item):
            return Insert(_gap_over(other, gap, newcomer), item)
        case Pop(at):
            moved = _item_over(other, at)
            return None if moved is None else Pop(moved)
        case Replace(at, item):
            moved = _item_over(other, at)
            return None if moved is None else Replace(moved, item)
        case Move(at, to):
            moved = _item_over(other, at)
            if moved is None:
                return None
            # The same item moved by both: this one's target stands, and counts without the item.
            if not (isinstance(other, Move) and other.position == at):
                to = _gap_over(_without(other, at), to, newcomer)
            return Move(moved, to)
    return change


def _names_end(change: ListChange) -> bool:
    if isinstance(change, Set):
        return False
    return change.position == END or (isinstance(change, Move) and change.to == END)


def _subject(change: ListChange) -> int | None:
    """The position of the item that `change` is about."""
    match change:
        case Pop(at) | Replace(at) | Move(at):
            return at if at != END else None
    return None


class List(TopicType[Items, ListChange]):
    """The type of a topic that holds values in a row."""

    name = "list"

    def initial(self) -> Items:
        return Rope(FrozenList())

    def decode_value(self, plain: Any) -> Items:
        if isinstance(plain, list):
            return Rope(plain)
        raise Invalid(f"the value must be a list, not {kind_of(plain)}")

    def encode_value(self, value: Items) -> FrozenList:
        whole = value.whole()
        if not isinstance(whole, FrozenList):
            whole = value.keep(FrozenList(whole))
        return whole  # type: ignore[return-value]

    def decode_change(self, fields: Fields) -> ListChange:
        match fields.get("type"):
            case "set":
                return Set(self.decode_value(require(fields, "value")))
            case "insert":
                return Insert(require_position(fields, "position"), require_item(fields, "item"))
            case "pop":
                return Pop(require_position(fields, "position"))
            case "replace":
                return Replace(require_position(fields, "position"), require_item(fields, "item"))
            case "move":
                return Move(require_position(fields, "from"), require_position(fields, "to"))
        raise unknown_change(self, fields)

    def encode_change(self, change: ListChange) -> dict[str, Any]:
        match change:
            case Set(items):
                return {"type": "set", "value": self.encode_value(items)}
            case Insert(position, item):
                return {"type": "insert", "position": position, "item": item}
            case Pop(position):
                return {"type": "pop", "position": position}
            case Replace(position, item):
                return {"type": "replace", "position": position, "item": item}
            case Move(position, to):
                return {"type": "move", "from": position, "to": to}

    def takes_base(self, change: ListChange) -> bool:
        return not _names_end(change)

    def resolve(self, change: ListChange, value: Items) -> ListChange:
        if not _names_end(change):
            return change
        length = len(value)
        match change:
            case Insert(_, item):
                return Insert(length, item)
            case Pop(position):
                return Pop(resolved(position, length))
            case Replace(position, item):
                return Replace(resolved(position, length), item)
            case Move(position, to):
                return Move(resolved(position, length), resolved(to, length))
        return change

    def apply(self, value: Items, change: ListChange) -> Items:
        length = len(value)
        match change:
            case Set(items):
                return items
            case Insert(position, item):
                at = resolved_gap(position, length)
                return value.splice(at, at, [item])
            case Pop(position):
                at = resolved(position, length)
                return value.splice(at, at + 1, [])
            case Replace(position, item):
                at = resolved(position, length)
                return value.splice(at, at + 1, [item])
            case Move(position, to):
                at, to = resolved(position, length), resolved(to, length)
                item = value.slice(at, at + 1)
                return value.splice(at, at + 1, []).splice(to, to, item)

    def rebase(self, incoming: ListChange, accepted: ListChange) -> Rebased[ListChange]:
        if isinstance(incoming, Set):
            raise Conflict("the value was changed")
        if isinstance(accepted, Set):
            raise Conflict("the whole value was set")
        position = _subject(incoming)
        if position is not None and position == _subject(accepted):
            match incoming, accepted:
                case _, Pop():
                    raise Conflict(f"the item at position {position} was removed")
                case Replace(), Replace():
                    raise Conflict(f"the item at position {position} was replaced")
                case Move(), Move():
                    # The newcomer's target stands.
                    return Rebased(_over(incoming, accepted, True), None)
        return Rebased(_over(incoming, accepted, True), _over(accepted, incoming, False))

    def invert(self, change: ListChange, before: Items) -> ListChange:
        length = len(before)
        match change:
            case Set():
                return Set(before)
            case Insert(position):
                return Pop(resolved_gap(position, length))
            case Pop(position):
                at = resolved(position, length)
                return Insert(at, before.slice(at, at + 1)[0])
            case Replace(position):
                at = resolved(position, length)
                return Replace(at, before.slice(at, at + 1)[0])
            case Move(position, to):
                return Move(resolved(to, length), resolved(position, length))

    def compose(self, first: ListChange, second: ListChange) -> ListChange | Composed:
        if isinstance(second, Set):
            return second
        if isinstance(first, Set):
            try:
                return Set(self.apply(first.items, second))
            except Invalid:
                return Composed.SEPARATE
        left_at = first.to if isinstance(first, Move) else first.position
        if left_at == END or left_at != second.position:
            return Composed.SEPARATE
        match first, second:
            case Insert(), Pop():
                return Composed.NOTHING
            case Insert(position), Replace(_, item):
                return Insert(position, item)
            case Insert(_, item), Move(_, to):
                return Insert(to, item)
            case Replace(), Replace() | Pop():
                return second
            case Move(position), Move(_, to):
                return Move(position, to)
            case Move(position), Pop():
                return Pop(position)
        return Composed.SEPARATE

    def differences(self, old: Items, new: Items) -> list[ListChange]:
        # Items are compared as the server does: 1 and 1.0 are the same, 1 and True are not.
        olds, news = ([order_of(item) for item in items] for items in (old, new))
        items = new.whole()
        changes: list[ListChange] = []
        gone = come = 0
        # Everything before `come` is as it is to be.
        for common in in_common(olds, news, 1, lambda keys, at: keys[at]):
            both = min(common.old - gone, common.new - come)
            changes += [Replace(at, items[at]) for at in range(come, come + both)]
            changes += [Insert(at, items[at]) for at in range(come + both, common.new)]
            changes += [Pop(come + both) for _ in range(common.old - gone - both)]
            gone, come = common.old + common.length, common.new + common.length
        return changes

    def describe(self, change: ListChange, before: Items, about: About) -> Change:
        match change:
            case Set(items):
                return ValueSet(about, self.encode_value(items), self.encode_value(before))
            case Insert(position, item):
                return Inserted(about, position, item)
            case Pop(position):
                return Popped(about, position, before.slice(position, position + 1)[0])
            case Replace(position, item):
                return Replaced(about, position, item, before.slice(position, position + 1)[0])
            case Move(position, to):
                item = before.slice(position, position + 1)[0]
                return Moved(about, position, to, item)
