"""Topic types: what a change is, and how it applies, rebases, inverts and composes.

The built-in types are written against `TopicType`, a file each, and registered like a program's
own: there is nothing that only they can do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from dataclasses import fields as fields_of
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

from ..changes import About, Change, OtherChange
from ..errors import Invalid
from ..values import NESTING_MAX, Fields, checked, kind_of, same

V = TypeVar("V")
C = TypeVar("C")


@dataclass(slots=True)
class Rebased(Generic[C]):
    """Two changes rebased over each other. None means that nothing is left to do."""

    incoming: C | None
    """The incoming change, as it applies after the accepted one."""
    accepted: C | None
    """The accepted change, as it applies after the incoming one."""


class Composed(Enum):
    """What `TopicType.compose` made of two changes that are not one."""

    NOTHING = "nothing"
    """The second took the first back."""
    SEPARATE = "separate"
    """No one change does what both do."""


class TopicType(ABC, Generic[V, C]):
    """A kind of topic: its values, its changes, and the algebra by which many hands edit one value.

    All functions are pure: values and changes never change in place, and what is returned depends
    on the arguments alone. The server needs a type of the same name that does the same.

    Laws, `v · c` being `v` with `c` applied:

    1. *inverse*: `v · c · invert(c, v) = v`;
    2. *rebase is total*: it answers every pair, or raises `Conflict`;
    3. *the square closes*: `v · a · c' = v · c · a'` for what `rebase(c, a)` gives;
    4. *compose agrees*: `v · compose(a, b) = v · a · b`;
    5. *round trip*: decoding what was encoded gives an equal value or change.

    Values and changes are compared by `values.same`, which for anything but plain values is `==`.
    """

    name: ClassVar[str]
    """The name in `subscribe`."""
    stateful: ClassVar[bool] = True
    """Whether a topic has a value to take a snapshot of. An event has none."""

    rebases_over_composed: ClassVar[bool] = False
    """Whether any two changes compose, and rebasing over the composition is as good as over both.

    Then long runs of changes are composed before they are rebased over each other.
    """

    @abstractmethod
    def initial(self) -> V:
        """The value at version 0."""

    @abstractmethod
    def decode_value(self, plain: Any) -> V:
        """Read a plain value, as it stands in `set` and in snapshots. Raises `Invalid`."""

    @abstractmethod
    def encode_value(self, value: V) -> Any:
        """Give the plain form of a value: what `decode_value` reads, and what a program sees."""

    @abstractmethod
    def decode_change(self, fields: Fields) -> C:
        """Read a change from its fields; unknown fields are ignored. Raises `Invalid`."""

    @abstractmethod
    def encode_change(self, change: C) -> dict[str, Any]:
        """Give the fields of a change: what `decode_change` reads."""

    @abstractmethod
    def apply(self, value: V, change: C) -> V:
        """Give the value that a change leaves. Raises `Invalid` if the change does not fit."""

    @abstractmethod
    def rebase(self, incoming: C, accepted: C) -> Rebased[C]:
        """Rebase two changes made on one value over each other, `accepted` having come first.

        Raises `Conflict` if `incoming` can no longer do what its author meant.
        """

    @abstractmethod
    def invert(self, change: C, before: V) -> C | None:
        """Give the change that takes `change` back, which was applied to `before`.

        None if it changed nothing.
        """

    def takes_base(self, change: C) -> bool:
        """Tell whether the change may be made on a base: one that names "the end" may not."""
        return True

    def resolve(self, change: C, value: V) -> C:
        """Make a change exact: "the end" becomes a position, a length the text deleted.

        Raises `Invalid` if it does not fit `value`.
        """
        return change

    def key(self, change: C) -> str | None:
        """Give the one key that a change touches, if it touches just one."""
        return None

    def compose(self, first: C, second: C) -> C | Composed:
        """Give one change that does what `first` and then `second` do."""
        return Composed.SEPARATE

    def differences(self, old: V, new: V) -> list[C]:
        """Give changes that lead from one value to another.

        Where a snapshot jumped over what others did, pending changes are rebased over these: the
        finer they are, the more of those survive. Unless a type says it better, a `set` of the
        whole value. Raises `Invalid` if there are none.
        """
        return [self.decode_change({"type": "set", "value": self.encode_value(new)})]

    def describe(self, change: C, before: V, about: About) -> Change:
        """Tell a program of an exact change that was applied to `before`."""
        return OtherChange(about, change)


class ChangeOf:
    """Base of the built-in changes: equal if they are of one kind, with the same parts."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = (part.name for part in fields_of(self))  # type: ignore[arg-type]
        return all(same(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]


def unknown_change(kind: TopicType[Any, Any], fields: Fields) -> Invalid:
    """The error for a change type that `kind` does not have."""
    return Invalid(f"a {kind.name} topic has no change {fields.get('type', '')!r}")


def require(fields: Fields, field: str) -> Any:
    """A field that has to be there."""
    try:
        return fields[field]
    except KeyError:
        raise Invalid(f"field {field!r} is missing") from None


def require_text(fields: Fields, field: str) -> str:
    """A field that is a string."""
    text = require(fields, field)
    if isinstance(text, str):
        return text
    raise Invalid(f"field {field!r} must be a string, not {kind_of(text)}")


def require_int(fields: Fields, field: str) -> int:
    """A field that is a whole number; a float without a fraction is one."""
    return whole(require(fields, field), field)


def require_item(fields: Fields, field: str) -> Any:
    """A field that is to stand in the container that is a topic's value."""
    item = require(fields, field)
    # What comes here is checked; only its nesting may be one too deep.
    return checked(item, NESTING_MAX - 1) if isinstance(item, (list, dict)) else item


def whole(number: Any, field: str) -> int:
    """The whole number in `number`."""
    if type(number) is int:
        return number
    if isinstance(number, float) and number.is_integer():
        return int(checked(int(number)))
    raise Invalid(f"field {field!r} must be a whole number, not {kind_of(number)}")
