"""`generic` and `bool`: registers, which are set as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..changes import About, ValueSet
from ..errors import Conflict, Invalid
from ..values import Fields, kind_of
from .base import ChangeOf, Rebased, TopicType, require, unknown_change


@dataclass(eq=False, slots=True)
class SetTo(ChangeOf):
    """The one change of a register: to this value."""

    value: Any


class _Register(TopicType[Any, SetTo]):
    def encode_value(self, value: Any) -> Any:
        return value

    def decode_change(self, fields: Fields) -> SetTo:
        if fields.get("type") != "set":
            raise unknown_change(self, fields)
        return SetTo(self.decode_value(require(fields, "value")))

    def encode_change(self, change: SetTo) -> dict[str, Any]:
        return {"type": "set", "value": change.value}

    def apply(self, value: Any, change: SetTo) -> Any:
        return change.value

    def rebase(self, incoming: SetTo, accepted: SetTo) -> Rebased[SetTo]:
        raise Conflict("the value was changed")

    def invert(self, change: SetTo, before: Any) -> SetTo:
        return SetTo(before)

    def compose(self, first: SetTo, second: SetTo) -> SetTo:
        return second

    def describe(self, change: SetTo, before: Any, about: About) -> ValueSet:
        return ValueSet(about, change.value, before)


class Generic(_Register):
    """The type of a topic that holds any value."""

    name = "generic"

    def initial(self) -> Any:
        return None

    def decode_value(self, plain: Any) -> Any:
        return plain


class Bool(_Register):
    """The type of a topic that holds true or false."""

    name = "bool"

    def initial(self) -> bool:
        return False

    def decode_value(self, plain: Any) -> bool:
        if isinstance(plain, bool):
            return plain
        raise Invalid(f"the value must be a boolean, not {kind_of(plain)}")
