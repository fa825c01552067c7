"""`set`: distinct values, in the order of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..changes import About, Change, ItemAdded, ItemRemoved, ValueSet
from ..errors import Conflict, Invalid
from ..table import Table
from ..values import Fields, FrozenList, kind_of, order_of, same
from .base import ChangeOf, Composed, Rebased, TopicType, require, require_item, unknown_change


@dataclass(eq=False, slots=True)
class SetItems(ChangeOf):
    """The whole set is this: items by their `values.order_of`."""

    table: Table


@dataclass(eq=False, slots=True)
class Append(ChangeOf):
    """Puts in an item that is not there."""

    item: Any


@dataclass(eq=False, slots=True)
class Remove(ChangeOf):
    """Takes out an item that is there."""

    item: Any


SetChange = SetItems | Append | Remove


class Set(TopicType[Table, SetChange]):
    """The type of a topic that holds distinct values."""

    name = "set"

    def initial(self) -> Table:
        return Table()

    def decode_value(self, plain: Any) -> Table:
        if not isinstance(plain, list):
            raise Invalid(f"the value must be a list, not {kind_of(plain)}")
        items = {order_of(item): item for item in plain}
        if len(items) != len(plain):
            raise Invalid("the set holds an item twice")
        return Table(items.items())

    def encode_value(self, value: Table) -> FrozenList:
        if value.plain is None:
            value.plain = FrozenList(value.values())
        return value.plain  # type: ignore[no-any-return]

    def decode_change(self, fields: Fields) -> SetChange:
        match fields.get("type"):
            case "set":
                return SetItems(self.decode_value(require(fields, "value")))
            case "append":
                return Append(require_item(fields, "item"))
            case "remove":
                return Remove(require_item(fields, "item"))
        raise unknown_change(self, fields)

    def encode_change(self, change: SetChange) -> dict[str, Any]:
        match change:
            case SetItems(table):
                return {"type": "set", "value": self.encode_value(table)}
            case Append(item):
                return {"type": "append", "item": item}
            case Remove(item):
                return {"type": "remove", "item": item}

    def apply(self, value: Table, change: SetChange) -> Table:
        if isinstance(change, SetItems):
            return change.table
        key = order_of(change.item)
        if isinstance(change, Append):
            if key in value:
                raise Invalid("the item is in the set already")
            return value.put(key, change.item)
        if key not in value:
            raise Invalid("the item is not in the set")
        return value.without(key)

    def rebase(self, incoming: SetChange, accepted: SetChange) -> Rebased[SetChange]:
        if isinstance(incoming, SetItems):
            raise Conflict("the value was changed")
        if isinstance(accepted, SetItems):
            try:
                return Rebased(incoming, SetItems(self.apply(accepted.table, incoming)))
            except Invalid:
                # It is so already.
                return Rebased(None, accepted)
        if incoming == accepted:
            return Rebased(None, None)
        return Rebased(incoming, accepted)

    def invert(self, change: SetChange, before: Table) -> SetChange:
        match change:
            case SetItems():
                return SetItems(before)
            case Append(item):
                return Remove(item)
            case Remove(item):
                return Append(item)

    def compose(self, first: SetChange, second: SetChange) -> SetChange | Composed:
        if isinstance(second, SetItems):
            return second
        if isinstance(first, SetItems):
            try:
                return SetItems(self.apply(first.table, second))
            except Invalid:
                return Composed.SEPARATE
        if type(first) is not type(second) and same(first.item, second.item):
            return Composed.NOTHING
        return Composed.SEPARATE

    def differences(self, old: Table, new: Table) -> list[SetChange]:
        gone = [Remove(item) for key, item in old.items() if key not in new]
        come = [Append(item) for key, item in new.items() if key not in old]
        return [*gone, *come]

    def describe(self, change: SetChange, before: Table, about: About) -> Change:
        match change:
            case SetItems(table):
                return ValueSet(about, self.encode_value(table), self.encode_value(before))
            case Append(item):
                return ItemAdded(about, item)
            case Remove(item):
                return ItemRemoved(about, item)
