"""Plain values, as in topics and changes: None, bool, int, float, str, list, dict.

Values inside the client never change in place: a list or dict is frozen when it comes in, and a
change puts another in its place. So a snapshot is a pointer, and nobody edits a topic by accident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NoReturn, TypeAlias, Union

from .errors import Invalid

INT_MAX = 2**53 - 1
"""The largest whole number: every client can hold it, JavaScript included."""

NESTING_MAX = 100
"""How many lists and dicts nest in one topic's value at most."""

Value: TypeAlias = Union[None, bool, int, float, str, Sequence["Value"], Mapping[str, "Value"]]
"""Anything that a topic can hold. Tuples are taken for lists."""

Fields: TypeAlias = Mapping[str, Any]
"""One encoded change: what it is (`type`), and its parts by name."""


def _frozen(self: object, *_: object, **__: object) -> NoReturn:
    raise TypeError(
        "a value of a topic cannot be changed in place: copy it, change the copy and put that in"
    )


class FrozenList(list[Any]):
    """A list that cannot be changed. `copy.deepcopy` makes a plain one of it, all the way down."""

    __slots__ = ()

    append = extend = insert = remove = pop = clear = sort = reverse = _frozen
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _frozen

    def __deepcopy__(self, memo: object) -> list[Any]:
        return [thawed(item) for item in self]

    def __reduce__(self) -> tuple[type, tuple[list[Any]]]:
        return FrozenList, (list(self),)


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed. `copy.deepcopy` makes a plain one of it, all the way down."""

    __slots__ = ()

    update = pop = popitem = clear = setdefault = _frozen
    __setitem__ = __delitem__ = __ior__ = _frozen

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return {key: thawed(value) for key, value in self.items()}

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return FrozenDict, (dict(self),)


def thawed(value: Any) -> Any:
    """A plain copy of a value, to be changed at will."""
    if isinstance(value, dict):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [thawed(item) for item in value]
    return value


def checked(value: Any, nesting: int = NESTING_MAX) -> Any:
    """A frozen copy of `value`, in which at most `nesting` containers nest.

    Raises `Invalid` if it is none that a topic can hold.
    """
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _text(value)
    if kind is int:
        return _int(value)
    if value is None or kind is bool:
        return value
    if kind is float:
        return _float(value)
    if nesting == 0:
        # Anything else than a container is looked at below.
        if isinstance(value, (list, tuple, Mapping)):
            raise Invalid(f"more than {NESTING_MAX} containers nest")
    elif isinstance(value, (list, tuple)):
        return FrozenList([checked(item, nesting - 1) for item in value])
    elif isinstance(value, Mapping):
        return FrozenDict(
            {
                key if type(key) is str and key.isascii() else _key(key): checked(item, nesting - 1)
                for key, item in value.items()
            }
        )
    return _of_subclass(value)


def checked_fields(fields: Fields) -> Fields:
    """A frozen copy of an encoded change, each part of which may nest as deep as a value may."""
    frozen: Fields = checked(fields, NESTING_MAX + 1)
    if isinstance(frozen, FrozenDict):
        return frozen
    raise Invalid(f"a change must be a dict, not {kind_of(frozen)}")


def _of_subclass(value: Any) -> Any:
    """Convert an instance of a subclass, a member of an enum say, to the plain type."""
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, int):
        return _int(int(value))
    if isinstance(value, float):
        return _float(float(value))
    raise Invalid(f"a value is None, bool, int, float, str, list or dict, not {kind_of(value)}")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise Invalid(f"a key is a string, not {kind_of(key)}")
    return _text(str.__str__(key))


def _text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Invalid("a string holds half of a surrogate pair") from None
    return text


def _int(number: int) -> int:
    if -INT_MAX <= number <= INT_MAX:
        return number
    raise Invalid("a whole number is beyond ±(2^53 - 1)")


def _float(number: float) -> float:
    if isfinite(number):
        return number
    raise Invalid("a number is not finite")


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal on the wire: `1` and `1.0` are, `1` and `True` are not.

    What is no plain value is compared by `==`.
    """
    if a is b:
        return True
    if isinstance(a, bool) or isinstance(b, bool):
        return False
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return len(a) == len(b) and all(key in b and same(item, b[key]) for key, item in a.items())
    return bool(a == b)


def order_of(value: Any) -> tuple[Any, ...]:
    """A key that sorts values as the server does: null, booleans, numbers, strings, lists, dicts.

    Two values have equal keys just if they are the `same`.
    """
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, (int, float)):
        return (2, value)
    if isinstance(value, str):
        return (3, value)
    if isinstance(value, dict):
        return (5, tuple((key, order_of(value[key])) for key in sorted(value)))
    return (4, tuple(map(order_of, value)))


def kind_of(value: Any) -> str:
    """The name of a value's kind, for messages to people."""
    return "null" if value is None else type(value).__name__
