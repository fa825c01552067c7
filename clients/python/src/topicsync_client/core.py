"""What topics, client and connection share: the replica, and who waits for what.

Everything is behind one lock, which is held for the moment of a call of the replica, and never
while waiting or calling the program. So a client can be used from any thread.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from threading import RLock
from typing import Any, TypeVar

from .changes import About, Change, ValueSet
from .errors import ClientClosed, FateUnknown, Invalid, Rejected, ServiceError, SubscribeError
from .replica import Event, LocalChange, Message, Replica
from .replica.events import (
    Answered,
    Busy,
    Changed,
    Closed,
    Confirmed,
    Error,
    Ready,
    Refused,
    Registered,
    Requested,
    Unknown,
)
from .replica.local import plan_one
from .types.base import TopicType
from .waiting import Ticket, Waiting

log = logging.getLogger("topicsync_client")

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


class Core:
    """The replica of one client, and those who wait for it or listen."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.replica = Replica()
        self.status = Status.CONNECTING
        self.wake: Callable[[], None] = lambda: None
        """Called when there may be something to send."""
        self.busy: Callable[[], None] = lambda: None
        """Called when the server had no room."""
        self.serve: Callable[[Requested], None] = lambda _: None
        """Called when somebody asks a service of this client."""
        self._tickets: dict[int, Ticket] = {}
        self._calls: dict[int, Waiting[Any]] = {}
        self._ready: dict[str, list[tuple[Waiting[Any], Any]]] = {}
        self._registering: dict[str, Waiting[None]] = {}
        self._watched: list[tuple[Callable[[], bool], Waiting[None]]] = []
        self._listeners: dict[tuple[str, str], list[Listener]] = {}
        self._events: deque[Event | Status] = deque()
        self._telling = False

    def act(self, work: Callable[[Replica], T]) -> T:
        """Do something to the replica, and pass on what happens by it."""
        result = self.act_quietly(work)
        self.wake()
        return result

    def act_quietly(self, work: Callable[[Replica], T]) -> T:
        """Do something that leaves nothing to send: take what is to be sent, say."""
        with self.lock:
            result = work(self.replica)
            self._settle()
        self._tell()
        return result

    def receive(self, messages: list[Message]) -> None:
        """Take messages of the server."""
        with self.lock:
            for message in messages:
                self.replica.receive(message)
            self._settle()
            if self.replica.is_online:
                self._set_status(Status.ONLINE)
        self.wake()
        self._tell()

    def set_status(self, status: Status) -> None:
        """Note where the connection stands."""
        with self.lock:
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
        return self.local([change], Ticket())

    def local(self, changes: list[LocalChange], ticket: Ticket) -> Ticket:
        """Make changes together, whose fate settles `ticket`."""

        def make(replica: Replica) -> None:
            number = replica.local(changes)
            if self.status is Status.CLOSED:
                ticket._fail(ClientClosed("the client is closed"))
            else:
                self._tickets[number] = ticket

        self.act(make)
        return ticket

    def call(self, ask: Callable[[Replica], int]) -> Waiting[Any]:
        """Ask a service."""
        answer: Waiting[Any] = Waiting()

        def make(replica: Replica) -> None:
            call = ask(replica)
            if self.status is Status.CLOSED:
                answer._fail(ClientClosed("the client is closed"))
            else:
                self._calls[call] = answer

        self.act(make)
        return answer

    def ready(self, topic_name: str, handle: T) -> Waiting[T]:
        """Wait for the first value of a topic, which `handle` is a handle of."""
        waiting: Waiting[T] = Waiting()
        with self.lock:
            topic = self.replica.topic(topic_name)
            if topic is None or self.status is Status.CLOSED:
                waiting._fail(ClientClosed(f"topic {topic_name!r} is not subscribed"))
            elif topic.ready:
                waiting._come(handle)
            else:
                self._ready.setdefault(topic_name, []).append((waiting, handle))
        return waiting

    def register(self, service_name: str) -> Waiting[None]:
        """Offer a service."""
        waiting: Waiting[None] = Waiting()

        def make(replica: Replica) -> None:
            self._registering[service_name] = waiting
            replica.register_service(service_name)

        self.act(make)
        return waiting

    def when(self, holds: Callable[[], bool]) -> Waiting[None]:
        """Wait until something holds, which is asked whenever anything happened."""
        waiting: Waiting[None] = Waiting()
        with self.lock:
            if holds():
                waiting._come(None)
            elif self.status is Status.CLOSED:
                waiting._fail(ClientClosed("the client is closed"))
            else:
                self._watched.append((holds, waiting))
        return waiting

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

    # What happened. The lock is held.

    def _set_status(self, status: Status) -> None:
        if self.status is not status:
            self.status = status
            self._events.append(status)
            self._watch()

    def _settle(self) -> None:
        """Answer those who wait for what happened, and queue it for those who listen."""
        for event in self.replica.events():
            self._answer(event)
            self._events.append(event)
        self._watch()

    def _watch(self) -> None:
        if self._watched:
            holding = [it for it in self._watched if it[0]()]
            self._watched = [it for it in self._watched if it not in holding]
            for _, waiting in holding:
                waiting._come(None)

    def _answer(self, event: Event) -> None:
        match event:
            case Confirmed(ticket, id):
                if (settled := self._tickets.pop(ticket, None)) is not None:
                    settled._come(id)
            case Refused(ticket, topic_name, code, reason):
                self._fail_ticket(ticket, Rejected(code, reason, topic_name))
            case Unknown(ticket):
                self._fail_ticket(ticket, FateUnknown())
            case Answered(call, value, failure):
                if (answer := self._calls.pop(call, None)) is not None:
                    if failure is None:
                        answer._come(value)
                    else:
                        answer._fail(ServiceError(failure.reason, failure.code))
            case Ready(topic_name):
                for waiting, handle in self._ready.pop(topic_name, []):
                    waiting._come(handle)
            case Closed(topic_name, error):
                for waiting, _ in self._ready.pop(topic_name, []):
                    waiting._fail(_closed(topic_name, error))
            case Registered(service_name):
                if (waiting_ := self._registering.pop(service_name, None)) is not None:
                    waiting_._come(None)
            case Error(code, reason, service_name=str(name)):
                if (waiting_ := self._registering.pop(name, None)) is not None:
                    waiting_._fail(ServiceError(reason, code))
            case Busy():
                self.busy()

    def _fail_ticket(self, number: int, error: Rejected | FateUnknown) -> None:
        ticket = self._tickets.pop(number, None)
        if ticket is not None:
            heard = ticket._awaited or ("rejected", "") in self._listeners
            if not heard:
                log.warning("a change was taken back: %s", error)
            ticket._fail(error)

    def _abandon(self) -> None:
        """Tell all who still wait that the client is closed."""
        closed = ClientClosed("the client was closed before the answer")
        waiting: list[Waiting[Any]] = [*self._tickets.values(), *self._calls.values()]
        waiting += [it for each in self._ready.values() for it, _ in each]
        waiting += [*self._registering.values(), *(it for _, it in self._watched)]
        for them in (self._tickets, self._calls, self._ready, self._registering, self._watched):
            them.clear()
        for it in waiting:
            it._fail(closed)

    # Telling the program. The lock is not held while it is called.

    def _tell(self) -> None:
        """Call back for all that happened, one after the other, whichever thread does it."""
        with self.lock:
            if self._telling:
                return
            self._telling = True
        while (event := self._next_event()) is not None:
            try:
                self._tell_one(event)
            except BaseException:
                self._telling = False
                raise

    def _next_event(self) -> Event | Status | None:
        with self.lock:
            self._telling = bool(self._events)
            return self._events.popleft() if self._events else None

    def _tell_one(self, event: Event | Status) -> None:
        match event:
            case Changed():
                listeners = self._heard("change", event.topic_name)
                if listeners:
                    for change in fine_grained(event):
                        _call(listeners, change)
            case Status():
                _call(self._heard("status", ""), event)
            case Refused(_, topic_name, code, reason):
                _call(self._heard("rejected", ""), Rejected(code, reason, topic_name))
            case Unknown():
                _call(self._heard("rejected", ""), FateUnknown())
            case Requested():
                self.serve(event)
            case Closed(topic_name):
                _call(self._heard("closed", topic_name), event)
            case Error():
                log.warning("the server says: %s: %s", event.code, event.reason)

    def _heard(self, about: str, name: str) -> list[Listener]:
        with self.lock:
            return list(self._listeners.get((about, name), []))


def _closed(topic_name: str, error: Error | None) -> Exception:
    if error is None:
        return ClientClosed(f"topic {topic_name!r} was unsubscribed")
    return SubscribeError(topic_name, error.code, error.reason)


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
    whole: list[Change] = [
        ValueSet(about, kind.encode_value(event.value), kind.encode_value(event.before))
    ]
    if not event.changes:
        return whole
    told = []
    try:
        for change in event.changes:
            exact = kind.resolve(change, value)
            told.append(kind.describe(exact, value, about))
            value = kind.apply(value, exact)
    except Invalid:
        return whole
    return told


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
        self.ticket = Ticket()
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
            self.ticket._come(None)
        elif self._within is not None:
            # An action within an action is a part of it, and shares its fate.
            self._within._changes += self._changes
            self._within.views = self.views
            self.ticket._future = self._within.ticket._future
        else:
            self._core.local(self._changes, self.ticket)
