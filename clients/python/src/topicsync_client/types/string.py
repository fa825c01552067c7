"""`string`: a text that many hands edit at once. Positions count code points, as in Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..changes import About, Change, Edited, ValueSet
from ..errors import Conflict, Invalid
from ..rope import Rope
from ..values import Fields, kind_of
from . import edit as edits
from .alike import in_common
from .base import ChangeOf, Composed, Rebased, TopicType, require, require_text, unknown_change
from .edit import Delete, Text
from .list import END, require_position

RUN = 8
"""How many code points in a row are looked for when two texts are compared."""


@dataclass(eq=False, slots=True)
class Set(ChangeOf):
    """The whole text is this."""

    text: Text


@dataclass(eq=False, slots=True)
class Edit(ChangeOf):
    """An edit. An insertion or deletion is one of a single step, and goes out as such."""

    edit: edits.Edit


@dataclass(eq=False, slots=True)
class Append(ChangeOf):
    """Puts a text at the end, wherever that is."""

    text: str


StringChange = Set | Edit | Append


class String(TopicType[Text, StringChange]):
    """The type of a topic that holds text."""

    name = "string"
    rebases_over_composed = True

    def initial(self) -> Text:
        return Rope("")

    def decode_value(self, plain: Any) -> Text:
        if isinstance(plain, str):
            return Rope(plain)
        raise Invalid(f"the value must be a string, not {kind_of(plain)}")

    def encode_value(self, value: Text) -> str:
        return value.whole()

    def decode_change(self, fields: Fields) -> StringChange:
        match fields.get("type"):
            case "set":
                return Set(Rope(require_text(fields, "value")))
            case "insert":
                text = require_text(fields, "insertion")
                position = require_position(fields, "position")
                if position == END:
                    return Append(text)
                return Edit(edits.insertion(position, text))
            case "delete":
                return _decode_delete(fields)
            case "edit":
                return Edit(edits.decode(require(fields, "edit")))
        raise unknown_change(self, fields)

    def encode_change(self, change: StringChange) -> dict[str, Any]:
        match change:
            case Set(text):
                return {"type": "set", "value": text.whole()}
            case Append(text):
                return {"type": "insert", "position": END, "insertion": text}
            case Edit(edit):
                return _encode_edit(edit)

    def takes_base(self, change: StringChange) -> bool:
        return not isinstance(change, Append)

    def resolve(self, change: StringChange, value: Text) -> StringChange:
        if isinstance(change, Edit):
            exact = edits.resolve(change.edit, value)
            return change if exact is change.edit else Edit(exact)
        if isinstance(change, Append):
            return Edit(edits.insertion(len(value), change.text))
        return change

    def apply(self, value: Text, change: StringChange) -> Text:
        if isinstance(change, Edit):
            return edits.apply(change.edit, value)
        if isinstance(change, Append):
            return value.splice(len(value), len(value), change.text)
        return change.text

    def rebase(self, incoming: StringChange, accepted: StringChange) -> Rebased[StringChange]:
        if isinstance(incoming, Set):
            raise Conflict("the value was changed")
        if isinstance(accepted, Set):
            raise Conflict("the whole value was set")
        if isinstance(incoming, Append) or isinstance(accepted, Append):
            # The end moves with whatever the other does.
            return Rebased(incoming, accepted)
        rebased = edits.rebase(incoming.edit, accepted.edit)
        return Rebased(_kept(rebased.incoming, incoming), _kept(rebased.accepted, accepted))

    def invert(self, change: StringChange, before: Text) -> StringChange:
        if isinstance(change, Edit):
            return Edit(edits.invert(change.edit, before))
        if isinstance(change, Append):
            delete = Delete(len(change.text), change.text)
            return Edit(edits.deletion(len(before), delete))
        return Set(before)

    def compose(self, first: StringChange, second: StringChange) -> StringChange | Composed:
        match first, second:
            case _, Set():
                return second
            case Set(text), _:
                try:
                    return Set(self.apply(text, second))
                except Invalid:
                    return Composed.SEPARATE
            case Edit(one), Edit(two):
                composed = edits.compose(one, two)
                return Edit(composed) if composed else Composed.NOTHING
            case Append(one), Append(two):
                return Append(one + two)
        return Composed.SEPARATE

    def differences(self, old: Text, new: Text) -> list[StringChange]:
        olds, news = old.whole(), new.whole()
        steps: list[edits.Step] = []
        gone = come = 0
        for common in in_common(olds, news, RUN, lambda text, at: text[at : at + RUN]):
            deleted = olds[gone : common.old]
            steps += [news[come : common.new], Delete(len(deleted), deleted), common.length]
            gone, come = common.old + common.length, common.new + common.length
        return [Edit(edits.joined(steps))]

    def describe(self, change: StringChange, before: Text, about: About) -> Change:
        if isinstance(change, Edit):
            return Edited(about, edits.splices(change.edit))
        if isinstance(change, Append):
            return Edited(about, edits.splices(edits.insertion(len(before), change.text)))
        return ValueSet(about, change.text.whole(), before.whole())


def _kept(edit: edits.Edit | None, change: Edit) -> Edit | None:
    """`change` itself if it is `edit` already."""
    if edit is None:
        return None
    return change if edit == change.edit else Edit(edit)


def _decode_delete(fields: Fields) -> Edit:
    position = edits.decode_length(require(fields, "position"), "position")
    deleted = fields.get("deletion")
    if isinstance(deleted, str):
        return Edit(edits.deletion(position, Delete(len(deleted), deleted)))
    if "deletion" in fields:
        raise Invalid(f"field 'deletion' must be a string, not {kind_of(deleted)}")
    if "length" not in fields:
        raise Invalid("field 'deletion' is missing")
    length = edits.decode_length(fields["length"], "length")
    return Edit(edits.deletion(position, Delete(length, None)))


def _encode_edit(edit: edits.Edit) -> dict[str, Any]:
    match edit:
        case (str(text),):
            return {"type": "insert", "position": 0, "insertion": text}
        case (int(position), str(text)):
            return {"type": "insert", "position": position, "insertion": text}
        case (Delete() as delete,):
            return _encode_delete(0, delete)
        case (int(position), Delete() as delete):
            return _encode_delete(position, delete)
    return {"type": "edit", "edit": edits.encode(edit)}


def _encode_delete(position: int, delete: Delete) -> dict[str, Any]:
    field = "length" if delete.text is None else "deletion"
    return {"type": "delete", "position": position, field: edits.encode_delete(delete)}
