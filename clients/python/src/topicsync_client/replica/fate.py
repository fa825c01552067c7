"""How batches end: confirmed, refused, or unknown."""

from __future__ import annotations

from dataclasses import dataclass

from ..changes import Origin
from .events import Changed, Confirmed, Refused, Unknown
from .state import State
from .topic import Moved


@dataclass(slots=True)
class Loss:
    """A fate other than being accepted: refused, or unknown if there is no code."""

    topic_name: str = ""
    code: str = ""
    reason: str = ""


class Fates(State):
    """The floor that ends batches."""

    def _confirm(self, id: int) -> None:
        """Tell the program that a batch is accepted.

        It is forgotten once no topic waits for its part.
        """
        batch = self._batches.get(id)
        if batch is None:
            return
        under = batch.flight.id if batch.flight else None
        self._events += [Confirmed(ticket, under) for ticket in batch.tickets]
        batch.tickets = []
        if not any(self._holds(topic_name, id) for topic_name in batch.topics):
            self._forget(id)
        self._stirred.update(batch.topics)

    def _forget(self, id: int) -> None:
        del self._batches[id]
        self._resend.discard(id)
        self._busy.discard(id)

    def _lose(self, id: int, loss: Loss) -> None:
        """Take a batch out of all its topics, and tell the program.

        What was made on top of it and cannot stand without it goes with it.
        """
        losses = [(id, loss)]
        while losses:
            id, loss = losses.pop()
            batch = self._batches.get(id)
            if batch is None:
                continue
            for ticket in batch.tickets:
                if loss.code:
                    refused = Refused(ticket, loss.topic_name, loss.code, loss.reason)
                    self._events.append(refused)
                else:
                    self._events.append(Unknown(ticket))
            self._forget(id)
            for topic_name in batch.topics:
                losses += self._take_out(topic_name, id)

    def _take_out(self, topic_name: str, id: int) -> list[tuple[int, Loss]]:
        """Take a batch out of one topic, and give what falls with it."""
        topic = self._topics.get(topic_name)
        if topic is None:
            return []
        before = topic.view
        moved = topic.remove(lambda pending: pending.batch == id)
        self._changed(topic_name, before, moved, Origin.CORRECTION)
        self._stirred.add(topic_name)
        return _falls(topic_name, moved)

    def _moved(
        self, topic_name: str, before: object, moved: Moved, origin: Origin, author: int | None
    ) -> None:
        """Tell the program how a view moved, and lose what could not move with it."""
        self._changed(topic_name, before, moved, origin, author)
        for id, loss in _falls(topic_name, moved):
            self._lose(id, loss)

    def _changed(
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


def _falls(topic_name: str, moved: Moved) -> list[tuple[int, Loss]]:
    """The losses of changes that waited and cannot be carried any further."""
    return [(id, Loss(topic_name, "stale", f"not sent: {why}")) for id, why in moved.fallen]
