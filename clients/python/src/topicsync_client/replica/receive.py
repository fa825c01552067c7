"""What the server's messages lead to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..changes import Origin
from ..errors import Invalid
from .events import Busy, Closed, Error, Ready, Requested, ServiceFailure
from .messages import (
    Hello,
    Message,
    OfService,
    Published,
    Rejection,
    Response,
    ServerMessage,
    Subscribed,
    Unsubscribed,
    read,
)
from .orders import Order
from .outbox import Outbox
from .outcome import Dropped
from .topic import Link, Moved, Taken

RUN_MIN = 16
"""How many changes of others in a row are taken as one."""


class Replica(Outbox):
    """All topics of one client. It does no input or output: plain data, and pure functions of it.

    A connection feeds it with `receive` and sends what `outbox` gives. A program changes it with
    `local`, and is told by `events`.
    """

    def receive_frame(self, messages: Sequence[Message]) -> None:
        """Take the messages of one frame, in order.

        Long runs of others' changes of a topic are taken as one, if something is pending there: to
        rebase all that waits over each of them would cost the product of both (R47).
        """
        contents = [_content(message) for message in messages]
        at = 0
        while at < len(contents):
            run = self._run_of_others(contents, at)
            if len(run) < RUN_MIN or not self._take_run(run):
                for content in contents[at : at + max(1, len(run))]:
                    self._take(content)
            at += max(1, len(run))

    def receive(self, message: Message) -> None:
        """Take one message of the server.

        Whatever it holds, the replica stays sound: what makes no sense is told to the program, and
        the topic is asked for anew.
        """
        self._take(_content(message))

    def _take(self, content: ServerMessage | None) -> None:
        if isinstance(content, list):
            for published in content:
                self._incoming(published)
        elif isinstance(content, Hello):
            self._hello(content)
        elif isinstance(content, Subscribed):
            self._subscribed(content)
        elif isinstance(content, Rejection):
            self._reject(content)
        elif isinstance(content, Unsubscribed):
            self._unsubscribed(content.topic_name)
        elif isinstance(content, OfService):
            self._offer_answered(content.service_name, content.registered)
        elif isinstance(content, Requested):
            self._events.append(content)
        elif isinstance(content, Response):
            self._response(content.request_id, content.value, content.failure)
        elif isinstance(content, Error):
            self._error(content)

    def _subscribed(self, subscribed: Subscribed) -> None:
        topic_name = subscribed.topic_name
        topic = self._topics.get(topic_name)
        if topic_name in self._leaving or topic is None or topic.link is not Link.ASKED:
            return
        if subscribed.type != topic.kind.name:
            reason = f"it is a {subscribed.type} topic"
            self._close(topic_name, Error("wrong_type", reason, "subscribe", topic_name))
            return
        if topic.epoch is not None and topic.epoch != subscribed.epoch:
            self._end_life(topic_name)
        was_ready = topic.ready
        topic.subscribed(subscribed)
        if topic.ready and not was_ready:
            self._events.append(Ready(topic_name))
        self._dirty.add(topic_name)
        self._settle_orphan(topic_name)

    def _end_life(self, topic_name: str) -> None:
        """The topic begins a new life: what is pending belongs to the old one (R32)."""
        self._drop_all(topic_name, "stale", "the topic has a new life")
        topic = self._topics[topic_name]
        before = topic.view
        topic.start_afresh()
        self._moved(topic_name, before, Moved(whole=True), Origin.SNAPSHOT)

    def _drop_all(self, topic_name: str, code: str, reason: str) -> None:
        """Drop all that is pending on a topic. What was sent may have been accepted."""
        while (topic := self._topics.get(topic_name)) and topic.pending:
            order = topic.pending[-1].order
            action = self._actions.get(order)
            if action is not None and action.batch is not None:
                self._drop_batch(action.batch, Dropped())
            else:
                self._drop_actions([order], Dropped(topic_name, code, reason))

    def _close(self, topic_name: str, error: Error) -> None:
        self._drop_all(topic_name, _AS_REJECT.get(error.code, "unavailable"), error.reason)
        if self._topics.pop(topic_name, None) is not None:
            self._events.append(Closed(topic_name, error))

    def _unsubscribed(self, topic_name: str) -> None:
        topic = self._topics.get(topic_name)
        if topic_name in self._leaving:
            self._leaving[topic_name] -= 1
            if not self._leaving[topic_name]:
                del self._leaving[topic_name]
        elif topic is not None and topic.link is Link.LIVE:
            reason = "the server ended the subscription"
            self._close(topic_name, Error("forbidden", reason, "subscribe", topic_name))

    def _incoming(self, news: Published) -> None:
        topic = self._topics.get(news.topic_name)
        if topic is None:
            return
        orders = {id: order for id in news.ids if (order := topic.order_of(id)) is not None}
        was_ready, before = topic.ready, topic.view
        taken: Moved | Taken | Invalid
        try:
            taken = topic.take(news, list(orders))
        except Invalid as invalid:
            taken = invalid
        if topic.ready and not was_ready:
            self._events.append(Ready(news.topic_name))
        self._taken(news, before, taken)
        for order in orders.values():
            action = self._actions.get(order)
            if action is not None and action.batch is not None:
                self._confirm(action.batch)
        self._settle_orphan(news.topic_name)

    def _run_of_others(self, contents: list[ServerMessage | None], at: int) -> list[Published]:
        """Give the changes of others that come in a row on one topic, if they can be composed."""
        run: list[Published] = []
        in_flight: set[str | None] = set()
        for content in islice(contents, at, None):
            if not isinstance(content, list) or len(content) != 1:
                break
            (news,) = content
            if not run:
                topic = self._topics.get(news.topic_name)
                if topic is None or not topic.takes_runs:
                    break
                in_flight = {pending.id for pending in topic.in_flight()}
            elif news.topic_name != run[0].topic_name:
                break
            plain = not (news.snapshot or news.of_action or news.since is not None)
            if not plain or not in_flight.isdisjoint(news.ids):
                break
            run.append(news)
        return run

    def _take_run(self, run: list[Published]) -> bool:
        """Take changes of others in a row as one. False if one of them does not fit."""
        topic_name = run[0].topic_name
        topic = self._topics[topic_name]
        before = topic.view
        moved = topic.take_run(run)
        if moved is None:
            return False
        authors = {news.author for news in run}
        author = authors.pop() if len(authors) == 1 else None
        self._dirty.add(topic_name)
        self._moved(topic_name, before, moved, Origin.REMOTE, author)
        self._settle_orphan(topic_name)
        return True

    def _taken(self, news: Published, before: object, taken: Moved | Taken | Invalid) -> None:
        topic_name = news.topic_name
        if isinstance(taken, Moved):
            self._dirty.add(topic_name)
            origin = Origin.SNAPSHOT if news.snapshot else Origin.REMOTE
            author = None if news.snapshot else news.author
            self._moved(topic_name, before, taken, origin, author)
        elif taken is Taken.GAP:
            self._ask_again(topic_name, True, "versions are missing")
        elif isinstance(taken, Invalid):
            if news.snapshot:
                self._close(topic_name, Error("malformed", str(taken), "subscribe", topic_name))
            else:
                self._ask_again(topic_name, False, str(taken))

    def _ask_again(self, topic_name: str, continues: bool, reason: str) -> None:
        """Subscribe again, as what came does not fit what is here."""
        self._topics[topic_name].unasked(continues)
        self._dirty.add(topic_name)
        self._events.append(Error("malformed", reason, "update", topic_name))

    def _reject(self, rejection: Rejection) -> None:
        batch = self._find_batch(rejection)
        if batch is None:
            return
        if rejection.code == "busy":
            self._busy.add(batch)
            self._events.append(Busy())
            return
        for topic_name in self._in_flight[batch].topics:
            topic = self._topics.get(topic_name)
            if topic is not None and topic.is_presence:
                # It would be put there, and rejected, for ever (R37).
                topic.presence = None
        why = Dropped(rejection.topic_name, rejection.code, rejection.reason)
        self._reject_batch(batch, rejection.change_id, why)

    def _find_batch(self, rejection: Rejection) -> Order | None:
        """Find the batch that a rejection is about."""
        for batch, in_flight in self._in_flight.items():
            content = in_flight.message["content"]
            if in_flight.message["type"] == "action":
                if rejection.action_id is not None:
                    named = rejection.action_id == in_flight.id
                else:
                    ids = (it["change"]["id"] for it in content["changes"])
                    named = rejection.change_id in ids
            else:
                named = rejection.change_id == in_flight.id
            if named:
                return batch
        return None

    def _error(self, error: Error) -> None:
        if error.code == "session_unknown":
            self._session_lost()
        elif error.topic_name and (error.code == "topic_removed" or error.to == "subscribe"):
            self._close(error.topic_name, error)
        elif error.to == "request":
            failure = ServiceFailure("failed", error.reason)
            self._response(error.request_id or "", None, failure)
        else:
            if error.to == "register_service":
                self._offers.pop(error.service_name or "", None)
            self._events.append(error)


def _content(message: Message) -> ServerMessage | None:
    """What a message says; None if nobody knows it here, or it cannot be understood."""
    try:
        return read(message)
    except Invalid:
        # Of a later version of the protocol, or else a version will be missed.
        return None


_AS_REJECT = {
    "unknown_topic": "unknown_topic",
    "topic_removed": "unknown_topic",
    "wrong_type": "wrong_type",
    "forbidden": "forbidden",
    "invalid": "invalid",
    "malformed": "invalid",
}
"""What a topic's end means to what waited for it."""
