"""What the asyncio client and the synchronous one have in common: everything that does not wait."""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, overload

from . import past, types
from .core import Action, Core, Status, Stop
from .errors import Invalid, OutcomeUnknown, Rejected
from .presence import Presence
from .topics import (
    BoolTopic,
    DictTopic,
    EventTopic,
    FloatTopic,
    GenericTopic,
    IntTopic,
    ListTopic,
    SetTopic,
    StringTopic,
    Topic,
)
from .types.base import TopicType
from .waiting import Ticket, Waiting

NAME_BYTES_MAX = 512
"""How long the name of a topic or service may be, in bytes."""

HISTORY_PAGE = 1000
"""How many entries of a history are asked for at once."""

H = TypeVar("H", bound=Topic)
T = TypeVar("T")

Seconds: TypeAlias = float
Entries: TypeAlias = list[past.Entry]

Steps: TypeAlias = Generator[Waiting[Any], Any, T]
"""Work with several waits, as a generator of what it waits for.

The asyncio client awaits each, the synchronous one blocks for it.
"""


@dataclass(frozen=True)
class Request:
    """A request to a service of this client."""

    service_name: str
    args: Any
    client_id: int
    """Who asks."""


Service = Callable[[Request], "Any | Awaitable[Any]"]
"""Answers a request with a value, at once or awaited. What it raises is told to the asker."""

Services: TypeAlias = dict[str, Service]

S = TypeVar("S", bound=Service)


class BaseClient:
    """What both clients can do without waiting."""

    def __init__(self, core: Core, services: Services) -> None:
        self._core = core
        self._services = services

    @property
    def status(self) -> Status:
        """Where the connection stands."""
        return self._core.status

    def on_status(self, callback: Callable[[Status], object]) -> Stop:
        """Call back whenever the status is another. Gives a function that ends it."""
        return self._core.listen("status", "", callback)

    def on_rejected(self, callback: Callable[[Rejected | OutcomeUnknown], object]) -> Stop:
        """Call back for every change of this client that was taken back, awaited or not.

        Without such a callback, those that nobody awaits are logged as warnings.
        """
        return self._core.listen("rejected", "", callback)

    @property
    def id(self) -> int | None:
        """The client id of the session in force; None before the first."""
        return self._core.replica.client_id

    @property
    def pending(self) -> int:
        """How many actions have no outcome yet. Those composed into one count once."""
        return self._core.replica.pending_count

    # Topics.

    def _topic(
        self,
        handle: type[H],
        name: str,
        kind: TopicType[Any, Any],
        options: dict[str, Any],
    ) -> H:
        _check_name(name)
        if not isinstance(kind, TopicType):
            raise Invalid(f"the kind of topic {name!r} must be a TopicType, not {kind!r}")
        self._core.subscribe(name, kind, options)
        return handle(self._core, name, kind)

    def topic(self, name: str, kind: TopicType[Any, Any], **options: Any) -> Topic:
        """Give a topic of any type, one of your own too."""
        return self._topic(Topic, name, kind, options)

    def generic(self, name: str, **options: Any) -> GenericTopic:
        """Give a topic that holds any value.

        It is subscribed to, and made if there is none, with `options` (`history=False`, say: see
        docs/protocol.md). Raises `Invalid` if the name cannot be one, and `SubscribeError` if the
        topic is subscribed here with another type. All this is so for every kind of topic.
        """
        return self._topic(GenericTopic, name, types.BUILT_IN["generic"], options)

    def bool(self, name: str, **options: Any) -> BoolTopic:
        """Give a topic that holds true or false."""
        return self._topic(BoolTopic, name, types.BUILT_IN["bool"], options)

    def int(self, name: str, **options: Any) -> IntTopic:
        """Give a topic that holds a whole number."""
        return self._topic(IntTopic, name, types.BUILT_IN["int"], options)

    def float(self, name: str, **options: Any) -> FloatTopic:
        """Give a topic that holds a number."""
        return self._topic(FloatTopic, name, types.BUILT_IN["float"], options)

    def string(self, name: str, **options: Any) -> StringTopic:
        """Give a topic that holds a text."""
        return self._topic(StringTopic, name, types.BUILT_IN["string"], options)

    def list(self, name: str, **options: Any) -> ListTopic[Any]:
        """Give a topic that holds values in a row."""
        return self._topic(ListTopic[Any], name, types.BUILT_IN["list"], options)

    def set(self, name: str, **options: Any) -> SetTopic[Any]:
        """Give a topic that holds distinct values."""
        return self._topic(SetTopic[Any], name, types.BUILT_IN["set"], options)

    def dict(self, name: str, **options: Any) -> DictTopic[Any]:
        """Give a topic that holds values by key."""
        return self._topic(DictTopic[Any], name, types.BUILT_IN["dict"], options)

    def event(self, name: str, **options: Any) -> EventTopic:
        """Give a topic of things that happen."""
        return self._topic(EventTopic, name, types.BUILT_IN["event"], options)

    def presence(self, name: str) -> Presence:
        """Give a presence topic: who is here, and what they are at."""
        return Presence(
            self._topic(DictTopic[Any], name, types.BUILT_IN["dict"], {"presence": True})
        )

    # Actions.

    @overload
    def action(self) -> Action: ...
    @overload
    def action(self, make: Callable[[], object]) -> Ticket: ...
    def action(self, make: Callable[[], object] | None = None) -> Action | Ticket:
        """Make changes that take effect together or not at all.

        `with client.action() as ticket: ...`, or `client.action(function)`. If the block raises,
        none of its changes happened. The ticket can be awaited once the block is over.
        """
        action = Action(self._core)
        if make is None:
            return action
        with action as ticket:
            make()
        return ticket

    # Services.

    def service(self, name: str) -> Callable[[S], S]:
        """Offer a function as a service, by decorator.

        ```python
        @client.service("solve")
        def solve(request):
            return request.args["x"] ** 2
        ```
        """

        def offer(function: S) -> S:
            self.register(name, function)
            return function

        return offer

    def register(self, name: str, function: Service) -> Waiting[None]:
        """Offer a service, now and in every later session.

        What this gives settles when the server has taken the offer, or raises `ServiceError`.
        """
        _check_name(name)
        self._services[name] = function
        return self._core.register(name)

    def unregister(self, name: str) -> None:
        """Take back an offer."""
        self._services.pop(name, None)
        self._core.unregister(name)

    # What has to be waited for, for each client to wait in its own way.

    def _request(self, name: str, args: Any, timeout: Seconds | None = None) -> Waiting[Any]:
        _check_name(name)
        timeout_ms = None if timeout is None else max(1, round(timeout * 1000))
        return self._core.call(
            name, lambda replica: replica.request(name, args, timeout_ms), timeout
        )

    def _undo(self) -> Steps[past.Undone]:
        undo = self._core.call("_topicsync/undo", lambda replica: replica.undo())
        return past.undone((yield undo))

    def _redo(self) -> Steps[past.Undone]:
        redo = self._core.call("_topicsync/redo", lambda replica: replica.redo())
        return past.undone((yield redo))

    def _value_at(self, name: str, **when: Any) -> Steps[past.ValueAt]:
        args = {"topic_name": name, **past.moment(**when)}
        return past.value_at((yield self._request("_topicsync/value_at", args)))

    def _history(self, name: str, start: Any, stop: Any, limit: Any) -> Steps[Entries]:
        entries: Entries = []
        while start is not None and len(entries) < limit:
            page = min(limit - len(entries), HISTORY_PAGE)
            args = {"topic_name": name, "from": start, "to": stop, "limit": page}
            answer = yield self._request("_topicsync/history", args)
            entries += [past.entry(it) for it in answer["entries"]]
            start = answer["next"]
        return entries

    def _cut(
        self, topic_names: Iterable[str] | None, prefix: str | None, **when: Any
    ) -> Steps[past.Cut]:
        args: Any = past.moment(**when)
        if topic_names is not None:
            args["topic_names"] = [*topic_names]
        if prefix is not None:
            args["prefix"] = prefix
        return past.cut((yield self._request("_topicsync/cut", args)))


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name:
        raise Invalid(f"a name is a string that is not empty, not {name!r}")
    size = len(name.encode("utf-8", "surrogatepass"))
    if size > NAME_BYTES_MAX:
        raise Invalid(f"a name has at most {NAME_BYTES_MAX} bytes, and {name[:20]!r}... has {size}")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise Invalid(f"a name holds no control characters and no surrogates: {name!r}")
