"""Topics as a program holds them: they feel like the containers that they hold.

Positions, additions and removals go with a base: others' changes carry them along. Writes come in
two: the plain one simply wins, as when somebody drags a node; the one with `_if_unchanged` is
rejected if somebody else was faster.

Every change shows at once and gives a `Ticket`, which can be awaited or not.
"""

from __future__ import annotations

import math
import operator
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
)
from numbers import Number as NumberLike
from typing import Any, Generic, TypeVar, overload

from typing_extensions import Self

from .changes import Change
from .changing import CHANGES_LIMIT, Changes
from .core import Action, Core, Stop
from .errors import Invalid
from .replica import LocalChange
from .types.base import TopicType
from .values import order_of
from .waiting import Ticket, Waiting

T = TypeVar("T")
N = TypeVar("N", int, float)


class Topic:
    """A topic of any type: what all topics have in common.

    By itself it is a topic of a type of one's own; its changes are made by `change`.
    """

    def __init__(self, core: Core, name: str, kind: TopicType[Any, Any]) -> None:
        self._core = core
        self._kind = kind
        self.name = name
        """The topic's name."""

    def __repr__(self) -> str:
        return f"<{self._kind.name} topic {self.name!r}: {self.value!r}>"

    @property
    def kind(self) -> TopicType[Any, Any]:
        """The topic's type."""
        return self._kind

    @property
    def _view(self) -> Any:
        return self._core.view(self.name, self._kind)

    @property
    def value(self) -> Any:
        """The value as it is seen here, own pending changes included.

        Until it came, and once the subscription is over, it is the type's initial one. Lists and
        dicts in it are frozen: `copy.deepcopy` makes a plain value of it.
        """
        return self._kind.encode_value(self._view)

    @property
    def confirmed(self) -> Any:
        """The value as the server has it, at `version`, without what is pending."""
        with self._core.lock:
            topic = self._core.replica.topic(self.name)
            confirmed = self._kind.initial() if topic is None else topic.confirmed
        return self._kind.encode_value(confirmed)

    @property
    def version(self) -> int:
        """The last version received: how many changes the topic has accepted."""
        topic = self._core.replica.topic(self.name)
        return 0 if topic is None else topic.version

    @property
    def pending(self) -> int:
        """How many changes made here are not confirmed. Those composed into one count as one."""
        topic = self._core.replica.topic(self.name)
        return 0 if topic is None else len(topic.pending)

    @property
    def is_ready(self) -> bool:
        """Whether the topic's value has been received."""
        topic = self._core.replica.topic(self.name)
        return topic is not None and topic.ready

    def ready(self) -> Waiting[Self]:
        """Wait for the first value: `nodes = await client.dict("nodes").ready()`.

        Raises `SubscribeError` if there will be none.
        """
        return self._core.ready(self.name, self)

    def on_change(self, callback: Callable[[Change], object]) -> Stop:
        """Call back for every change of the view, local and remote, in order.

        Gives a function that ends it. Callbacks run one after the other in the thread of the event
        loop, and never within the call that made the change; what they raise is logged.
        """
        return self._core.listen("change", self.name, callback)

    def changes(self, limit: int = CHANGES_LIMIT) -> Changes:
        """Iterate over every change of the view from now on, by `async for` or `for`.

        If more than `limit` moves of the view wait to be taken, they become one: see `Changes`.
        """
        return Changes(self._core, self.name, limit)

    def change(self, fields: Mapping[str, Any], *, overwriting: bool = False) -> Ticket:
        """Make a change as it is on the wire: `{"type": ..., ...}`.

        It goes with a base if it can have one, unless it is `overwriting`: then it simply wins.
        Raises `Invalid` if it does not fit the value that is seen here.
        """
        return self._core.change(LocalChange(self.name, fields, overwriting))

    def unsubscribe(self) -> None:
        """End the subscription, once what is pending is answered."""
        self._core.act(lambda replica: replica.unsubscribe(self.name))


class _Settable(Topic):
    def set(self, value: Any) -> Ticket:
        """Set the whole value, whatever it is by then."""
        return self.change({"type": "set", "value": value}, overwriting=True)

    def set_if_unchanged(self, value: Any) -> Ticket:
        """Set the whole value; rejected if somebody else changed it."""
        return self.change({"type": "set", "value": value})


class GenericTopic(_Settable):
    """Any value, which is set as a whole."""


class BoolTopic(_Settable):
    """True or false: `bool(flag)`, `if flag:`, `flag == True`."""

    def __bool__(self) -> bool:
        return bool(self._view)

    def __str__(self) -> str:
        return str(self._view)

    def __format__(self, spec: str) -> str:
        return format(self._view, spec)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (bool, BoolTopic)):
            return bool(self) is bool(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]


class _Number(_Settable, Generic[N]):
    """What reckons, compares and formats as the number that it holds.

    `n + 1` is a plain number; `n += 1` changes the topic.
    """

    def add(self, summand: N) -> Ticket:
        """Add, to whatever is there by then: two who count at once lose nothing."""
        return self.change({"type": "add", "value": summand}, overwriting=True)

    def __iadd__(self, summand: N) -> Self:  # type: ignore[misc]
        self.add(summand)
        return self

    def __isub__(self, summand: N) -> Self:  # type: ignore[misc]
        self.add(-summand)
        return self

    @property
    def _number(self) -> N:
        return self._view  # type: ignore[no-any-return]

    def __int__(self) -> int:
        return int(self._number)

    def __float__(self) -> float:
        return float(self._number)

    def __complex__(self) -> complex:
        return complex(self._number)

    def __bool__(self) -> bool:
        return bool(self._number)

    def __str__(self) -> str:
        return str(self._number)

    def __format__(self, spec: str) -> str:
        return format(self._number, spec)

    def __eq__(self, other: object) -> bool:
        return bool(self._number == _plain(other))

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Any) -> bool:
        return _reckoned(operator.lt, self._number, other)  # type: ignore[no-any-return]

    def __le__(self, other: Any) -> bool:
        return _reckoned(operator.le, self._number, other)  # type: ignore[no-any-return]

    def __gt__(self, other: Any) -> bool:
        return _reckoned(operator.gt, self._number, other)  # type: ignore[no-any-return]

    def __ge__(self, other: Any) -> bool:
        return _reckoned(operator.ge, self._number, other)  # type: ignore[no-any-return]

    def __add__(self, other: Any) -> Any:
        return _reckoned(operator.add, self._number, other)

    def __radd__(self, other: Any) -> Any:
        return _reckoned(operator.add, other, self._number)

    def __sub__(self, other: Any) -> Any:
        return _reckoned(operator.sub, self._number, other)

    def __rsub__(self, other: Any) -> Any:
        return _reckoned(operator.sub, other, self._number)

    def __mul__(self, other: Any) -> Any:
        return _reckoned(operator.mul, self._number, other)

    def __rmul__(self, other: Any) -> Any:
        return _reckoned(operator.mul, other, self._number)

    def __truediv__(self, other: Any) -> Any:
        return _reckoned(operator.truediv, self._number, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _reckoned(operator.truediv, other, self._number)

    def __floordiv__(self, other: Any) -> Any:
        return _reckoned(operator.floordiv, self._number, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _reckoned(operator.floordiv, other, self._number)

    def __mod__(self, other: Any) -> Any:
        return _reckoned(operator.mod, self._number, other)

    def __rmod__(self, other: Any) -> Any:
        return _reckoned(operator.mod, other, self._number)

    def __divmod__(self, other: Any) -> Any:
        return _reckoned(divmod, self._number, other)

    def __rdivmod__(self, other: Any) -> Any:
        return _reckoned(divmod, other, self._number)

    def __pow__(self, other: Any) -> Any:
        return _reckoned(operator.pow, self._number, other)

    def __rpow__(self, other: Any) -> Any:
        return _reckoned(operator.pow, other, self._number)

    def __neg__(self) -> N:
        return -self._number

    def __pos__(self) -> N:
        return self._number

    def __abs__(self) -> N:
        return abs(self._number)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self._number, digits)

    def __trunc__(self) -> int:
        return int(self._number)

    def __floor__(self) -> int:
        return math.floor(self._number)

    def __ceil__(self) -> int:
        return math.ceil(self._number)


class IntTopic(_Number[int]):
    """A whole number within ±(2^53 - 1): `n.add(1)`, `n += 1`, `n > 2`, `f"{n:04}"`, `int(n)`."""

    def __index__(self) -> int:
        return self._number


class FloatTopic(_Number[float]):
    """A finite number: `x.add(0.5)`, `x -= 1`, `x > 2`, `f"{x:.2f}"`, `float(x)`."""


class EventTopic(Topic):
    """Something that happens, and leaves nothing behind. Its changes are `Emitted`."""

    def emit(self, args: Mapping[str, Any] | None = None) -> Ticket:
        """Let it happen, with arguments by name."""
        return self.change({"type": "emit", "args": args or {}})


class StringTopic(_Settable):
    """A text that many hands edit. Positions count code points, as Python's strings do.

    `str(text)`, `len(text)`, `text[3:5]`, `text[2:4] = "new"`, `del text[:1]`, `text += "more"`.
    """

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, _TEXTS) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other) if isinstance(other, _TEXTS) else NotImplemented

    def __le__(self, other: object) -> bool:
        return str(self) <= str(other) if isinstance(other, _TEXTS) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return str(self) > str(other) if isinstance(other, _TEXTS) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return str(self) >= str(other) if isinstance(other, _TEXTS) else NotImplemented

    def __add__(self, other: object) -> str:
        return str(self) + str(other) if isinstance(other, _TEXTS) else NotImplemented

    def __radd__(self, other: object) -> str:
        return str(other) + str(self) if isinstance(other, _TEXTS) else NotImplemented

    def __len__(self) -> int:
        return len(self._view)

    def __contains__(self, part: object) -> bool:
        return isinstance(part, _TEXTS) and str(part) in str(self)

    def __iter__(self) -> Iterator[str]:
        return iter(self._view)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> str: ...
    def __getitem__(self, at: int | slice) -> str:
        view = self._view
        if isinstance(at, int):
            at = _index(at, len(view))
            return str(view.slice(at, at + 1))
        start, stop, step = at.indices(len(view))
        return str(view.slice(start, max(start, stop)) if step == 1 else view.whole()[at])

    def __setitem__(self, at: int | slice, text: str) -> None:
        start, stop = self._range(at)
        self.edit([start, {"d": stop - start}, text])

    def __delitem__(self, at: int | slice) -> None:
        start, stop = self._range(at)
        self.delete(start, stop - start)

    def __iadd__(self, text: str) -> Self:  # type: ignore[misc]
        self.append(text)
        return self

    def _range(self, at: int | slice) -> tuple[int, int]:
        length = len(self._view)
        if isinstance(at, int):
            at = _index(at, length)
            return at, at + 1
        start, stop, step = at.indices(length)
        if step != 1:
            raise ValueError("a text is changed in one stretch, without a step")
        return start, max(start, stop)

    def insert(self, position: int, text: str) -> Ticket:
        """Put text before the code point at `position`; -1 is the end, wherever that is by then."""
        return self.change({"type": "insert", "position": position, "insertion": text})

    def append(self, text: str) -> Ticket:
        """Put text at the end, wherever that is by then."""
        return self.insert(-1, text)

    def delete(self, position: int, length: int) -> Ticket:
        """Delete `length` code points from `position` on."""
        return self.change({"type": "delete", "position": position, "length": length})

    def edit(self, steps: Sequence[int | str | Mapping[str, int | str]]) -> Ticket:
        """Walk through the text: a number keeps, a string inserts, `{"d": 3}` deletes 3.

        What lies behind the last step is kept.
        """
        return self.change({"type": "edit", "edit": steps})


_TEXTS = (str, StringTopic)


class ListTopic(_Settable, MutableSequence[T], Generic[T]):
    """Values in a row, with the methods and operators of a list.

    Positions are those that are seen here; others' changes carry them along. `items[0] = x` is
    rejected if somebody else replaced that item. What changes one thing gives a `Ticket`, but for
    `pop`, which gives the item: `delete` takes an item out and gives the ticket.
    """

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (list, ListTopic)):
            return [*self] == [*other]
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[T]:
        return iter(self._view)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        view = self._view
        if isinstance(at, slice):
            return list(view.whole()[at])
        at = _index(at, len(view))
        return view.slice(at, at + 1)[0]  # type: ignore[no-any-return]

    def __contains__(self, item: object) -> bool:
        key = _order(item)
        return key is not None and any(order_of(it) == key for it in self)

    def __setitem__(self, at: int | slice, item: Any) -> None:
        if isinstance(at, int):
            self.replace(_index(at, len(self)), item)
            return
        items = list(item)
        positions = range(len(self))[at]
        if positions.step != 1:
            if len(items) != len(positions):
                raise ValueError(
                    f"{len(items)} items do not fit a stepped slice of {len(positions)} positions"
                )
            with Action(self._core):
                for position, it in zip(positions, items, strict=True):
                    self.replace(position, it)
            return
        start = positions.start
        with Action(self._core):
            for _ in positions:
                self.delete(start)
            for offset, it in enumerate(items):
                self.insert(start + offset, it)

    def __delitem__(self, at: int | slice) -> None:
        if isinstance(at, int):
            self.delete(_index(at, len(self)))
            return
        with Action(self._core):
            for position in sorted(range(len(self))[at], reverse=True):
                self.delete(position)

    def __iadd__(self, items: Iterable[T]) -> Self:
        self.extend(items)
        return self

    def insert(self, index: int, value: T) -> Ticket:  # type: ignore[override]
        """Put an item before the one at `index`, as `list.insert` does.

        To put it at the end, wherever that is by then, use `append`.
        """
        length = len(self)
        position = max(0, index + length) if index < 0 else min(index, length)
        return self._insert(position, value)

    def append(self, value: T) -> Ticket:  # type: ignore[override]
        """Put an item at the end, wherever that is by then."""
        return self._insert(-1, value)

    def _insert(self, position: int, item: T) -> Ticket:
        return self.change({"type": "insert", "position": position, "item": item})

    def extend(self, values: Iterable[T]) -> Ticket:  # type: ignore[override]
        """Put items at the end, as one action."""
        with Action(self._core) as ticket:
            for item in list(values):
                self.append(item)
        return ticket

    def delete(self, position: int = -1) -> Ticket:
        """Take out the item at `position`; -1 is the last, whichever that is by then.

        Raises `IndexError` if there is none.
        """
        if position != -1 or not len(self):
            position = _index(position, len(self))
        return self.change({"type": "pop", "position": position})

    def pop(self, index: int = -1) -> T:
        """Take out the item at `index`, or the last, and give it: the one that is seen here.

        If somebody else was faster, the change is rejected; `delete` gives the ticket that tells.
        """
        if not len(self):
            raise IndexError("pop from an empty list")
        position = _index(index, len(self))
        item = self[position]
        self.delete(position)
        return item

    def remove(self, value: T) -> Ticket:  # type: ignore[override]
        """Take out the first item that equals this. Raises `ValueError` if there is none."""
        return self.delete(self.index(value))

    def reverse(self) -> Ticket:  # type: ignore[override]
        """Turn the order of all items around, as one action."""
        with Action(self._core) as ticket:
            for position in range(1, len(self)):
                self.move(position, 0)
        return ticket

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Give the position of the first item that equals `value`. Raises `ValueError`."""
        key = _order(value)
        for position in range(len(self))[slice(start, stop)] if key is not None else ():
            if order_of(self[position]) == key:
                return position
        raise ValueError(f"{value!r} is not in the list")

    def replace(self, position: int, item: T) -> Ticket:
        """Put another item in the place of one; rejected if somebody else did, or popped it.

        There is none that simply wins: without a base, a position is that of another item.
        """
        return self.change({"type": "replace", "position": position, "item": item})

    def move(self, position: int, to: int) -> Ticket:
        """Move an item; `to` counts without it. -1 is the last item, or the end."""
        return self.change({"type": "move", "from": position, "to": to})

    def clear(self) -> Ticket:  # type: ignore[override]
        """Set the list to an empty one."""
        return self.set([])


class SetTopic(_Settable, MutableSet[T], Generic[T]):
    """Distinct values, with the methods and operators of a set; they need not be hashable."""

    @classmethod
    def _from_iterable(cls, items: Iterable[Any]) -> Any:
        return set(items)

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[T]:
        return iter(self.value)

    def __contains__(self, item: object) -> bool:
        key = _order(item)
        return key is not None and key in self._view

    def append(self, item: T) -> Ticket:
        """Put in an item. Raises `Invalid` if it is there already."""
        return self.change({"type": "append", "item": item})

    def remove(self, item: T) -> Ticket:  # type: ignore[override]
        """Take out an item. Raises `KeyError` if it is not there."""
        if item not in self:
            raise KeyError(item)
        return self.change({"type": "remove", "item": item})

    def add(self, value: T) -> None:
        """Put in an item, unless it is there."""
        if value not in self:
            self.append(value)

    def discard(self, value: T) -> None:
        """Take out an item, if it is there."""
        if value in self:
            self.remove(value)

    def clear(self) -> None:
        """Set the set to an empty one."""
        self.set([])


class DictTopic(_Settable, MutableMapping[str, T], Generic[T]):
    """Values by key, with the methods and operators of a dict; sorted by key.

    `nodes["n1"] = x` adds a key, or puts another value under it that simply wins.
    """

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[str]:
        return iter(self._view)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._view

    def __getitem__(self, key: str) -> T:
        view = self._view
        if key not in view:
            raise KeyError(key)
        return view.get(key)  # type: ignore[no-any-return]

    def __setitem__(self, key: str, value: T) -> None:
        self.put(key, value)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self.remove(key)

    def put(self, key: str, value: T) -> Ticket:
        """Put a value under a key, which may be there or not: `nodes[key] = value` with a ticket.

        It wins over what is there. If two put one new key at the same time, the first is taken and
        the other rejected.
        """
        return self.change_value(key, value) if key in self else self.add(key, value)

    def add(self, key: str, value: T) -> Ticket:
        """Put a value under a new key; rejected if somebody else was faster.

        Raises `Invalid` if the key is there already.
        """
        return self.change({"type": "add", "key": key, "value": value})

    def remove(self, key: str) -> Ticket:
        """Take out a key. Raises `Invalid` if it is not there."""
        return self.change({"type": "remove", "key": key})

    def change_value(self, key: str, value: T) -> Ticket:
        """Put another value under a key, whatever is there by then.

        Raises `Invalid` if the key is not there.
        """
        fields = {"type": "change_value", "key": key, "value": value}
        return self.change(fields, overwriting=True)

    def change_value_if_unchanged(self, key: str, value: T) -> Ticket:
        """Put another value under a key; rejected if somebody else did, or removed it."""
        return self.change({"type": "change_value", "key": key, "value": value})

    def update(self, *args: Any, **entries: Any) -> None:
        """Put in entries, as `dict.update` does, in one action."""
        with Action(self._core):
            super().update(*args, **entries)

    def clear(self) -> None:
        """Set the dict to an empty one."""
        self.set({})


def _index(at: int, length: int) -> int:
    """The position that an index means, which may count from the end."""
    position = at + length if at < 0 else at
    if 0 <= position < length:
        return position
    raise IndexError(f"there is no position {at}, the length is {length}")


def _plain(other: Any) -> Any:
    return other._number if isinstance(other, _Number) else other


def _reckoned(work: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """What an operator gives for a number and what is beside it."""
    left, right = _plain(left), _plain(right)
    if isinstance(left, NumberLike) and isinstance(right, NumberLike):
        return work(left, right)
    return NotImplemented


def _order(item: object) -> tuple[Any, ...] | None:
    """What an item is compared by; None if it is no value."""
    try:
        return order_of(item)
    except (Invalid, TypeError):
        return None
