"""An edit of a text: what to keep, insert and delete, from its beginning to its end.

Its algebra (apply, compose, rebase) walks two edits side by side. The representation is that of
Google Wave's operations (D. Wang, A. Mah, S. Lassen, "Google Wave Operational Transformation",
2010), with one departure: inserts and deletes at one place keep the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias, Union

from ..changes import Splice
from ..errors import Invalid
from ..rope import Rope
from ..values import kind_of
from .base import Rebased, whole
from .list import POSITION_MAX, out_of_bounds


class Delete(NamedTuple):
    """A step that deletes: so many code points, and their text where that is known."""

    length: int
    text: str | None


Step: TypeAlias = Union[int, str, Delete]
"""A number keeps so many code points, a string inserts itself."""

Edit: TypeAlias = tuple[Step, ...]
"""A walk through a text. What lies behind the last step is kept.

Neighbouring steps differ in kind, none is empty, and the last does not keep: one edit has one form,
but for the order of inserts and deletes at one place.
"""

Text: TypeAlias = Rope[str]

_ALL = 1 << 62

SPLICES_MAX = 256
"""How many steps of an edit are applied one by one; with more, the text is made anew."""


def insertion(position: int, text: str) -> Edit:
    """Inserts `text` before the code point at `position`."""
    if not text:
        return ()
    return (position, text) if position else (text,)


def deletion(position: int, delete: Delete) -> Edit:
    """Deletes from `position` on."""
    if not delete.length:
        return ()
    return (position, delete) if position else (delete,)


def _keep(steps: list[Step], length: int) -> None:
    if not length:
        return
    last = steps[-1] if steps else None
    if isinstance(last, int):
        steps[-1] = last + length
    else:
        steps.append(length)


def _insert(steps: list[Step], text: str) -> None:
    if not text:
        return
    last = steps[-1] if steps else None
    if isinstance(last, str):
        steps[-1] = last + text
    else:
        steps.append(text)


def _delete(steps: list[Step], delete: Delete) -> None:
    if not delete.length:
        return
    last = steps[-1] if steps else None
    if isinstance(last, Delete):
        known = last.text is not None and delete.text is not None
        text = f"{last.text}{delete.text}" if known else None
        steps[-1] = Delete(last.length + delete.length, text)
    else:
        steps.append(delete)


def _finished(steps: list[Step]) -> Edit:
    if steps and isinstance(steps[-1], int):
        steps.pop()
    return tuple(steps)


def joined(steps: Iterable[Step]) -> Edit:
    """The edit of these steps, of which some may be empty, or of one kind in a row."""
    edit: list[Step] = []
    for step in steps:
        if isinstance(step, str):
            _insert(edit, step)
        elif isinstance(step, Delete):
            _delete(edit, step)
        else:
            _keep(edit, step)
    return _finished(edit)


def check(edit: Edit, text: Text) -> None:
    """Check that the edit fits `text`. Raises `Invalid`."""
    length = len(text)
    position = 0
    for step in edit:
        if isinstance(step, str):
            continue
        end = position + (step if isinstance(step, int) else step.length)
        if end > length:
            raise out_of_bounds(end, length)
        if isinstance(step, Delete) and step.text is not None:
            if text.slice(position, end) != step.text:
                raise Invalid(f"the text at position {position} is not the one to be deleted")
        position = end


def apply(edit: Edit, text: Text) -> Text:
    """Give the text that the edit leaves. Raises `Invalid` if it does not fit."""
    check(edit, text)
    if len(edit) > SPLICES_MAX:
        return Rope(_rebuilt(edit, text.whole()))
    position = 0
    for step in edit:
        if isinstance(step, int):
            position += step
        elif isinstance(step, str):
            text = text.splice(position, position, step)
            position += len(step)
        else:
            text = text.splice(position, position + step.length, "")
    return text


def _rebuilt(edit: Edit, text: str) -> str:
    """The text that an edit of many steps leaves, made in one go."""
    pieces = []
    position = 0
    for step in edit:
        if isinstance(step, int):
            pieces.append(text[position : position + step])
            position += step
        elif isinstance(step, str):
            pieces.append(step)
        else:
            position += step.length
    pieces.append(text[position:])
    return "".join(pieces)


def splices(edit: Edit) -> tuple[Splice, ...]:
    """What an exact edit takes out and puts in, each splice on what the one before leaves."""
    found = []
    position = 0
    for step in edit:
        if isinstance(step, int):
            position += step
        elif isinstance(step, str):
            found.append(Splice(position, "", step))
            position += len(step)
        else:
            found.append(Splice(position, step.text or "", ""))
    return tuple(found)


def resolve(edit: Edit, text: Text) -> Edit:
    """Name every deleted text. Raises `Invalid` if the edit does not fit."""
    for step in edit:
        if isinstance(step, Delete) and step.text is None:
            break
    else:
        return edit
    check(edit, text)
    position = 0
    named: list[Step] = []
    for step in edit:
        if isinstance(step, Delete):
            end = position + step.length
            step = Delete(step.length, text.slice(position, end))
            position = end
        elif isinstance(step, int):
            position += step
        named.append(step)
    return tuple(named)


def invert(edit: Edit, before: Text) -> Edit:
    """Give the edit that takes this one back, `before` being the text that it was applied to."""
    position = 0
    inverse: list[Step] = []
    for step in edit:
        if isinstance(step, int):
            _keep(inverse, step)
            position += step
        elif isinstance(step, str):
            _delete(inverse, Delete(len(step), step))
        else:
            end = position + step.length
            _insert(inverse, before.slice(position, end))
            position = end
    return _finished(inverse)


class _Cursor:
    """Walks an edit, a part of a step at a time. Behind the last step it keeps on without end."""

    __slots__ = ("done", "left", "rest", "step")

    def __init__(self, edit: Edit) -> None:
        self.rest = iter(edit)
        self._next()

    def _next(self) -> None:
        self.step: Step | None = next(self.rest, None)
        self.done = 0
        step = self.step
        if isinstance(step, int):
            self.left = step
        elif step is None:
            self.left = _ALL
        elif isinstance(step, str):
            self.left = len(step)
        else:
            self.left = step.length

    def skip(self, length: int) -> None:
        """Goes on by `length` code points, at most what is left of the present step."""
        if self.step is None:
            return
        self.done += length
        self.left -= length
        if not self.left:
            self._next()

    def take_text(self, length: int = _ALL) -> str:
        """Up to `length` code points of the present step's inserted text."""
        text, start = self.step, self.done
        assert isinstance(text, str)
        length = min(length, self.left)
        self.skip(length)
        return text[start : start + length]

    def take_delete(self, length: int = _ALL) -> Delete:
        """Up to `length` code points of the present step's deletion."""
        delete, start = self.step, self.done
        assert isinstance(delete, Delete)
        length = min(length, self.left)
        self.skip(length)
        text = None if delete.text is None else delete.text[start : start + length]
        return Delete(length, text)


def compose(first: Edit, second: Edit) -> Edit:
    """One edit that does what `first` and then `second` do.

    What `first` deletes at a place comes before what `second` inserts there.
    """
    a, b = _Cursor(first), _Cursor(second)
    composed: list[Step] = []
    while True:
        mine, theirs = a.step, b.step
        if isinstance(mine, Delete):
            _delete(composed, a.take_delete())
        elif isinstance(theirs, str):
            _insert(composed, b.take_text())
        elif mine is None and theirs is None:
            return _finished(composed)
        else:
            length = min(a.left, b.left)
            if isinstance(mine, str):
                text = a.take_text(length)
                b.skip(length)
                # What is deleted at once was never there.
                if not isinstance(theirs, Delete):
                    _insert(composed, text)
            elif isinstance(theirs, Delete):
                _delete(composed, b.take_delete(length))
                a.skip(length)
            else:
                _keep(composed, length)
                a.skip(length)
                b.skip(length)


def rebase(incoming: Edit, accepted: Edit) -> Rebased[Edit]:
    """Rebase two edits of one text over each other.

    Inserted text is never lost: inside a deleted range it moves to where the range was, and a
    delete goes around it. Of two inserts at one place the incoming goes to the left. Deletes come
    out by length alone: what is left of them is named when they are resolved.
    """
    c, a = _Cursor(incoming), _Cursor(accepted)
    over_accepted: list[Step] = []
    over_incoming: list[Step] = []
    while c.step is not None or a.step is not None:
        mine, theirs = c.step, a.step
        if isinstance(mine, str):
            _keep(over_incoming, c.left)
            _insert(over_accepted, c.take_text())
            continue
        if isinstance(theirs, str):
            _keep(over_accepted, a.left)
            _insert(over_incoming, a.take_text())
            continue
        length = min(c.left, a.left)
        if isinstance(mine, Delete):
            if not isinstance(theirs, Delete):
                _delete(over_accepted, Delete(length, None))
        elif isinstance(theirs, Delete):
            _delete(over_incoming, Delete(length, None))
        else:
            _keep(over_accepted, length)
            _keep(over_incoming, length)
        c.skip(length)
        a.skip(length)
    return Rebased(_finished(over_accepted) or None, _finished(over_incoming) or None)


def decode_length(number: Any, field: str) -> int:
    """Reads a length or position in a text. Raises `Invalid`."""
    length = whole(number, field)
    if 0 <= length <= POSITION_MAX:
        return length
    raise out_of_bounds(length, POSITION_MAX)


def decode(plain: Any) -> Edit:
    """Reads the wire's list: a number keeps, a string inserts, `{"d": ...}` deletes.

    Raises `Invalid`.
    """
    if not isinstance(plain, list):
        raise _malformed(plain)
    steps: list[Step] = []
    reach = 0
    for step in plain:
        if isinstance(step, str):
            _insert(steps, step)
        elif isinstance(step, dict):
            delete = _decode_delete(step)
            reach += delete.length
            _delete(steps, delete)
        else:
            length = decode_length(step, "edit")
            reach += length
            _keep(steps, length)
        if reach > POSITION_MAX:
            raise out_of_bounds(reach, POSITION_MAX)
    return _finished(steps)


def _decode_delete(step: dict[str, Any]) -> Delete:
    deleted = step.get("d")
    if len(step) != 1 or deleted is None:
        raise _malformed(step)
    if isinstance(deleted, str):
        return Delete(len(deleted), deleted)
    return Delete(decode_length(deleted, "edit"), None)


def _malformed(found: Any) -> Invalid:
    expected = "a list of numbers, strings and {'d': ...}"
    return Invalid(f"field 'edit' must be {expected}, not {kind_of(found)}")


def encode(edit: Edit) -> list[Any]:
    """Give the wire's list."""
    return [{"d": encode_delete(step)} if isinstance(step, Delete) else step for step in edit]


def encode_delete(delete: Delete) -> str | int:
    """Give the deleted text, or its length where that is all that is known."""
    return delete.length if delete.text is None else delete.text
