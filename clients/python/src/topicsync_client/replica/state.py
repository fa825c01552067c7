"""What a replica knows: its topics, its batches, and where its session stands.

A *batch* is what meets one fate: one action of the program, or several single changes of one topic
that waited together and went out as one. The replica knows the batches; each topic knows where
their changes stand. At most one batch is in flight on a topic, and an action over several topics is
one batch that occupies all of them.

The classes of this folder stand on each other, a floor each:

| floor | holds |
|---|---|
| `state` | what there is |
| `fate` | how batches end |
| `local` | what the program does: subscribe, change |
| `calls` | services, both ways |
| `session` | sessions, lost connections |
| `outbox` | what goes out, and when |
| `receive` | what the server's messages lead to: `Replica` |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush

from .events import Event
from .messages import Hello, Message
from .topic import TopicReplica


@dataclass(slots=True, eq=False)
class Flight:
    """A batch as it was sent."""

    message: Message
    """Sent again just as it is."""
    id: str
    """What the batch is known by: the action's id, or that of its one change."""
    change_ids: frozenset[str]
    orphaned: bool = False
    """Its session is gone. It is not sent again; what its topics receive still shows its fate."""


@dataclass(slots=True, eq=False)
class Batch:
    """What meets one fate."""

    tickets: list[int]
    """Those to be told. Once it is confirmed there are none, though topics may still wait."""
    topics: list[str]
    """Those on which it has changes, sorted."""
    action: bool
    """Several changes that the program made as one: never joined with others."""
    flight: Flight | None = None


class Phase(Enum):
    """Where the session stands."""

    OFFLINE = "offline"
    RESUMING = "resuming"
    """A new session was offered, and the old one is asked for."""
    ONLINE = "online"


class SortedNames:
    """Names without doubles, taken out in their order."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._heap: list[str] = []

    def add(self, name: str) -> None:
        """Put a name in."""
        if name not in self._names:
            self._names.add(name)
            heappush(self._heap, name)

    def update(self, names: Iterable[str]) -> None:
        """Put names in."""
        for name in names:
            self.add(name)

    def pop_first(self) -> str | None:
        """Take the first name out."""
        if not self._heap:
            return None
        name = heappop(self._heap)
        self._names.discard(name)
        return name

    def sorted(self) -> list[str]:
        """All names, in their order."""
        return sorted(self._names)


class State:
    """The lowest floor of a replica."""

    def __init__(self) -> None:
        self._phase = Phase.OFFLINE
        self._offered: Hello | None = None
        self._asked_to_resume = False
        self.client_id: int | None = None
        """The id of the session in force; None before the first."""
        self._session: str | None = None
        self.message_bytes_max: int | None = None
        """How long a message may be, in bytes, as the server said."""
        self._counter = 0
        self._tickets = 0
        self._batches_made = 0
        self.composes = True
        """Whether single changes that wait are composed and sent together.

        If not, each goes out in a message of its own once the one before it is answered: every
        keystroke becomes a version, at the price of a round trip.
        """
        self._topics: dict[str, TopicReplica] = {}
        self._batches: dict[int, Batch] = {}
        # How often `unsubscribe` went out for a topic and is not answered. What comes for the topic
        # until then is of an earlier subscription.
        self._leaving: dict[str, int] = {}
        # Topics that may have something to send.
        self._stirred = SortedNames()
        # Batches in flight that are to be sent again, and those that the server had no room for.
        self._resend: set[int] = set()
        self._busy: set[int] = set()
        # Messages to be sent once there is a session, and lost with it.
        self._queue: list[Message] = []
        self._events: list[Event] = []

    def topic(self, topic_name: str) -> TopicReplica | None:
        """Give a topic, if it is subscribed."""
        return self._topics.get(topic_name)

    @property
    def pending_count(self) -> int:
        """How many local actions wait for their fate. Those joined into one batch count as one."""
        return len(self._batches)

    @property
    def is_online(self) -> bool:
        """Whether a session is in force on the present connection."""
        return self._phase is Phase.ONLINE

    def events(self) -> list[Event]:
        """Give what has happened since this was last asked, in order."""
        events, self._events = self._events, []
        return events

    def was_sent(self, ticket: int) -> bool:
        """Tell whether a local action that has no outcome yet was ever sent."""
        return any(
            ticket in batch.tickets and batch.flight is not None for batch in self._batches.values()
        )

    def _holds(self, topic_name: str, batch: int) -> bool:
        """Whether a topic has pending changes of a batch."""
        topic = self._topics.get(topic_name)
        return topic is not None and any(it.batch == batch for it in topic.pending)

    def _in_flight(self) -> list[int]:
        return [id for id, batch in self._batches.items() if batch.flight is not None]

    def _next_id(self) -> str:
        self._counter += 1
        return f"{self.client_id}_{self._counter}"
