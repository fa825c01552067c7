"""`dict`: values by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..changes import About, Added, Change, Removed, ValueChanged, ValueSet
from ..errors import Conflict, Invalid
from ..table import Table
from ..values import Fields, FrozenDict, kind_of, same
from .base import (
    ChangeOf,
    Composed,
    Rebased,
    TopicType,
    require,
    require_item,
    require_text,
    unknown_change,
)


@dataclass(eq=False, slots=True)
class Set(ChangeOf):
    """The whole dict is this."""

    table: Table


@dataclass(eq=False, slots=True)
class Add(ChangeOf):
    """Puts a value under a key that is not there."""

    key: str
    value: Any


@dataclass(eq=False, slots=True)
class Remove(ChangeOf):
    """Takes out a key that is there."""

    key: str


@dataclass(eq=False, slots=True)
class ChangeValue(ChangeOf):
    """Puts another value under a key that is there."""

    key: str
    value: Any


DictChange = Set | Add | Remove | ChangeValue


class Dict(TopicType[Table, DictChange]):
    """The type of a topic that holds values by key."""

    name = "dict"

    def initial(self) -> Table:
        return Table()

    def decode_value(self, plain: Any) -> Table:
        if isinstance(plain, dict):
            return Table(plain.items())
        raise Invalid(f"the value must be a dict, not {kind_of(plain)}")

    def encode_value(self, value: Table) -> FrozenDict:
        if value.plain is None:
            value.plain = FrozenDict(value.items())
        return value.plain  # type: ignore[no-any-return]

    def decode_change(self, fields: Fields) -> DictChange:
        match fields.get("type"):
            case "set":
                return Set(self.decode_value(require(fields, "value")))
            case "add":
                return Add(require_text(fields, "key"), require_item(fields, "value"))
            case "remove" | "pop":
                return Remove(require_text(fields, "key"))
            case "change_value":
                return ChangeValue(require_text(fields, "key"), require_item(fields, "value"))
        raise unknown_change(self, fields)

    def encode_change(self, change: DictChange) -> dict[str, Any]:
        match change:
            case Set(table):
                return {"type": "set", "value": self.encode_value(table)}
            case Add(key, value):
                return {"type": "add", "key": key, "value": value}
            case Remove(key):
                return {"type": "remove", "key": key}
            case ChangeValue(key, value):
                return {"type": "change_value", "key": key, "value": value}

    def apply(self, value: Table, change: DictChange) -> Table:
        if isinstance(change, Set):
            return change.table
        there = change.key in value
        if isinstance(change, Add):
            if there:
                raise Invalid(f"key {change.key!r} is there already")
            return value.put(change.key, change.value)
        if not there:
            raise Invalid(f"key {change.key!r} is not there")
        if isinstance(change, Remove):
            return value.without(change.key)
        return value.put(change.key, change.value)

    def rebase(self, incoming: DictChange, accepted: DictChange) -> Rebased[DictChange]:
        if isinstance(incoming, Set):
            raise Conflict("the value was changed")
        if isinstance(accepted, Set):
            raise Conflict("the whole value was set")
        if incoming.key != accepted.key:
            return Rebased(incoming, accepted)
        match incoming, accepted:
            case Add(key), Add():
                raise Conflict(f"key {key!r} was added")
            case ChangeValue(key), ChangeValue():
                raise Conflict(f"key {key!r} was changed")
            case ChangeValue(key), Remove():
                raise Conflict(f"key {key!r} was removed")
            case Remove(), Remove():
                return Rebased(None, None)
            case Remove(), ChangeValue():
                return Rebased(incoming, None)
        # One needs the key to be there and the other needs it not to be: no value takes both.
        return Rebased(incoming, accepted)

    def invert(self, change: DictChange, before: Table) -> DictChange:
        match change:
            case Set():
                return Set(before)
            case Add(key):
                return Remove(key)
            case Remove(key):
                return Add(key, before.get(key))
            case ChangeValue(key):
                return ChangeValue(key, before.get(key))

    def key(self, change: DictChange) -> str | None:
        return None if isinstance(change, Set) else change.key

    def compose(self, first: DictChange, second: DictChange) -> DictChange | Composed:
        if isinstance(second, Set):
            return second
        if isinstance(first, Set):
            try:
                return Set(self.apply(first.table, second))
            except Invalid:
                return Composed.SEPARATE
        if first.key != second.key:
            return Composed.SEPARATE
        match first, second:
            case Add(key), ChangeValue(_, value):
                return Add(key, value)
            case Add(), Remove():
                return Composed.NOTHING
            case ChangeValue(), ChangeValue() | Remove():
                return second
            case Remove(key), Add(_, value):
                return ChangeValue(key, value)
        # What remains cannot follow each other.
        return Composed.SEPARATE

    def differences(self, old: Table, new: Table) -> list[DictChange]:
        changes: list[DictChange] = [Remove(key) for key in old if key not in new]
        for key, value in new.items():
            if key not in old:
                changes.append(Add(key, value))
            elif not same(old.get(key), value):
                changes.append(ChangeValue(key, value))
        return changes

    def describe(self, change: DictChange, before: Table, about: About) -> Change:
        match change:
            case Set(table):
                return ValueSet(about, self.encode_value(table), self.encode_value(before))
            case Add(key, value):
                return Added(about, key, value)
            case Remove(key):
                return Removed(about, key, before.get(key))
            case ChangeValue(key, value):
                return ValueChanged(about, key, value, before.get(key))
