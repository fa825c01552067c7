"""Sessions and lost connections, and the end."""

from __future__ import annotations

from .events import Online, Unknown, Unsent
from .messages import Hello
from .outcome import Dropped
from .requests import Requests
from .state import Phase
from .topic import Link


class Sessions(Requests):
    """The floor of sessions."""

    def disconnected(self) -> None:
        """Note that the connection is lost. What is in flight will be sent again (R28)."""
        self._phase = Phase.OFFLINE
        for topic_name, topic in self._topics.items():
            if topic.link is not Link.UNASKED:
                topic.unasked(continues=topic.link is not Link.SNAPSHOT)
            self._dirty.add(topic_name)
        self._resend = set(self._in_flight)
        self._busy.clear()
        self._leaving.clear()
        self._requests_disconnected()

    def resend_busy(self) -> None:
        """Send again what the server had no room for: the time has come (R23)."""
        self._resend |= self._busy
        self._busy.clear()

    def close(self) -> None:
        """Take no more local actions and requests: the client is about to close (R38)."""
        self._closed = True

    def end(self) -> None:
        """Give up what has no outcome, and tell the program (R38).

        What was sent is unknown, and what was not is unsent. Views stay as they are.
        """
        self._closed = True
        for action in self._unsettled_actions():
            event = Unsent if action.batch is None else Unknown
            self._events += [event(ticket) for ticket in action.tickets]
            action.tickets = []
        self._end_requests()

    def _hello(self, hello: Hello) -> None:
        self.message_bytes_max = hello.message_bytes
        if self._phase is Phase.OFFLINE and self._session is not None:
            self._phase = Phase.RESUMING
            self._offered, self._asked_to_resume = hello, False
        else:
            self._go_online(hello)

    def _go_online(self, hello: Hello) -> None:
        self._phase = Phase.ONLINE
        self.client_id = hello.id
        self._session = hello.session
        self._events.append(Online(hello.id, hello.resumed))
        self._dirty.update(self._topics)

    def _session_lost(self) -> None:
        """The old session is gone (R36). What was never sent goes out under the new id.

        What was in flight cannot be sent again; if a topic can be continued, it shows yet whether
        it was accepted.
        """
        if self._phase is not Phase.RESUMING or self._offered is None:
            return
        for in_flight in self._in_flight.values():
            in_flight.orphaned = True
        self._messages.clear()
        self._resend.clear()
        self._requests_session_lost()
        self._go_online(self._offered)

    def _settle_orphan(self, topic_name: str) -> None:
        """Drop an orphan that is still in flight on a topic that is caught up.

        The topic has received all that was published before the new session began, and the orphan
        was not in it.
        """
        topic = self._topics.get(topic_name)
        first = next(topic.in_flight(), None) if topic and topic.caught_up() else None
        action = self._actions.get(first.order) if first else None
        if action is not None and action.batch is not None:
            in_flight = self._in_flight.get(action.batch)
            if in_flight is not None and in_flight.orphaned:
                self._drop_batch(action.batch, Dropped())
