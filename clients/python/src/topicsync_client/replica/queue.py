"""The order in which local actions go out, over all logged topics, and which go out together.

What the program does in one order is accepted, published and undone in that order (R12). Actions
wait in one queue. They go out in flushes: as many as can be in flight together, in the order made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from typing import Any

from .orders import Order
from .outcome import Outcomes
from .pending import Base
from .state import LocalAction
from .topic import Link

JOINED_CHANGES_MAX = 1000
"""How many changes go out as one batch at most, of those that the replica puts together."""

JOINED_BYTES_MAX = 256 * 1024
"""How large such a batch gets, in bytes of JSON, before it is cut."""


@dataclass(slots=True, eq=False)
class Batch:
    """A batch to be sent."""

    members: list[Order]
    """In the order made."""
    several: bool
    """An action of several changes."""
    bytes: int | None = None
    """How large it is, in bytes of JSON, once that was looked at."""


class Flush:
    """The batches of one flush, in the making."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.topics: dict[str, tuple[int, Base]] = {}
        """Each topic's batch in `batches`, and the base of its last change there."""
        self.joined = False
        """The last batch is a joined one: all that follows joins it."""


class Queue(Outcomes):
    """The floor that knows what goes out next."""

    # Composing.

    def _may_join(self, new: LocalAction, earlier: Order) -> bool:
        """Whether a new single may be composed with an earlier action (R7, R9, R10)."""
        action = self._actions.get(earlier)
        if action is None or action.several or new.several or action.batch is not None:
            return False
        if not self.composes or earlier <= self._last_barrier():
            return False
        return earlier not in self._waiting or self._may_bind(new, earlier)

    def _may_bind(self, new: LocalAction, earlier: Order) -> bool:
        """Whether all from an action on may be bound to go out as one batch with a new single."""
        (topic_name,) = new.topics
        if not self._has_others_behind(earlier, topic_name):
            return True
        start = earlier
        if (around := self._bound.around(earlier)) is not None:
            start, end = around
            # All behind it is bound already, so nothing is added to what is bound.
            if self._waiting.last is not None and self._waiting.last <= end:
                return True
        bases = {topic_name: new.base}
        bound = self._waiting.starting_at(start, JOINED_CHANGES_MAX + 1)
        for order in bound:
            action = self._actions[order]
            if action.several or bases.setdefault(action.topics[0], action.base) != action.base:
                return False
        return len(bound) <= JOINED_CHANGES_MAX

    def _has_others_behind(self, order: Order, topic_name: str) -> bool:
        """Whether an action of several, or one on another logged topic, was made behind another."""
        # Mostly the answer is at the end of the queue, where this begins.
        return any(
            self._actions[behind].several or self._actions[behind].topics != [topic_name]
            for behind in self._waiting.behind(order)
        )

    # Undo and redo stand in the queue (R16).

    def _last_barrier(self) -> Order:
        """The last action made before the last undo or redo that was not sent yet."""
        barriers = (call.after for call in reversed(self._calls_waiting) if call.after is not None)
        return next(barriers, -1)

    def _first_barrier(self) -> float:
        """The last action that may go out before the first undo or redo that was not sent yet."""
        barriers = (call.after for call in self._calls_waiting if call.after is not None)
        return next(barriers, inf)

    # Sending.

    def _next_flush(self) -> list[Batch]:
        """Give what can go out now, in order (R13, R14)."""
        # A joined batch can come back in part, as can one that the server had no room for: what
        # was made later must not be accepted before them (R15).
        held = self._joined is not None and not self._in_flight[self._joined].orphaned
        first = self._waiting.after(-1)
        if held or self._busy or first is None or not self._can_go(first):
            return []
        if self._waiting.after(first) is None and first <= self._first_barrier():
            # Mostly there is one, and nothing to be put together.
            return [Batch([first], self._actions[first].several)]
        # Which go together does not depend on what is free: or what is made in turn on two topics
        # would go out one by one, each waiting for the other's answer.
        return list(takewhile(self._is_ready, self._put_together().batches))

    def _put_together(self) -> Flush:
        """Give the batches of the next flush, whether or not their topics are free."""
        flush = Flush()
        barrier = self._first_barrier()
        order = self._waiting.after(-1)
        while order is not None and order <= barrier:
            around = self._bound.around(order)
            last = order if around is None else around[1]
            if not self._add(flush, self._waiting.between(order, last)):
                break
            order = self._waiting.after(last)
        return flush

    def _add(self, flush: Flush, together: list[Order]) -> bool:
        """Add an action, or several that are bound. False if the flush ends before them."""
        actions = [self._actions[order] for order in together]
        several = actions[0].several
        topic_names = [topic_name for action in actions for topic_name in action.topics]
        topics = (self._topics.get(topic_name) for topic_name in topic_names)
        if any(topic is not None and topic.link is not Link.LIVE for topic in topics):
            return False
        standing = [flush.topics[name][0] for name in topic_names if name in flush.topics]
        if flush.joined or standing or len(together) > 1:
            # An action of several changes is a batch of its own, and never behind a joined one.
            if several or not self._join(flush, min(standing, default=None), together):
                return False
        else:
            flush.batches.append(Batch(together, several))
        last = len(flush.batches) - 1
        for action in actions:
            flush.topics.update(dict.fromkeys(action.topics, (last, action.base)))
        return True

    def _join(self, flush: Flush, first: int | None, together: list[Order]) -> bool:
        """Make one batch of all from the batch at `first` on, and actions.

        False if that cannot be.
        """
        candidates = [] if first is None else [first]
        if flush.joined:
            candidates.append(len(flush.batches) - 1)
        start = min(candidates, default=len(flush.batches))
        old = flush.batches[start:]
        for order in together:
            action = self._actions[order]
            standing = flush.topics.get(action.topics[0])
            if standing is not None and standing[1] is not action.base:
                return False
        if any(batch.several for batch in old) or (old and not self.composes):
            return False
        for batch in old:
            if batch.bytes is None:
                batch.bytes = self._bytes(batch.members)
        size = sum(batch.bytes or 0 for batch in old) + self._bytes(together)
        count = sum(len(batch.members) for batch in old) + len(together)
        # What is bound goes out whatever it comes to, or it never would.
        too_large = count > JOINED_CHANGES_MAX or size > JOINED_BYTES_MAX
        if flush.batches and too_large:
            return False
        if len(old) > 1 or not flush.joined:
            for topic_name, (batch_at, base) in flush.topics.items():
                flush.topics[topic_name] = min(batch_at, start), base
        if len(old) == 1 and flush.joined:
            # Mostly it is one more of many, which are not copied each time.
            old[0].members += together
            old[0].bytes = size
            return True
        members = [order for batch in old for order in batch.members]
        flush.batches[start:] = [Batch(members + together, False, size)]
        flush.joined = True
        return True

    def _is_ready(self, batch: Batch) -> bool:
        """Whether all topics of a batch can take it now."""
        return all(self._can_go(order) for order in batch.members)

    def _can_go(self, order: Order) -> bool:
        """Whether all topics of an action are free."""
        action = self._actions[order]
        for topic_name in action.topics:
            topic = self._topics.get(topic_name)
            if topic is None:
                continue
            part = next(iter(topic.of_action(order)), None)
            # A part of which nothing was left may be gone from its topic.
            if part is None:
                continue
            # Presence has no queue, so a part there may have others before it.
            first = topic.pending[0].order
            if not topic.is_free() or (action.several and topic.is_presence and first != order):
                return False
        return True

    def _bytes(self, orders: list[Order]) -> int:
        """How large the changes of singles are, in bytes of JSON."""
        size = 0
        for order in orders:
            topic = self._topics.get(self._actions[order].topics[0])
            for pending in topic.of_action(order) if topic else ():
                change = pending.to_send()
                if topic is not None and change is not None:
                    size += _json_bytes(topic.kind.encode_change(change))
        return size

    def _next_presence_batch(self, topic_name: str) -> Batch | None:
        """Give singles of a presence topic that go out as one batch, if it can take one."""
        topic = self._topics.get(topic_name)
        if topic is None or not topic.is_free() or not topic.pending:
            return None
        first = topic.pending[0]

        def fits(order: Order) -> bool:
            action = self._actions.get(order)
            return action is not None and not action.several and action.base is first.base

        if not fits(first.order):
            # An action of several changes stands in the queue, unless it is all presence.
            alone = first.order not in self._waiting and self._can_go(first.order)
            return Batch([first.order], True) if alone else None
        members: list[Order] = []
        size = 0
        for pending in topic.pending[: JOINED_CHANGES_MAX if self.composes else 1]:
            size += self._bytes([pending.order])
            if not fits(pending.order) or (members and size > JOINED_BYTES_MAX):
                break
            members.append(pending.order)
        return Batch(members, False)


def _json_bytes(fields: dict[str, Any]) -> int:
    return len(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode())
