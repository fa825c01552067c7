"""`int` and `float`: numbers that are set, or added to."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from ..changes import About, ValueSet
from ..errors import Conflict, Invalid
from ..values import INT_MAX, Fields, kind_of
from .base import ChangeOf, Composed, Rebased, TopicType, require, unknown_change, whole


@dataclass(eq=False, slots=True)
class SetNumber(ChangeOf):
    """The number is this."""

    value: Any


@dataclass(eq=False, slots=True)
class AddNumber(ChangeOf):
    """The number is so much more."""

    value: Any


NumberChange = SetNumber | AddNumber


class _Number(TopicType[Any, NumberChange]):
    def _sum(self, a: Any, b: Any) -> Any:
        """Adds within the range of numbers; raises `Invalid` beyond."""
        raise NotImplementedError

    def _nearest_sum(self, a: Any, b: Any) -> Any:
        """Adds, and stays within the range somehow: the other change does not apply, then."""
        raise NotImplementedError

    def _number(self, plain: Any, field: str) -> Any:
        raise NotImplementedError

    def encode_value(self, value: Any) -> Any:
        return value

    def decode_value(self, plain: Any) -> Any:
        return self._number(plain, "value")

    def decode_change(self, fields: Fields) -> NumberChange:
        match fields.get("type"):
            case "set":
                return SetNumber(self._number(require(fields, "value"), "value"))
            case "add":
                return AddNumber(self._number(require(fields, "value"), "value"))
        raise unknown_change(self, fields)

    def encode_change(self, change: NumberChange) -> dict[str, Any]:
        return {"type": "set" if isinstance(change, SetNumber) else "add", "value": change.value}

    def apply(self, value: Any, change: NumberChange) -> Any:
        if isinstance(change, SetNumber):
            return change.value
        return self._sum(value, change.value)

    def rebase(self, incoming: NumberChange, accepted: NumberChange) -> Rebased[NumberChange]:
        if isinstance(incoming, SetNumber):
            raise Conflict("the value was changed")
        if isinstance(accepted, SetNumber):
            both = self._nearest_sum(accepted.value, incoming.value)
            return Rebased(incoming, SetNumber(both))
        return Rebased(incoming, accepted)

    def invert(self, change: NumberChange, before: Any) -> NumberChange:
        if isinstance(change, SetNumber):
            return SetNumber(before)
        return AddNumber(-change.value)

    def compose(self, first: NumberChange, second: NumberChange) -> NumberChange | Composed:
        if isinstance(second, SetNumber):
            return second
        try:
            return self._compose_add(first, second)
        except Invalid:
            return Composed.SEPARATE

    def _compose_add(self, first: NumberChange, second: AddNumber) -> NumberChange | Composed:
        return type(first)(self._sum(first.value, second.value))

    def describe(self, change: NumberChange, before: Any, about: About) -> ValueSet:
        return ValueSet(about, self.apply(before, change), before)


class Int(_Number):
    """The type of a topic that holds a whole number within ±(2^53 - 1)."""

    name = "int"

    def initial(self) -> int:
        return 0

    def _number(self, plain: Any, field: str) -> int:
        return whole(plain, field)

    def _sum(self, a: int, b: int) -> int:
        if -INT_MAX <= a + b <= INT_MAX:
            return a + b
        raise Invalid("the result is beyond the range of numbers")

    def _nearest_sum(self, a: int, b: int) -> int:
        return max(-INT_MAX, min(a + b, INT_MAX))


class Float(_Number):
    """The type of a topic that holds a finite number."""

    name = "float"

    def initial(self) -> float:
        return 0.0

    def _number(self, plain: Any, field: str) -> float:
        if isinstance(plain, (int, float)) and not isinstance(plain, bool):
            return float(plain)
        raise Invalid(f"field {field!r} must be a number, not {kind_of(plain)}")

    def _sum(self, a: float, b: float) -> float:
        if isfinite(a + b):
            return a + b
        raise Invalid("the result is beyond the range of numbers")

    def _nearest_sum(self, a: float, b: float) -> float:
        return a + b if isfinite(a + b) else a

    def _compose_add(self, first: NumberChange, second: AddNumber) -> NumberChange | Composed:
        # Two additions stay two: their sum, added at once, may round to another value.
        if isinstance(first, AddNumber):
            return Composed.SEPARATE
        return SetNumber(self._sum(first.value, second.value))
