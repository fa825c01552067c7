"""One topic as one client sees it: what the server has confirmed, then what it has not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import takewhile
from typing import Any

from ..errors import Invalid
from ..types.base import Composed, require
from ..values import same
from .messages import Message, Published, Subscribed
from .orders import Order
from .pending import Base, BaseChange, DroppedOrders, Kind, Pending, composed_in_pairs, rebase_run

COMPOSE_REACH = 1024
"""How far back a change looks for one of the same key to be composed with."""


class Link(Enum):
    """Where a subscription stands, on the present connection (R26)."""

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
    dropped: DroppedOrders = field(default_factory=list)


class Taken(Enum):
    """What became of published news that moved nothing."""

    KNOWN = "known"
    """It was known, or cannot be taken now."""
    GAP = "gap"
    """Versions are missing before it."""


class TopicReplica:
    """One topic's replica.

    ```text
      view = confirmed · in flight · waiting      (R1)
    ```

    Changes in flight come first in `pending`, and belong to one batch (R6). What waits is relative
    to them: each change is made on the value that the one before leaves.
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
        """Whether a first value was received. Before, it is the type's initial one (R3)."""
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

    @property
    def takes_runs(self) -> bool:
        """Whether changes of others in a row are worth composing (R47)."""
        return self.link is Link.LIVE and bool(self.pending) and self.kind.rebases_over_composed

    @property
    def is_presence(self) -> bool:
        """Whether it is a presence topic, which is not logged."""
        return bool(self.options.get("presence"))

    def is_free(self) -> bool:
        """Whether it can take a batch: it is received, and nothing of it is in flight (R13)."""
        return self.link is Link.LIVE and not (self.pending and self.pending[0].id is not None)

    def caught_up(self) -> bool:
        """Whether everything up to the head that the subscription began with was received."""
        return self.link is Link.LIVE and self.version >= self.head

    def push(self, pending: Pending, view: Any, may_join: Callable[[Order], bool]) -> Order | None:
        """Append a local change that was made on the view and gives `view`.

        It is composed with an earlier one where that can be and `may_join` agrees (R7). Gives the
        action that it became part of, if that is an earlier one.
        """
        self.view = view
        joined = self._join(pending, may_join)
        if joined is None:
            self.pending.append(pending)
        return joined

    def _join(self, new: Pending, may_join: Callable[[Order], bool]) -> Order | None:
        """Compose a change with a waiting one.

        That is the last, or the last of the same key if all between are of other keys, as those do
        not touch each other.
        """
        key = self.kind.key(new.made)
        last = len(self.pending) - 1
        for index in range(last, max(last - COMPOSE_REACH, -1), -1):
            earlier = self.pending[index]
            if earlier.id is not None or earlier.base is not new.base or earlier.last_part is None:
                return None
            earlier_key = None if key is None else self.kind.key(earlier.form)
            same_key = key is not None and earlier_key == key
            if same_key or index == last:
                # Whether they may be joined is asked only of what would be composed: the answer
                # takes a look at the queue.
                if self._grows(earlier, new):
                    return self._extend(index, new) if may_join(earlier.order) else None
                made, form = self._compose(earlier, new)
                if form is not Composed.SEPARATE and may_join(earlier.order):
                    return self._put(index, made, form)
                if same_key:
                    return None
            if earlier_key is None:
                return None
        return None

    def _grows(self, earlier: Pending, new: Pending) -> bool:
        """Whether a change is one of many that become one, each composed at a small cost (R46)."""
        return self.kind.rebases_over_composed and earlier.base is new.base is Base.SEEN

    def _extend(self, index: int, new: Pending) -> Order:
        pending = self.pending[index]
        if not pending.extend(new.form):
            del self.pending[index]
        return pending.order

    def _compose(self, first: Pending, second: Pending) -> tuple[Any, Any]:
        """Give two changes as one: as it was made, and as it is in the view."""
        form = self.kind.compose(first.form, second.form)
        if first.base is Base.SEEN:
            return form, form
        made = self.kind.compose(first.made, second.made)
        if isinstance(made, Composed) or isinstance(form, Composed):
            if made is not form:
                return Composed.SEPARATE, Composed.SEPARATE
        return made, form

    def _put(self, index: int, made: Any, form: Any) -> Order:
        pending = self.pending[index]
        if form is Composed.NOTHING:
            del self.pending[index]
        else:
            pending.made, pending.form = made, form
        return pending.order

    def take(self, news: Published, own: list[str]) -> Moved | Taken:
        """Take published news: in version order, each once (R5). `own` are the ids in flight here.

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

    def take_run(self, run: list[Published]) -> Moved | None:
        """Take changes of others, of the versions behind this one in order, as one (R47).

        None, and nothing happened, if one is not the next version, or does not fit.
        """
        confirmed, version = self.confirmed, self.version
        changes = []
        try:
            for news in run:
                version += 1
                if news.version != version:
                    return None
                if news.fields.get("type") != "none":
                    change = self.kind.resolve(self.kind.decode_change(news.fields), confirmed)
                    confirmed = self.kind.apply(confirmed, change)
                    changes.append(change)
        except Invalid:
            return None
        self.version = version
        before, self.confirmed = self.confirmed, confirmed
        return self._change_base(before, composed_in_pairs(self.kind, changes), lambda _: False)

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
        """Move the confirmed value on by a change, and what is pending with it (R21)."""
        before, self.confirmed = self.confirmed, confirmed
        changes: list[Any] | None
        if self._as_predicted(before, change, own):
            # By far the most frequent: an own change comes as it was made, and nothing moves.
            del self.pending[0]
            changes = []
        else:
            changes = None if own else self._rebase_pending(change)
        if changes is not None:
            moved = Moved(changes)
        else:
            # An own change that came in another form, or a conflict: values have to be looked at.
            transition = [] if change is None else [change]
            moved = self._change_base(before, transition, lambda pending: pending.id in own)
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

    def _rebase_pending(self, change: Any) -> list[Any] | None:
        """Rebase what is pending over another's change, where that is all there is to do."""
        if change is None:
            return []
        if not self.pending:
            self.view = self.confirmed
            return [change]
        rebased = rebase_run(self.kind, self.pending, change)
        if rebased is None:
            return None
        forms, accepted = rebased
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
        """Take changes out of what is pending; those behind are rebased over their inverse."""
        return self._change_base(self.confirmed, [], leaves)

    def take_back(self, leaves: Callable[[Pending], bool]) -> Moved:
        """Let what is in flight wait again, without ids, but for what `leaves` says (R22).

        What was hidden shows again, if it is overwriting.
        """
        for pending in self.in_flight():
            pending.hidden = False
        for pending in self.pending:
            pending.id = None
        return self.remove(leaves)

    def _change_base(
        self, start: Any, transition: list[Any], leaves: Callable[[Pending], bool]
    ) -> Moved:
        base = BaseChange(self.kind, start, self.confirmed, transition)
        dropped = base.rebase_all(self.pending, leaves)
        self.view = base.new
        return Moved(base.transition, dropped=dropped)

    def order_of(self, id: str) -> Order | None:
        """Give the action of which the change in flight with this id is one."""
        return next((it.order for it in self.in_flight() if it.id == id), None)

    def in_flight(self) -> Iterator[Pending]:
        """What is in flight."""
        return takewhile(lambda pending: pending.id is not None, self.pending)

    def of_action(self, order: Order) -> list[Pending]:
        """The pending changes of an action; they stand in the order made."""
        start = bisect_left(self.pending, order, key=lambda pending: pending.order)
        stop = start
        while stop < len(self.pending) and self.pending[stop].order == order:
            stop += 1
        return self.pending[start:stop]

    def _take_snapshot(self, news: Published, own: list[str]) -> Moved:
        value = self.kind.decode_value(require(news.fields, "value"))
        self.version = news.version
        self.link = Link.LIVE
        if not self.ready:
            self.ready = True
            return self._first_snapshot(value)
        return self._later_snapshot(value, own)

    def _first_snapshot(self, value: Any) -> Moved:
        """Take the first value (R27).

        What was made before it was made on nothing that anyone had seen: it is put on the value as
        it is, where it fits.
        """
        self.confirmed = self.view = value
        dropped: DroppedOrders = []
        stay = []
        for pending in self.pending:
            form = pending.form
            try:
                if pending.base is Base.LATEST:
                    form = self.kind.resolve(pending.made, self.view)
                if form is not None:
                    self.view = self.kind.apply(self.view, form)
                pending.form = form
                stay.append(pending)
            except Invalid as invalid:
                pending.form = None
                if pending.base is Base.LATEST:
                    stay.append(pending)
                else:
                    dropped.append((pending.order, str(invalid)))
        self.pending = stay
        return Moved(whole=True, dropped=dropped)

    def _later_snapshot(self, value: Any, own: list[str]) -> Moved:
        """Take a value that jumps ahead (R29).

        Whether it holds what is in flight is not known, so that is hidden until it is answered,
        unless to apply it twice is the same as once. What waits is rebased over the difference
        between the value that it stood on and the one that it comes to stand on.
        """
        in_flight = list(self.in_flight())
        waiting = self.pending[len(in_flight) :]
        start, self.confirmed = self.confirmed, value
        for pending in in_flight:
            start = self._applied_if_it_fits(start, pending.form)
        self.pending = [pending for pending in in_flight if pending.id not in own]
        end = value
        for pending in self.pending:
            end, pending.form = self._apply_if_idempotent(pending, end)
            pending.hidden = pending.form is None
        transition = self._difference(start, end) if waiting else None
        dropped: DroppedOrders = []
        if transition is None:
            # No change leads from the one to the other: what is based stands on nothing any more.
            overwritten = [it for it in waiting if it.base is Base.SEEN]
            dropped += [(pending.order, "the whole value was set") for pending in overwritten]
            waiting = [it for it in waiting if it.base is Base.LATEST]
        base = BaseChange(self.kind, start, end, transition or [])
        dropped += base.rebase_all(waiting, lambda _: False)
        self.view = base.new
        self.pending += waiting
        whole = transition is None
        # Without a transition to begin with, what came out does not lead from view to view.
        return Moved([] if whole else base.transition, whole, dropped)

    def _applied_if_it_fits(self, value: Any, form: Any) -> Any:
        try:
            return value if form is None else self.kind.apply(value, form)
        except Invalid:
            return value

    def _apply_if_idempotent(self, pending: Pending, value: Any) -> tuple[Any, Any]:
        """Apply a change if it is overwriting and does nothing when applied again."""
        if pending.base is not Base.LATEST:
            return value, None
        try:
            form = self.kind.resolve(pending.made, value)
            once = self.kind.apply(value, form)
            twice = self.kind.apply(once, self.kind.resolve(pending.made, once))
        except Invalid:
            return value, None
        return (once, form) if same(once, twice) else (value, None)

    def _difference(self, old: Any, new: Any) -> list[Any] | None:
        """Give changes that lead from one value to the other (R30).

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
