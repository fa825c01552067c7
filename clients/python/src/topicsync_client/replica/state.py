"""What a replica knows: its topics, what was made here and sent, and where its session stands.

An *action* is what the program makes in one call: one change (a *single*) or several. A *batch* is
what goes out as one message: an action of several changes, or singles that are put together. The
replica knows the actions, in the order made, and the batches; each topic knows where their changes
stand. `docs/replica.md` has the rules that the code cites (R1, R2, ...).

The classes of this folder stand on each other, a floor each:

| floor | holds |
|---|---|
| `state` | what there is |
| `outcome` | how actions end |
| `queue` | the order in which actions go out, and which go out together |
| `local` | what the program does: subscribe, change |
| `requests` | services, both ways |
| `session` | sessions, lost connections, the end |
| `outbox` | what goes out, and when |
| `receive` | what the server's messages lead to: `Replica` |
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush
from typing import Any

from .events import Event
from .messages import Hello, Message
from .orders import Bound, Order, Orders
from .pending import Base
from .topic import TopicReplica


@dataclass(slots=True, eq=False)
class LocalAction:
    """What the program made in one call, or several singles that were composed (R8)."""

    tickets: list[int]
    """Those to be told. Once it is confirmed there are none, though topics may still wait for their
    parts of it."""
    topics: list[str]
    """Those on which it has changes, in name order."""
    several: bool
    """Several changes that the program made as one: never joined with others."""
    base: Base
    """That of a single."""
    batch: Order | None = None
    """The batch in flight that it is of, which is named by its first member."""


@dataclass(slots=True, eq=False)
class InFlight:
    """A batch as it was sent."""

    message: Message
    """Sent again just as it is (R28)."""
    members: list[Order]
    """The actions in it, in the order made: one, or the singles of a joined batch."""
    topics: list[str]
    id: str
    """What the batch is known by: the action's id, or that of its one change."""
    confirmed: bool = False
    """The program was told so; some topics may still wait for their parts."""
    orphaned: bool = False
    """Its session is gone. It is not sent again; what its topics receive may show its outcome."""


@dataclass(slots=True, eq=False)
class Call:
    """A request of this client that has no outcome."""

    id: int
    service_name: str
    args: Any
    timeout_ms: int | None
    after: Order | None
    """For undo and redo: stands in the queue behind this action (R16)."""
    request_id: str | None = None
    """Given when it is first sent."""


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
        # The last number of an id; ids of all kinds share the counter (R19).
        self._counter = 0
        self._tickets = 0
        self._actions_made: Order = 0
        self.composes = True
        """Whether singles that wait are composed and sent together.

        If not, each goes out in a message of its own once the one before it is answered: every
        keystroke becomes a version, at the price of a round trip (R11).
        """
        # The program said that it makes nothing more (R38).
        self._closed = False
        self._topics: dict[str, TopicReplica] = {}
        # Actions without an outcome, and confirmed ones of which a topic waits for its part. Taken
        # from the front often, which a plain dict does slowly.
        self._actions: OrderedDict[Order, LocalAction] = OrderedDict()
        # Those of logged topics that are not sent: the queue (R12).
        self._waiting = Orders()
        self._bound = Bound()
        # Batches, by their first member.
        self._in_flight: dict[Order, InFlight] = {}
        # The joined batch in flight: nothing of logged topics goes out behind it (R15).
        self._joined: Order | None = None
        # Batches in flight that are to be sent again, and those that the server had no room for.
        self._resend: set[Order] = set()
        self._busy: set[Order] = set()
        # How often `unsubscribe` went out for a topic and is not answered. What comes for the topic
        # until then is of an earlier subscription (R33).
        self._leaving: dict[str, int] = {}
        # Topics that may have something to send.
        self._dirty = SortedNames()
        # Requests that are to be sent, in the order made, and those that are not answered.
        self._calls_waiting: list[Call] = []
        self._calls_sent: dict[str, Call] = {}
        # Messages to be sent once there is a session, and lost with it.
        self._messages: list[Message] = []
        self._events: list[Event] = []

    def topic(self, topic_name: str) -> TopicReplica | None:
        """Give a topic, if it is subscribed."""
        return self._topics.get(topic_name)

    @property
    def pending_count(self) -> int:
        """How many local actions have no outcome yet. Those composed into one count as one."""
        return len(self._actions)

    @property
    def is_online(self) -> bool:
        """Whether a session is in force on the present connection."""
        return self._phase is Phase.ONLINE

    def events(self) -> list[Event]:
        """Give what has happened since this was last asked, in order."""
        events, self._events = self._events, []
        return events

    def _unsettled_actions(self) -> list[LocalAction]:
        return [action for action in self._actions.values() if action.tickets]

    def _is_presence(self, topic_names: Iterable[str]) -> bool:
        """Whether topics are all presence: such a change stands in no queue (R17)."""
        topics = (self._topics.get(topic_name) for topic_name in topic_names)
        return all(topic is not None and topic.is_presence for topic in topics)

    def _next_id(self) -> str:
        self._counter += 1
        return f"{self.client_id}_{self._counter}"
