"""`event`: something that happens, in one order with all else, and leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..changes import About, Emitted
from ..errors import Invalid
from ..values import Fields, FrozenDict, kind_of
from .base import ChangeOf, Rebased, TopicType, unknown_change


@dataclass(eq=False, slots=True)
class Emit(ChangeOf):
    """An event, with its arguments by name."""

    args: FrozenDict


class Event(TopicType[None, Emit]):
    """The type of a topic that holds nothing and passes on what is emitted."""

    name = "event"
    stateful = False

    def initial(self) -> None:
        return None

    def decode_value(self, plain: Any) -> None:
        if plain is not None:
            raise Invalid(f"the value must be null, not {kind_of(plain)}")

    def encode_value(self, value: None) -> None:
        return None

    def decode_change(self, fields: Fields) -> Emit:
        if fields.get("type") != "emit":
            raise unknown_change(self, fields)
        args = fields.get("args")
        if args is None:
            return Emit(FrozenDict())
        if isinstance(args, FrozenDict):
            return Emit(args)
        raise Invalid(f"field 'args' must be a dict, not {kind_of(args)}")

    def encode_change(self, change: Emit) -> dict[str, Any]:
        return {"type": "emit", "args": change.args}

    def apply(self, value: None, change: Emit) -> None:
        return None

    def rebase(self, incoming: Emit, accepted: Emit) -> Rebased[Emit]:
        return Rebased(incoming, accepted)

    def invert(self, change: Emit, before: None) -> None:
        return None

    def describe(self, change: Emit, before: None, about: About) -> Emitted:
        return Emitted(about, change.args)
