"""What a replica tells the program that holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from ..changes import Origin
from ..types.base import TopicType


@dataclass(slots=True)
class Online:
    """A session is in force."""

    client_id: int
    resumed: bool


@dataclass(slots=True)
class Ready:
    """A topic has its first value, or the first one of a new life."""

    topic_name: str


@dataclass(slots=True)
class Changed:
    """A topic's view moved from `before` to `value`."""

    topic_name: str
    kind: TopicType[Any, Any]
    before: Any
    value: Any
    changes: list[Any]
    """What leads there, in order. Empty if `value` is to be taken as a whole."""
    origin: Origin
    author: int | None = None


@dataclass(slots=True)
class Confirmed:
    """A local action was accepted, under this id; None if nothing was left to send."""

    ticket: int
    id: str | None


@dataclass(slots=True)
class Rejected:
    """A local action was rejected and has left the view."""

    ticket: int
    topic_name: str
    code: str
    reason: str


@dataclass(slots=True)
class Unknown:
    """A local action has no other outcome, and whether the server accepted it cannot be known.

    Its session, its topic's life or the client ended before the answer.
    """

    ticket: int


@dataclass(slots=True)
class Unsent:
    """A local action was never sent: the client was closed before."""

    ticket: int


@dataclass(slots=True)
class Error:
    """The server complained, or sent what makes no sense."""

    code: str
    reason: str
    to: str = ""
    """The type of the message that this answers."""
    topic_name: str | None = None
    service_name: str | None = None
    request_id: str | None = None


@dataclass(slots=True)
class Closed:
    """A topic is no longer subscribed, and why if the program did not ask for it."""

    topic_name: str
    error: Error | None


@dataclass(slots=True)
class Requested:
    """Somebody asks a service of this client."""

    service_name: str
    args: Any
    request_id: str
    client_id: int


@dataclass(slots=True)
class ServiceFailure:
    """Why a request came to no value.

    The code is the server's, or `lost` or `closed`: then the answer was lost with the connection,
    or the request was not sent.
    """

    code: str
    reason: str


@dataclass(slots=True)
class Answered:
    """What a request of this client came to: a value, or a failure."""

    call: int
    value: Any
    failure: ServiceFailure | None


@dataclass(slots=True)
class Registered:
    """The server took the offer of a service."""

    service_name: str


@dataclass(slots=True)
class Unregistered:
    """The server took back a service."""

    service_name: str


@dataclass(slots=True)
class Busy:
    """The server took no more work: `resend_busy` is to be called after a while."""


Event: TypeAlias = (
    Online
    | Ready
    | Changed
    | Confirmed
    | Rejected
    | Unknown
    | Unsent
    | Error
    | Closed
    | Requested
    | Answered
    | Registered
    | Unregistered
    | Busy
)
