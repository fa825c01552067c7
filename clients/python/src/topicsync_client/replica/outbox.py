"""What goes out, and when."""

from __future__ import annotations

import json
from typing import Any

from .events import Closed
from .messages import Message
from .pending import Footing
from .session import Sessions
from .state import Flight, Phase
from .topic import Link

BATCH_CHANGES_MAX = 1000
"""How many changes that waited go out as one batch at most."""

BATCH_BYTES_MAX = 256 * 1024
"""How large such a batch gets, in bytes of JSON, before it is cut."""


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
        messages, self._queue = self._queue, []
        messages += self._offers_to_send()
        self._send_subscribes(messages)
        self._send_again(messages)
        # What turns out to be done stirs its topic again, for the next batch.
        while (topic_name := self._stirred.pop_first()) is not None:
            self._send_batch(topic_name, messages)
            self._close_if_done(topic_name, messages)
        messages += self._calls_to_send()
        return messages

    def _send_subscribes(self, messages: list[Message]) -> None:
        for topic_name in self._stirred.sorted():
            topic = self._topics.get(topic_name)
            if topic is None or (topic.closing and not topic.pending):
                continue
            if topic.link is Link.UNASKED:
                messages.append(topic.subscribe(topic_name))

    def _send_again(self, messages: list[Message]) -> None:
        resend, self._resend = sorted(self._resend), set()
        for id in resend:
            batch = self._batches.get(id)
            if batch and batch.flight and not batch.flight.orphaned:
                messages.append(batch.flight.message)

    def _close_if_done(self, topic_name: str, messages: list[Message]) -> None:
        """End a subscription that is not wanted any more."""
        topic = self._topics.get(topic_name)
        if topic is None or not topic.closing or topic.pending:
            return
        if topic.link is not Link.UNASKED:
            messages.append({"type": "unsubscribe", "content": {"topic_name": topic_name}})
            self._leaving[topic_name] = self._leaving.get(topic_name, 0) + 1
        del self._topics[topic_name]
        self._events.append(Closed(topic_name, None))

    def _send_batch(self, topic_name: str, messages: list[Message]) -> None:
        """Send the next batch of a topic, if nothing of it is in flight."""
        self._tend_presence(topic_name)
        topic = self._topics.get(topic_name)
        if topic is None or not topic.is_free() or not topic.pending:
            return
        first = topic.pending[0].batch
        batch = self._batches.get(first)
        action = batch is not None and batch.action
        if not action:
            self._gather_singles(topic_name, first)
        elif not self._action_is_ready(first):
            # The topics that it waits for stir when they are free, and find it there.
            return
        message = self._launch(first, action)
        if message is not None:
            messages.append(message)

    def _action_is_ready(self, id: int) -> bool:
        for topic_name in self._batches[id].topics:
            # A part of which nothing was left may be gone from its topic.
            if self._holds(topic_name, id):
                topic = self._topics[topic_name]
                if not topic.is_free() or topic.pending[0].batch != id:
                    return False
        return True

    def _gather_singles(self, topic_name: str, first: int) -> None:
        """Make one batch of the single changes that wait on a topic, as many as can go together."""
        topic = self._topics[topic_name]
        footing = topic.pending[0].footing
        size = 0
        gathered: list[int] = []
        for pending in topic.pending[: BATCH_CHANGES_MAX if self.composes else 1]:
            batch = self._batches.get(pending.batch)
            change = pending.to_send()
            if change is not None and len(topic.pending) > 1:
                size += _json_bytes(topic.kind.encode_change(change))
            full = size > BATCH_BYTES_MAX and gathered
            if batch is None or batch.action or full or pending.footing is not footing:
                break
            gathered.append(pending.batch)
            pending.batch = first
        for id in gathered:
            if id != first and (batch := self._batches.pop(id, None)):
                self._batches[first].tickets += batch.tickets

    def _launch(self, id: int, action: bool) -> Message | None:
        """Give a batch its ids and put it in flight. If nothing of it is left, it is done."""
        batch = self._batches.get(id)
        if batch is None:
            return None
        left = sum(self._drop_what_is_done(topic_name, id) for topic_name in batch.topics)
        if not left:
            self._confirm(id)
            return None
        action_id = self._next_id() if action or left > 1 else None
        changes = [
            change
            for topic_name in batch.topics
            if topic_name in self._topics
            for change in self._changes_to_send(topic_name, id)
        ]
        message: Message
        if action_id is None:
            message = {"type": "update", "content": changes[0]}
        else:
            content = {"action_id": action_id, "changes": changes}
            message = {"type": "action", "content": content}
        change_ids = [change["change"]["id"] for change in changes]
        batch.flight = Flight(message, action_id or change_ids[0], frozenset(change_ids))
        return message

    def _changes_to_send(self, topic_name: str, id: int) -> list[dict[str, Any]]:
        topic = self._topics[topic_name]
        changes = []
        for pending in topic.pending:
            if pending.batch != id:
                break
            pending.id = self._next_id()
            fields = topic.kind.encode_change(pending.to_send())
            fields["id"] = pending.id
            if pending.footing is Footing.SEEN:
                fields["base"] = topic.version
            change: dict[str, Any] = {"topic_name": topic_name, "change": fields}
            if topic.epoch is not None:
                change["epoch"] = topic.epoch
            changes.append(change)
        return changes

    def _drop_what_is_done(self, topic_name: str, id: int) -> int:
        """Take changes of which nothing is left out of a topic, and count the others of a batch."""
        topic = self._topics.get(topic_name)
        if topic is None:
            return 0
        topic.pending = [it for it in topic.pending if it.batch != id or it.to_send() is not None]
        return sum(it.batch == id for it in topic.pending)


def _json_bytes(fields: dict[str, Any]) -> int:
    return len(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode())
