"""What topics, client and connection share: the replica, and what waits for it or listens.

Everything is behind one lock, which is held for the moment of a call of the replica, and never
while waiting or calling the program. So a client can be used from any thread.

The program's callbacks run in the thread of the event loop, one after the other, and never within
the call that led to them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from threading import RLock
from typing import Any, TypeVar

from .changes import About, Change, ValueSet
from .errors import (
    ClientClosed,
    Invalid,
    OutcomeUnknown,
    Rejected,
    ServiceError,
    SubscribeError,
    TimedOut,
    TopicsyncError,
    UnansweredChange,
    Unsent,
    describe,
)
from .replica import Event, LocalChange, Message, Replica
from .replica import events as told
from .replica.events import Changed, Error, Requested, ServiceFailure
from .replica.local import plan_one
from .types.base import TopicType
from .waiting import Ticket, Waiting, name_changes

log = logging.getLogger("topicsync_client")

TIMEOUT = 30.0
"""How many seconds whoever waits for something waits for it, unless a client is told otherwise."""

T = TypeVar("T")
Listener = Callable[[Any], object]
Stop = Callable[[], None]


class Status(str, Enum):
    """Where a connection stands."""

    CONNECTING = "connecting"
    ONLINE = "online"
    OFFLINE = "offline"
    """The connection is lost, and another attempt follows."""
    CLOSED = "closed"
    """There will be no other attempt: it was closed, or its session resumed elsewhere."""


Told = Event | Status | Rejected | OutcomeUnknown | Unsent


class Core:
    """The replica of one client, its open waits, and its listeners."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self.lock = RLock()
        self.replica = Replica()
        self.status = Status.CONNECTING
        self.closing = False
        """Whether `close` was called: from then on no new change is taken."""
        self.wake: Callable[[], None] = lambda: None
        """Called when there may be something to send."""
        self.busy: Callable[[], None] = lambda: None
        """Called when the server had no room."""
        self.later: Callable[[Callable[[], None]], None] = lambda work: work()
        """Has the event loop do something soon."""
        self.loop_thread: int | None = None
        """The thread of the event loop, in which nobody may block."""
        self.serve: Callable[[Requested], None] = lambda _: None
        """Called when somebody asks a service of this client."""
        self.unsent: list[UnansweredChange] = []
        """The changes that were not sent when the client was closed."""
        self.unknown: list[UnansweredChange] = []
        """Those that were sent, and not answered when the client was closed."""
        self._tickets: dict[int, Ticket] = {}
        self._calls: dict[int, tuple[str, Waiting[Any]]] = {}
        self._ready: dict[str, list[tuple[Waiting[Any], Any]]] = {}
        self._registering: dict[str, list[Waiting[None]]] = {}
        self._watched: list[tuple[Callable[[], bool], Waiting[None]]] = []
        self._listeners: dict[tuple[str, str], list[Listener]] = {}
        # What is to be told, each with the listeners that there were when it happened.
        self._events: deque[tuple[Told, list[Listener]]] = deque()
        self._telling = False
        self._will_tell = False

    def act(self, work: Callable[[Replica], T]) -> T:
        """Do something to the replica on behalf of the program.

        Callbacks hear of it after the program's call, not within it.
        """
        with self.lock:
            result = work(self.replica)
            self._collect()
            tells = bool(self._events) and not self._will_tell
            self._will_tell |= tells
        self.wake()
        if tells:
            self.later(self._tell)
        return result

    def act_in_loop(self, work: Callable[[Replica], T]) -> T:
        """Do something to the replica in the event loop that leaves nothing to send."""
        with self.lock:
            result = work(self.replica)
            self._collect()
        self._tell()
        return result

    def receive(self, messages: list[Message]) -> None:
        """Take messages of the server, in the event loop."""
        with self.lock:
            self.replica.receive_frame(messages)
            self._collect()
            if self.replica.is_online:
                self._set_status(Status.ONLINE)
        self.wake()
        self._tell()

    def set_status(self, status: Status) -> None:
        """Note where the connection stands, in the event loop. A client that is closed stays so."""
        with self.lock:
            if self.status is Status.CLOSED:
                return
            self._set_status(status)
            if status is Status.CLOSED:
                self._abandon()
        self._tell()

    # What a program does.

    def subscribe(self, name: str, kind: TopicType[Any, Any], options: dict[str, Any]) -> None:
        """Subscribe to a topic. Raises `SubscribeError` if it is one of another type here."""
        if not self.act(lambda replica: replica.subscribe(name, kind, options)):
            reason = f"it is subscribed here, and is no {kind.name} topic"
            raise SubscribeError(name, "wrong_type", reason)

    def view(self, topic_name: str, kind: TopicType[Any, Any]) -> Any:
        """Give a topic's view, with the changes of the action that is being made."""
        with self.lock:
            action = Action.current(self)
            if action is not None and topic_name in action.views:
                return action.views[topic_name]
            topic = self.replica.topic(topic_name)
            return kind.initial() if topic is None else topic.view

    def change(self, change: LocalChange) -> Ticket:
        """Make a change, by itself or as a part of the action that is being made."""
        action = Action.current(self)
        if action is not None:
            action.add(change)
            return action.ticket
        return self.local([change], Ticket(self, (change,)))

    def local(self, changes: list[LocalChange], ticket: Ticket) -> Ticket:
        """Make changes together, whose outcome `ticket` gives."""

        def make(replica: Replica) -> None:
            if self.closing:
                log.warning("the client is closed, and takes no %s", name_changes(changes))
                ticket._fail(Unsent(f"the client is closed: {name_changes(changes)}"))
            else:
                self._tickets[replica.local(changes)] = ticket

        self.act(make)
        return ticket

    def call(
        self, service_name: str, ask: Callable[[Replica], int], limit: float | None = None
    ) -> Waiting[Any]:
        """Ask a service. Whoever gives up waiting takes the request back, if it was not sent."""

        def give_up() -> None:
            with self.lock:
                for call, (_, waiting) in list(self._calls.items()):
                    if waiting is answer:
                        del self._calls[call]
                        self.replica.forget_call(call)

        about = f"the answer of service {service_name!r}"
        answer: Waiting[Any] = Waiting(self, about, limit, give_up)

        def make(replica: Replica) -> None:
            self._calls[ask(replica)] = service_name, answer

        self.act(make)
        return answer

    def ready(self, topic_name: str, handle: T) -> Waiting[T]:
        """Wait for the first value of a topic, which `handle` is a handle of."""

        def give_up() -> None:
            with self.lock:
                waiting_here = self._ready.get(topic_name, [])
                self._ready[topic_name] = [it for it in waiting_here if it[0] is not waiting]

        about = f"the first value of topic {topic_name!r}"
        waiting: Waiting[T] = Waiting(self, about, give_up=give_up)
        with self.lock:
            topic = self.replica.topic(topic_name)
            if self.status is Status.CLOSED:
                waiting._fail(ClientClosed(f"the client is closed: topic {topic_name!r}"))
            elif topic is None:
                waiting._fail(ClientClosed(f"topic {topic_name!r} is not subscribed"))
            elif topic.ready:
                waiting._resolve(handle)
            else:
                self._ready.setdefault(topic_name, []).append((waiting, handle))
        return waiting

    def register(self, service_name: str) -> Waiting[None]:
        """Offer a service."""
        waiting: Waiting[None] = Waiting(self, f"the registration of service {service_name!r}")

        def make(replica: Replica) -> None:
            if self.status is Status.CLOSED:
                waiting._fail(ClientClosed(f"the client is closed: service {service_name!r}"))
                return
            replica.register_service(service_name)
            if replica.is_registered(service_name):
                waiting._resolve(None)
            else:
                self._registering.setdefault(service_name, []).append(waiting)

        self.act(make)
        return waiting

    def unregister(self, service_name: str) -> None:
        """Take back the offer of a service."""
        self.act(lambda replica: replica.unregister_service(service_name))
        with self.lock:
            for waiting in self._registering.pop(service_name, []):
                waiting._fail(ServiceError("it was unregistered", "failed", service_name))

    def when(
        self, holds: Callable[[], bool], about: str | Callable[[], str], limit: float | None = None
    ) -> Waiting[None]:
        """Wait until something holds, which is asked whenever anything happened."""

        def give_up() -> None:
            with self.lock:
                self._watched = [it for it in self._watched if it[1] is not waiting]

        waiting: Waiting[None] = Waiting(self, about, limit, give_up)
        with self.lock:
            if holds():
                waiting._resolve(None)
            elif self.status is Status.CLOSED:
                waiting._fail(ClientClosed(f"the client is closed: {waiting._describe()}"))
            else:
                self._watched.append((holds, waiting))
        return waiting

    def close(self) -> None:
        """Take nothing new from the program, which is about to close the client."""
        with self.lock:
            self.closing = True
            self.replica.close()

    def online(self) -> Waiting[None]:
        """Wait until the client is online."""
        return self.when(lambda: self.status is Status.ONLINE, "the connection")

    def settled(self) -> Waiting[None]:
        """Wait until every change and request has its outcome, and every offer its answer."""
        return self.when(lambda: self.replica.is_settled, self.replica.describe_unsettled)

    def listen(self, about: str, name: str, listener: Listener) -> Stop:
        """Call back for what is told about something; the answer ends that."""
        with self.lock:
            self._listeners.setdefault((about, name), []).append(listener)

        def stop() -> None:
            with self.lock:
                listeners = self._listeners.get((about, name), [])
                if listener in listeners:
                    listeners.remove(listener)
                if not listeners:
                    self._listeners.pop((about, name), None)

        return stop

    # What a `Waiting` asks of its client.

    def check_may_block(self, about: str) -> None:
        """Raise `RuntimeError` in the event loop's thread: it would wait for itself."""
        if threading.get_ident() == self.loop_thread:
            raise RuntimeError(
                f"{about} cannot be waited for in the thread of the event loop, which brings it: "
                "await it there"
            )

    def standing(self) -> str:
        """Say where the connection stands."""
        return f"the client is {self.status.value}"

    # What happened. The lock is held.

    def _set_status(self, status: Status) -> None:
        if self.status is not status:
            self.status = status
            self._queue(status, self._listening("status", ""))
            self._watch()

    def _collect(self) -> None:
        """Answer those who wait for what happened, and queue it for those who listen."""
        for event in self.replica.events():
            self._take(event)
        self._watch()

    def _take(self, event: Event) -> None:
        match event:
            case Changed(topic_name):
                listeners = self._listening("view", topic_name)
                self._queue(event, listeners + self._listening("change", topic_name))
            case told.Confirmed(ticket, id):
                if (confirmed := self._tickets.pop(ticket, None)) is not None:
                    confirmed._resolve(id)
            case told.Rejected(number, topic_name, code, reason):
                self._fail_ticket(number, Rejected(code, reason, topic_name))
            case told.Unknown(number):
                self._fail_unanswered(number, self.unknown)
            case told.Unsent(number):
                self._fail_unanswered(number, self.unsent)
            case told.Answered(call, value, failure):
                self._answer(call, value, failure)
            case told.Ready(topic_name):
                for waiting, handle in self._ready.pop(topic_name, []):
                    waiting._resolve(handle)
            case told.Closed(topic_name, error):
                self._fail_ready(topic_name, error)
                self._queue(event, self._listening("closed", topic_name))
            case told.Registered(service_name):
                for registering in self._registering.pop(service_name, []):
                    registering._resolve(None)
            case Requested():
                self._queue(event, [self.serve])
            case Error():
                self._fail_registering(event)
            case told.Busy():
                self.busy()

    def _listening(self, about: str, name: str) -> list[Listener]:
        return list(self._listeners.get((about, name), ()))

    def _queue(self, event: Told, listeners: list[Listener]) -> None:
        if listeners:
            self._events.append((event, listeners))

    def _watch(self) -> None:
        if self._watched:
            holding = [it for it in self._watched if it[0]()]
            self._watched = [it for it in self._watched if it not in holding]
            for _, waiting in holding:
                waiting._resolve(None)

    def _answer(self, call: int, value: Any, failure: ServiceFailure | None) -> None:
        if call not in self._calls:
            return
        service_name, answer = self._calls.pop(call)
        if failure is None:
            answer._resolve(value)
        elif failure.code == "timeout":
            # Whether the server's time-out comes first or the client's own, the program hears one.
            answer._fail(TimedOut(answer._describe(), answer._seconds(), failure.reason))
        elif failure.code == "closed":
            answer._fail(ClientClosed(f"service {service_name!r}: {failure.reason}"))
        else:
            answer._fail(ServiceError(failure.reason, failure.code, service_name))

    def _fail_unanswered(self, number: int, unanswered: list[UnansweredChange]) -> None:
        """An action has no outcome but this: it is unknown, or was not sent."""
        changes = self._tickets[number]._changes if number in self._tickets else ()
        about = name_changes(changes)
        if self.closing:
            unanswered += [
                {"topic_name": it.topic_name, "change": dict(it.fields)} for it in changes
            ]
        if unanswered is self.unsent:
            self._fail_ticket(number, Unsent(f"the client was closed before it was sent: {about}"))
        elif self.closing:
            error = OutcomeUnknown(about, "the client was closed before the answer")
            self._fail_ticket(number, error)
        else:
            reason = "the session or the topic's life ended before the answer"
            self._fail_ticket(number, OutcomeUnknown(about, reason))

    def _fail_ticket(self, number: int, error: Rejected | OutcomeUnknown | Unsent) -> None:
        listeners = self._listening("rejected", "")
        ticket = self._tickets.pop(number, None)
        if ticket is not None:
            if not ticket._awaited and not listeners and not self.closing:
                log.warning("a change was taken back: %s", error)
            ticket._fail(error)
        self._queue(error, listeners)

    def _fail_ready(self, topic_name: str, error: Error | None) -> None:
        failing = [waiting for waiting, _ in self._ready.pop(topic_name, [])]
        closed: Exception
        if error is None:
            closed = ClientClosed(f"topic {topic_name!r} was unsubscribed")
        else:
            closed = SubscribeError(topic_name, error.code, error.reason)
            if not any(it._awaited for it in failing):
                log.warning("a subscription ended: %s", closed)
        for waiting in failing:
            waiting._fail(closed)

    def _fail_registering(self, error: Error) -> None:
        failing: list[Waiting[None]] = []
        if error.to == "register_service" and error.service_name is not None:
            failing = self._registering.pop(error.service_name, [])
            for waiting in failing:
                waiting._fail(ServiceError(error.reason, error.code, error.service_name))
        if not any(it._awaited for it in failing):
            parts = {"topic": error.topic_name, "service": error.service_name, "to": error.to}
            about = ", ".join(f"{key} {value!r}" for key, value in parts.items() if value)
            log.warning("the server says: %s: %s (%s)", error.code, error.reason, about or "?")

    def _abandon(self) -> None:
        """Tell all who still wait that the client is closed (R38, R40)."""
        was_closed_by_program, self.closing = self.closing, True
        self.replica.end()
        self._collect()
        if not was_closed_by_program and (self.unsent or self.unknown):
            # Nobody will be told by `close`: the event loop ended, say.
            log.warning("the client ended with %s", describe(self.unsent, self.unknown))
        waiting: list[Waiting[Any]] = [it for _, it in self._calls.values()]
        waiting += [it for each in self._ready.values() for it, _ in each]
        waiting += [it for each in self._registering.values() for it in each]
        waiting += [it for _, it in self._watched]
        for them in (self._calls, self._ready, self._registering, self._watched):
            them.clear()
        for it in waiting:
            it._fail(ClientClosed(f"the client was closed before it came: {it._describe()}"))

    # Telling the program. The lock is not held while it is called.

    def _tell(self) -> None:
        """Call back for all that happened, one after the other, whichever thread does it."""
        with self.lock:
            self._will_tell = False
            if self._telling:
                return
            self._telling = True
        while (event := self._next_event()) is not None:
            try:
                self._tell_one(*event)
            except BaseException:
                self._telling = False
                raise

    def _next_event(self) -> tuple[Told, list[Listener]] | None:
        with self.lock:
            self._telling = bool(self._events)
            return self._events.popleft() if self._events else None

    def _tell_one(self, event: Told, listeners: list[Listener]) -> None:
        match event:
            case Changed(topic_name):
                viewing = self._still(listeners, "view", topic_name)
                _call(viewing, event)
                listening = self._still(listeners, "change", topic_name)
                if listening:
                    for change in fine_grained(event):
                        _call(listening, change)
            case Status():
                _call(self._still(listeners, "status", ""), event)
            case Rejected() | OutcomeUnknown() | Unsent():
                _call(self._still(listeners, "rejected", ""), event)
            case told.Closed(topic_name):
                _call(self._still(listeners, "closed", topic_name), event)
            case _:
                _call(listeners, event)

    def _still(self, listeners: list[Listener], about: str, name: str) -> list[Listener]:
        """Those of `listeners` who have not stopped listening since the event."""
        with self.lock:
            listening = self._listeners.get((about, name), ())
            return [it for it in listeners if it in listening]


def _call(listeners: list[Listener], told: object) -> None:
    """Call the program. What it raises is its own affair, and takes nothing else with it."""
    for listener in listeners:
        try:
            listener(told)
        except Exception:
            log.exception("a callback raised")


def fine_grained(event: Changed) -> list[Change]:
    """Give the single changes of a view's move."""
    kind, value = event.kind, event.before
    about = About(event.topic_name, event.origin, event.author)
    told = []
    try:
        for change in event.changes:
            exact = kind.resolve(change, value)
            told.append(kind.describe(exact, value, about))
            value = kind.apply(value, exact)
    except Invalid:
        told = []
    if told:
        return told
    return [ValueSet(about, kind.encode_value(event.value), kind.encode_value(event.before))]


class Action:
    """Changes that are being made as one, for as long as a `with` block lasts.

    Within the block, topics show them; nobody else sees any before its end. If the block raises,
    none of them ever happened.
    """

    _current: ContextVar[Action | None] = ContextVar("topicsync_client.action", default=None)

    def __init__(self, core: Core) -> None:
        self._core = core
        self._outer: Action | None = None
        self._within: Action | None = None
        self._changes: list[LocalChange] = []
        self.views: dict[str, Any] = {}
        """The views of the topics that it changes, as they are by now."""
        self.ticket = Ticket(core, self._changes)
        """Tells what becomes of the action, once its block is over."""

    @classmethod
    def current(cls, core: Core) -> Action | None:
        """Give the action that is being made here of a client, if there is one."""
        action = cls._current.get()
        # A task that was started within a block may outlive it.
        while action is not None and not (action._core is core and action.ticket._open):
            action = action._outer
        return action

    def add(self, change: LocalChange) -> None:
        """Make a change as a part of this. Raises as the change alone would."""
        with self._core.lock:
            topic = self._core.replica.topic(change.topic_name)
            if topic is None:
                raise ClientClosed(f"topic {change.topic_name!r} is not subscribed")
            view = self.views.get(change.topic_name, topic.view)
            *_, self.views[change.topic_name] = plan_one(topic.kind, change.fields, view)
            self._changes.append(change)

    def __enter__(self) -> Ticket:
        self._within = Action.current(self._core)
        if self._within is not None:
            self.views = dict(self._within.views)
        self._outer = self._current.get()
        self._current.set(self)
        self.ticket._open = True
        return self.ticket

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        self._current.set(self._outer)
        self.ticket._open = False
        if error is not None:
            self.ticket._fail(Rejected("rolled_back", "the action's block raised", ""))
        elif not self._changes:
            self.ticket._resolve(None)
        elif self._within is not None:
            # An action within an action is a part of it, and shares its outcome.
            self._within._changes += self._changes
            self._within.views = self.views
            self.ticket._future = self._within.ticket._future
            self.ticket._changes = self._within._changes
        else:
            try:
                self._core.local(self._changes, self.ticket)
            except TopicsyncError as failure:
                # Somebody else's change came within the block, and the action fits no longer.
                self.ticket._fail(failure)
                raise
