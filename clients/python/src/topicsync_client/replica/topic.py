"""One topic as one client sees it: what the server has confirmed, then what it has not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..errors import Invalid
from ..types.base import Composed, require
from ..values import same
from .messages import Message, Published, Subscribed
from .pending import Fallen, Footing, Kind, Pending, Walk, carry_all

COMPOSE_REACH = 1024
"""How far back a change looks for one of the same key to be composed with."""


class Link(Enum):
    """Where a subscription stands, on the present connection."""

    UNASKED = "unasked"
    """Not asked for yet."""
    ASKED = "asked"
    SNAPSHOT = "snapshot"
    """`subscribed` came, and the whole value is next."""
    LIVE = "live"
    """Every version comes, in order."""


@dataclass(slots=True)
class Moved:
    """How a view moved."""

    changes: list[Any] = field(default_factory=list)
    """From the view as it was to the view as it is."""
    whole: bool = False
    """The view is to be taken as a whole, `changes` being unknown."""
    fallen: Fallen = field(default_factory=list)


class Taken(Enum):
    """What became of published news that moved nothing."""

    KNOWN = "known"
    """It was known, or cannot be taken now."""
    GAP = "gap"
    """Versions are missing before it."""


class TopicReplica:
    """One topic's replica.

    ```text
      view = confirmed · in flight · waiting
    ```

    Changes in flight come first in `pending`, and belong to one batch. What waits is relative to
    them: each change is made on the value that the one before leaves.
    """

    def __init__(self, kind: Kind, options: dict[str, Any]) -> None:
        self.kind = kind
        self.options = options
        self.link = Link.UNASKED
        self.continues = True
        """Whether to ask for what follows the version that is here, and no snapshot."""
        self.epoch: str | None = None
        """Names one life of the topic; None before the first `subscribed`."""
        self.version = 0
        """The last version received."""
        self.head = 0
        """The head when the subscription began: from there on nothing is missing."""
        self.ready = False
        """Whether a first value was received. Before, it is the type's initial one."""
        self.confirmed: Any = kind.initial()
        """The value at `version`, without what is pending."""
        self.view: Any = self.confirmed
        """The value as the program sees it: confirmed and pending."""
        self.pending: list[Pending] = []
        self.closing = False
        """To be unsubscribed once nothing is pending."""
        self.presence: Any = None
        """This client's entry in a presence topic, as the program wants it, in a tuple."""

    def subscribe(self, topic_name: str) -> Message:
        """Give the message that asks for this topic."""
        content: dict[str, Any] = {"topic_name": topic_name, "type": self.kind.name}
        if self.options:
            content["options"] = self.options
        if self.link is Link.UNASKED and self.continues and self.ready and self.epoch is not None:
            content["since"] = {"epoch": self.epoch, "version": self.version}
        self.link = Link.ASKED
        return {"type": "subscribe", "content": content}

    def subscribed(self, subscribed: Subscribed) -> None:
        """Take up a subscription of the life that is known, or of the first one."""
        self.epoch = subscribed.epoch
        self.head = subscribed.version
        if subscribed.since is not None and self.ready:
            self.link = Link.LIVE
        elif not self.kind.stateful:
            self.version, self.ready = subscribed.version, True
            self.link = Link.LIVE
        else:
            self.link = Link.SNAPSHOT

    def unasked(self, continues: bool) -> None:
        """Ask for the topic again, with the next messages."""
        self.link, self.continues = Link.UNASKED, continues

    def start_afresh(self) -> None:
        """Forget all but what was asked for: the topic has a new life."""
        kept = self.presence, self.closing, self.link, self.continues
        TopicReplica.__init__(self, self.kind, self.options)
        self.presence, self.closing, self.link, self.continues = kept

    def is_free(self) -> bool:
        """Whether it can take a batch: it is received, and nothing of it is in flight."""
        return self.link is Link.LIVE and not (self.pending and self.pending[0].id is not None)

    def caught_up(self) -> bool:
        """Whether everything up to the head that the subscription began with was received."""
        return self.link is Link.LIVE and self.version >= self.head

    def push(self, pending: Pending, view: Any, joinable: Callable[[int], bool]) -> int | None:
        """Append a local change that was made on the view and gives `view`.

        It is composed with an earlier one where `joinable` says that this is its batch's to decide.
        Gives the batch that it became part of, if that is an earlier one.
        """
        self.view = view
        joined = self._join(pending, joinable) if joinable(pending.batch) else None
        if joined is None:
            self.pending.append(pending)
        return joined

    def _join(self, new: Pending, joinable: Callable[[int], bool]) -> int | None:
        """Compose a change with a waiting one.

        That is the last, or the last of the same key if all between are of other keys, as those do
        not touch each other.
        """
        key = self.kind.key(new.made)
        last = len(self.pending) - 1
        for index in range(last, max(last - COMPOSE_REACH, -1), -1):
            earlier = self.pending[index]
            fits = earlier.id is None and earlier.footing is new.footing
            if not fits or earlier.form is None or not joinable(earlier.batch):
                return None
            same_key = key is not None and self.kind.key(earlier.form) == key
            if same_key or index == last:
                made, form = self._compose(earlier, new)
                if form is not Composed.SEPARATE:
                    return self._put(index, made, form)
                if same_key:
                    return None
            if key is None or self.kind.key(earlier.form) is None:
                return None
        return None

    def _compose(self, first: Pending, second: Pending) -> tuple[Any, Any]:
        """Give two changes as one: as it was made, and as it is in the view."""
        form = self.kind.compose(first.form, second.form)
        if first.footing is Footing.SEEN:
            return form, form
        made = self.kind.compose(first.made, second.made)
        if isinstance(made, Composed) or isinstance(form, Composed):
            if made is not form:
                return Composed.SEPARATE, Composed.SEPARATE
        return made, form

    def _put(self, index: int, made: Any, form: Any) -> int:
        pending = self.pending[index]
        if form is Composed.NOTHING:
            del self.pending[index]
        else:
            pending.made, pending.form = made, form
        return pending.batch

    def take(self, news: Published, own: list[str]) -> Moved | Taken:
        """Take published news: in version order, each once. `own` are the ids of this client.

        Raises `Invalid` if the change cannot be read, or does not fit the confirmed value.
        """
        ahead = news.version > self.version
        if news.snapshot and self.link is Link.SNAPSHOT:
            return self._take_snapshot(news, own)
        if self.link is Link.LIVE and ahead:
            return self._take_snapshot(news, own) if news.snapshot else self._take_change(news, own)
        if not ahead and own:
            return self.remove(lambda pending: pending.id in own)
        return Taken.KNOWN

    def _take_change(self, news: Published, own: list[str]) -> Moved | Taken:
        since = news.version - 1 if news.since is None else news.since
        if since != self.version:
            return Taken.GAP
        confirmed, change = self.confirmed, None
        if news.fields.get("type") != "none":
            change = self.kind.resolve(self.kind.decode_change(news.fields), confirmed)
            confirmed = self.kind.apply(confirmed, change)
        self.version = news.version
        return self._advance(confirmed, change, own)

    def _advance(self, confirmed: Any, change: Any, own: list[str]) -> Moved:
        before, self.confirmed = self.confirmed, confirmed
        changes: list[Any] | None
        if self._as_predicted(before, change, own):
            del self.pending[0]
            changes = []
        else:
            changes = None if own else self._carry_others(change)
        if changes is None:
            bridge = [] if change is None else [change]
            moved = self._walk(before, bridge, lambda pending: pending.id in own)
        else:
            moved = Moved(changes)
        if not self.pending:
            self.view = confirmed
        return moved

    def _as_predicted(self, before: Any, change: Any, own: list[str]) -> bool:
        """Whether a published change is the next one in flight, in just the form of the view."""
        if len(own) != 1 or self.pending[0].id != own[0]:
            return False
        form = self.pending[0].form
        if form is None or change is None:
            return form is None and change is None
        try:
            return same(self.kind.resolve(form, before), change)
        except Invalid:
            return False

    def _carry_others(self, change: Any) -> list[Any] | None:
        """Carry what is pending over another's change, where that is all there is to do."""
        if change is None:
            return []
        if not self.pending:
            self.view = self.confirmed
            return [change]
        carried = carry_all(self.kind, self.pending, change)
        if carried is None:
            return None
        forms, accepted = carried
        view = self.confirmed
        try:
            for form in forms:
                # On the way, a number may leave its range.
                view = view if form is None else self.kind.apply(view, form)
        except Invalid:
            return None
        self.view = view
        for pending, form in zip(self.pending, forms, strict=True):
            pending.form = form
        return [] if accepted is None else [accepted]

    def remove(self, leaves: Callable[[Pending], bool]) -> Moved:
        """Take changes out of what is pending; those behind are carried over their inverse."""
        return self._walk(self.confirmed, [], leaves)

    def _walk(self, start: Any, bridge: list[Any], leaves: Callable[[Pending], bool]) -> Moved:
        walk = Walk(self.kind, start, self.confirmed, bridge)
        fallen = walk.run(self.pending, leaves)
        self.view = walk.new
        return Moved(walk.bridge, fallen=fallen)

    def batch_of(self, id: str) -> int | None:
        """Give the batch in flight of which the change with this id is one."""
        for pending in self.pending:
            if pending.id is None:
                return None
            if pending.id == id:
                return pending.batch
        return None

    def in_flight_batch(self) -> int | None:
        """Give the batch in flight, if there is one."""
        if self.pending and self.pending[0].id is not None:
            return self.pending[0].batch
        return None

    def _take_snapshot(self, news: Published, own: list[str]) -> Moved:
        value = self.kind.decode_value(require(news.fields, "value"))
        self.version = news.version
        self.link = Link.LIVE
        if not self.ready:
            self.ready = True
            return self._land(value)
        return self._jump(value, own)

    def _land(self, value: Any) -> Moved:
        """Take the first value.

        What was made before it was made on nothing that anyone had seen: it is put on the value as
        it is, where it fits.
        """
        self.confirmed = self.view = value
        fallen: Fallen = []
        stay = []
        for pending in self.pending:
            form = pending.form
            try:
                if pending.footing is Footing.ANYTHING:
                    form = self.kind.resolve(pending.made, self.view)
                if form is not None:
                    self.view = self.kind.apply(self.view, form)
                pending.form = form
                stay.append(pending)
            except Invalid as invalid:
                pending.form = None
                if pending.footing is Footing.ANYTHING:
                    stay.append(pending)
                else:
                    fallen.append((pending.batch, str(invalid)))
        self.pending = stay
        return Moved(whole=True, fallen=fallen)

    def _jump(self, value: Any, own: list[str]) -> Moved:
        """Take a value that jumps ahead.

        Whether it holds what is in flight is not known, so that is hidden until it is answered,
        unless to apply it twice is the same as once. What waits is carried over the difference
        between the value that it stood on and the one that it comes to stand on.
        """
        in_flight = [pending for pending in self.pending if pending.id is not None]
        waiting = self.pending[len(in_flight) :]
        start, self.confirmed = self.confirmed, value
        for pending in in_flight:
            start = self._applied_if_it_fits(start, pending.form)
        self.pending = [pending for pending in in_flight if pending.id not in own]
        end = value
        for pending in self.pending:
            end, pending.form = self._apply_if_idempotent(pending, end)
            pending.hidden = pending.form is None
        bridge = self._bridge(start, end) if waiting else None
        fallen: Fallen = []
        if bridge is None:
            overwritten = [it for it in waiting if it.footing is Footing.SEEN]
            fallen += [(pending.batch, "the whole value was set") for pending in overwritten]
            waiting = [it for it in waiting if it.footing is Footing.ANYTHING]
        walk = Walk(self.kind, start, end, bridge or [])
        fallen += walk.run(waiting, lambda _: False)
        self.view = walk.new
        self.pending += waiting
        return Moved(walk.bridge, bridge is None, fallen)

    def _applied_if_it_fits(self, value: Any, form: Any) -> Any:
        try:
            return value if form is None else self.kind.apply(value, form)
        except Invalid:
            return value

    def _apply_if_idempotent(self, pending: Pending, value: Any) -> tuple[Any, Any]:
        """Apply a change if it stands on anything and does nothing when applied again."""
        if pending.footing is not Footing.ANYTHING:
            return value, None
        try:
            form = self.kind.resolve(pending.made, value)
            once = self.kind.apply(value, form)
            twice = self.kind.apply(once, self.kind.resolve(pending.made, once))
        except Invalid:
            return value, None
        return (once, form) if same(once, twice) else (value, None)

    def _bridge(self, old: Any, new: Any) -> list[Any] | None:
        """Give changes that lead from one value to the other.

        None if there are none, or the type is wrong about them.
        """
        if same(old, new):
            return []
        try:
            changes = self.kind.differences(old, new)
            value = old
            for change in changes:
                value = self.kind.apply(value, change)
        except Invalid:
            return None
        return changes if same(value, new) else None
