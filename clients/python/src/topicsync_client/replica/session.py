"""Sessions and lost connections."""

from __future__ import annotations

from .calls import Calls
from .events import Online
from .fate import Loss
from .messages import Hello
from .state import Phase
from .topic import Link


class Sessions(Calls):
    """The floor of sessions."""

    def disconnected(self) -> None:
        """Note that the connection is lost. What was in flight will be sent again, as it was."""
        self._phase = Phase.OFFLINE
        for topic_name, topic in self._topics.items():
            if topic.link is not Link.UNASKED:
                topic.unasked(continues=topic.link is not Link.SNAPSHOT)
            self._stirred.add(topic_name)
        self._resend = set(self._in_flight())
        self._busy.clear()
        self._leaving.clear()
        self._calls_disconnected()

    def resend_busy(self) -> None:
        """Send again what the server had no room for: the time has come."""
        self._resend |= self._busy
        self._busy.clear()

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
        self._stirred.update(self._topics)

    def _session_lost(self) -> None:
        """The old session is gone. What was never sent goes out under the new id.

        What was in flight cannot be sent again; if a topic can be continued, it shows yet whether
        it was accepted.
        """
        if self._phase is not Phase.RESUMING or self._offered is None:
            return
        for batch in self._batches.values():
            if batch.flight is not None:
                batch.flight.orphaned = True
        self._queue.clear()
        self._resend.clear()
        self._calls_in_new_session()
        self._go_online(self._offered)

    def _settle_orphan(self, topic_name: str) -> None:
        """Lose an orphan that is still in flight on a topic that is caught up.

        The topic has received all that was published before the new session began, and the orphan
        was not in it.
        """
        topic = self._topics.get(topic_name)
        if topic is None or not topic.caught_up():
            return
        id = topic.in_flight_batch()
        batch = None if id is None else self._batches.get(id)
        if id is not None and batch and batch.flight and batch.flight.orphaned:
            self._lose(id, Loss())
