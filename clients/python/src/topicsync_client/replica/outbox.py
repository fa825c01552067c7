"""What goes out, and when (R18)."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from .events import Closed
from .messages import Message
from .orders import Order
from .pending import Base
from .queue import Batch
from .session import Sessions
from .state import InFlight, Phase
from .topic import Link


class Outbox(Sessions):
    """The floor that sends."""

    def outbox(self) -> list[Message]:
        """Give the messages to be sent now, in order. Each is given once, and counts as sent."""
        if self._phase is Phase.ONLINE:
            return self._online_outbox()
        if self._phase is Phase.RESUMING and not self._asked_to_resume:
            self._asked_to_resume = True
            return [{"type": "resume", "content": {"session": self._session}}]
        return []

    def _online_outbox(self) -> list[Message]:
        messages, self._messages = self._messages, []
        messages += self._offers_to_send()
        self._send_subscribes(messages)
        self._send_again(messages)
        self._send_queue(messages)
        # What turns out to be done makes its topics dirty again, and they come once more.
        while (topic_name := self._dirty.pop_first()) is not None:
            self._send_presence(topic_name, messages)
            self._close_if_done(topic_name, messages)
        messages += self._calls_to_send()
        # What was made after an undo that has just gone out (R16).
        self._send_queue(messages)
        return messages

    def _send_subscribes(self, messages: list[Message]) -> None:
        for topic_name in self._dirty.sorted():
            topic = self._topics.get(topic_name)
            if topic is None or (topic.closing and not topic.pending):
                continue
            if topic.link is Link.UNASKED:
                messages.append(topic.subscribe(topic_name))

    def _send_again(self, messages: list[Message]) -> None:
        resend, self._resend = sorted(self._resend), set()
        for batch in resend:
            in_flight = self._in_flight.get(batch)
            if in_flight is not None and not in_flight.orphaned:
                messages.append(in_flight.message)

    def _send_queue(self, messages: list[Message]) -> None:
        """Send what waits on logged topics, as far as it can go out."""
        # Of some batches nothing may be left to do, and what waited behind them can go out too.
        while flush := self._next_flush():
            for batch in flush:
                self._send_batch(batch, messages)

    def _send_presence(self, topic_name: str, messages: list[Message]) -> None:
        """Send what waits on a presence topic, if nothing of it is in flight."""
        self._tend_presence(topic_name)
        topic = self._topics.get(topic_name)
        if topic is None or not topic.is_presence:
            return
        while (batch := self._next_presence_batch(topic_name)) is not None:
            self._send_batch(batch, messages)

    def _close_if_done(self, topic_name: str, messages: list[Message]) -> None:
        """End a subscription that is not wanted any more (R33)."""
        topic = self._topics.get(topic_name)
        if topic is None or not topic.closing or topic.pending:
            return
        if topic.link is not Link.UNASKED:
            messages.append({"type": "unsubscribe", "content": {"topic_name": topic_name}})
            self._leaving[topic_name] = self._leaving.get(topic_name, 0) + 1
        del self._topics[topic_name]
        self._events.append(Closed(topic_name, None))

    def _send_batch(self, batch: Batch, messages: list[Message]) -> None:
        """Give a batch its ids and put it in flight.

        If nothing of it is left to do, it is done (R19).
        """
        members = set(batch.members)
        topic_names: set[str] = set()
        for order in batch.members:
            topic_names.update(self._actions[order].topics)
            if self._waiting.discard(order):
                self._bound.unbind(order)
        topics = sorted(topic_names)
        left = sum(self._drop_what_is_done(topic_name, members) for topic_name in topics)
        if not left:
            for order in batch.members:
                self._confirm_unsent(order)
            return
        action_id = self._next_id() if batch.several or left > 1 else None
        changes = [
            change
            for topic_name in topics
            if topic_name in self._topics
            for change in self._changes_to_send(topic_name, members)
        ]
        message: Message
        if action_id is None:
            message = {"type": "update", "content": changes[0]}
        else:
            content = {"action_id": action_id, "changes": changes}
            message = {"type": "action", "content": content}
        first = batch.members[0]
        for order in batch.members:
            self._actions[order].batch = first
        if len(batch.members) > 1 and not self._is_presence(topics):
            self._joined = first
        id = action_id or changes[0]["change"]["id"]
        self._in_flight[first] = InFlight(message, batch.members, topics, id)
        messages.append(message)

    def _changes_to_send(self, topic_name: str, members: set[Order]) -> list[dict[str, Any]]:
        """Give the changes of a batch on one topic, under new ids: they are in flight then."""
        topic = self._topics[topic_name]
        changes = []
        for pending in topic.pending:
            if pending.order not in members:
                break
            pending.id = self._next_id()
            fields = topic.kind.encode_change(pending.to_send())
            fields["id"] = pending.id
            if pending.base is Base.SEEN:
                fields["base"] = topic.version
            change: dict[str, Any] = {"topic_name": topic_name, "change": fields}
            if topic.epoch is not None:
                change["epoch"] = topic.epoch
            changes.append(change)
        return changes

    def _drop_what_is_done(self, topic_name: str, members: set[Order]) -> int:
        """Take changes of which nothing is left out of a topic, and count the others of a batch."""
        topic = self._topics.get(topic_name)
        if topic is None:
            return 0
        of_batch = sum(1 for _ in takewhile(lambda it: it.order in members, topic.pending))
        left = [it for it in topic.pending[:of_batch] if it.to_send() is not None]
        topic.pending[:of_batch] = left
        return len(left)
