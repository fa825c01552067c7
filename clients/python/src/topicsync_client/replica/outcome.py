"""How actions end: confirmed, rejected, unknown or unsent (R25)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from ..changes import Origin
from .events import Changed, Confirmed, Rejected, Unknown
from .orders import Order
from .pending import Base, Pending
from .state import InFlight, State
from .topic import Moved, TopicReplica

OF_THE_CHANGE = frozenset({"stale", "invalid", "forbidden", "wrong_type", "unknown_topic"})
"""The codes of a rejection for which one change is at fault, and not its batch (R22)."""


@dataclass(slots=True)
class Dropped:
    """Why an action left the views: it was rejected, or is unknown if there is no code."""

    topic_name: str = ""
    code: str = ""
    reason: str = ""


class Outcomes(State):
    """The floor that ends actions."""

    def _confirm(self, batch: Order) -> None:
        """Tell the program that a batch is accepted (R20).

        It is forgotten once no topic waits for its part of it.
        """
        in_flight = self._in_flight.get(batch)
        if in_flight is None:
            return
        if not in_flight.confirmed:
            in_flight.confirmed = True
            for member in in_flight.members:
                self._tell_confirmed(member, in_flight.id)
        # It may come in parts, one for each topic, and each takes out its own (R35).
        topics = (self._topics.get(topic_name) for topic_name in in_flight.topics)
        if not any(self._batch_of(it.order) == batch for it in _first_in_flight(topics)):
            self._forget_batch(batch)
            for member in in_flight.members:
                self._actions.pop(member, None)
        self._dirty.update(in_flight.topics)

    def _batch_of(self, order: Order) -> Order | None:
        """The batch in flight that an action is of."""
        action = self._actions.get(order)
        return None if action is None else action.batch

    def _confirm_unsent(self, order: Order) -> None:
        """Tell the program that nothing of an action was left to send (R19)."""
        self._tell_confirmed(order, None)
        self._waiting.discard(order)
        action = self._actions.pop(order, None)
        if action is not None:
            self._dirty.update(action.topics)

    def _tell_confirmed(self, order: Order, id: str | None) -> None:
        action = self._actions.get(order)
        if action is not None:
            self._events += [Confirmed(ticket, id) for ticket in action.tickets]
            action.tickets = []

    def _forget_batch(self, batch: Order) -> InFlight | None:
        self._resend.discard(batch)
        self._busy.discard(batch)
        if self._joined == batch:
            self._joined = None
        return self._in_flight.pop(batch, None)

    def _drop_batch(self, batch: Order, why: Dropped) -> None:
        """Take a batch in flight out of all its topics, and tell the program."""
        in_flight = self._forget_batch(batch)
        if in_flight is not None:
            self._drop_actions(in_flight.members, why)

    def _drop_actions(self, orders: list[Order], why: Dropped) -> None:
        """Take actions out of all their topics, and tell the program.

        What was made on top of them and conflicts without them is dropped too.
        """
        left = [(orders, why)]
        while left:
            orders, why = left.pop()
            leaving = set(orders)
            for topic_name in self._tell_dropped(orders, why):
                topic = self._topics.get(topic_name)
                if topic is None:
                    continue
                before = topic.view
                moved = topic.remove(lambda it, leaving=leaving: it.order in leaving)  # type: ignore[misc]
                left += _conflicting(topic_name, moved)
                self._tell_moved(topic_name, before, moved, Origin.CORRECTION)
                self._dirty.add(topic_name)

    def _tell_dropped(self, orders: Iterable[Order], why: Dropped) -> list[str]:
        """Forget actions and tell the program why. Gives their topics, in name order."""
        topic_names: set[str] = set()
        for order in orders:
            self._waiting.discard(order)
            action = self._actions.pop(order, None)
            if action is None:
                continue
            topic_names.update(action.topics)
            for ticket in action.tickets:
                if why.code:
                    self._events.append(Rejected(ticket, why.topic_name, why.code, why.reason))
                else:
                    self._events.append(Unknown(ticket))
        return sorted(topic_names)

    def _reject_batch(self, batch: Order, change_id: str | None, why: Dropped) -> None:
        """Drop what a rejection of a batch is about (R22).

        Of a joined batch that is the change that it names, if the change is at fault; the others
        wait again.
        """
        topic = self._topics.get(why.topic_name)
        named = None if topic is None or change_id is None else topic.order_of(change_id)
        members = self._in_flight[batch].members
        if named in members and len(members) > 1 and why.code in OF_THE_CHANGE:
            self._take_back(batch, named, why)
        else:
            self._drop_batch(batch, why)

    def _take_back(self, batch: Order, rejected: Order, why: Dropped) -> None:
        """Let a joined batch wait again, without the action that was rejected."""
        in_flight = self._forget_batch(batch)
        if in_flight is None:
            return
        # What is hidden and based has no form any more that could be sent.
        lost: set[Order] = set()
        for topic_name in in_flight.topics:
            if (topic := self._topics.get(topic_name)) is not None:
                lost |= {it.order for it in topic.in_flight() if it.hidden and it.base is Base.SEEN}
        lost.discard(rejected)
        self._tell_dropped([rejected], why)
        for order in sorted(lost):
            action = self._actions.get(order)
            topic_name = action.topics[0] if action else ""
            reason = "not sent again: it conflicts with what came meanwhile"
            self._tell_dropped([order], Dropped(topic_name, "stale", reason))
        leaving = {*lost, rejected}
        back = [order for order in in_flight.members if order not in leaving]
        for order in back:
            if (action := self._actions.get(order)) is not None:
                action.batch = None
                self._waiting.add(order)
        # They were made as one queue, and may have been composed across each other (R10).
        if len(back) > 1:
            self._bound.bind(back[0], back[-1])
        for topic_name in in_flight.topics:
            topic = self._topics.get(topic_name)
            if topic is not None:
                before = topic.view
                moved = topic.take_back(lambda it: it.order in leaving)
                self._moved(topic_name, before, moved, Origin.CORRECTION)
                self._dirty.add(topic_name)

    def _moved(
        self,
        topic_name: str,
        before: object,
        moved: Moved,
        origin: Origin,
        author: int | None = None,
    ) -> None:
        """Tell the program how a view moved, and drop what conflicts."""
        self._tell_moved(topic_name, before, moved, origin, author)
        for orders, why in _conflicting(topic_name, moved):
            self._drop_actions(orders, why)

    def _tell_moved(
        self,
        topic_name: str,
        before: object,
        moved: Moved,
        origin: Origin,
        author: int | None = None,
    ) -> None:
        topic = self._topics.get(topic_name)
        if topic is not None and (moved.whole or moved.changes):
            value = topic.view
            self._events.append(
                Changed(topic_name, topic.kind, before, value, moved.changes, origin, author)
            )


def _first_in_flight(topics: Iterable[TopicReplica | None]) -> Iterator[Pending]:
    """The first change in flight on each topic. All those of one topic are of one batch (R6)."""
    for topic in topics:
        if topic is not None:
            yield from islice(topic.in_flight(), 1)


def _conflicting(topic_name: str, moved: Moved) -> list[tuple[list[Order], Dropped]]:
    """What becomes of actions of which a waiting change conflicts (R21)."""
    return [
        ([order], Dropped(topic_name, "stale", f"not sent: {why}")) for order, why in moved.dropped
    ]
