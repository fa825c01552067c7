"""The messages of the server, as far as a client needs them. A client's own are plain dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import Invalid
from ..types.base import require, require_int, require_text
from ..values import NESTING_MAX, Fields, checked, checked_fields, kind_of
from .events import Error, Requested, ServiceFailure

Message: TypeAlias = Mapping[str, Any]
"""`{"type": ..., "content": {...}}`"""

ANSWER_NESTING_MAX = NESTING_MAX + 8
"""How deep an answer nests: values that nest as deep as they may stand within a history, say."""


@dataclass(slots=True)
class Hello:
    """A session is offered, or resumed."""

    id: int
    session: str
    resumed: bool
    message_bytes: int | None


@dataclass(slots=True)
class Subscribed:
    """A subscription begins; `version` is the head."""

    topic_name: str
    type: str
    epoch: str
    version: int
    since: int | None


@dataclass(slots=True)
class Published:
    """An accepted change of one topic, or several composed, or a whole value."""

    topic_name: str
    version: int
    fields: Fields
    ids: list[str]
    author: int | None
    since: int | None = None
    """The version before the first of several."""
    snapshot: bool = False
    of_action: bool = False
    """It came in an `action`."""


@dataclass(slots=True)
class Rejection:
    """A change or action of this client was refused."""

    topic_name: str
    code: str
    reason: str
    action_id: str | None
    change_id: str | None


@dataclass(slots=True)
class Unsubscribed:
    """A subscription is over."""

    topic_name: str


@dataclass(slots=True)
class OfService:
    """A service was registered or unregistered."""

    service_name: str
    registered: bool


@dataclass(slots=True)
class Response:
    """What a request came to."""

    request_id: str
    value: Any
    failure: ServiceFailure | None


ServerMessage: TypeAlias = (
    Hello
    | Subscribed
    | list[Published]
    | Rejection
    | Unsubscribed
    | OfService
    | Requested
    | Response
    | Error
)


def read(message: Message) -> ServerMessage | None:
    """Read a message of the server; None if it is of a type that nobody knows here.

    Raises `Invalid` if it cannot be understood.
    """
    content = message.get("content")
    reader = _READERS.get(message.get("type", ""))
    if reader is None:
        return None
    if not isinstance(content, dict):
        raise Invalid(f"the content of a message must be a dict, not {kind_of(content)}")
    return reader(content)


def _hello(content: Fields) -> Hello:
    limits = content.get("limits")
    limit = limits.get("message_bytes") if isinstance(limits, dict) else None
    return Hello(
        require_int(content, "id"),
        require_text(content, "session"),
        content.get("resumed") is True,
        limit if isinstance(limit, int) else None,
    )


def _subscribed(content: Fields) -> Subscribed:
    return Subscribed(
        require_text(content, "topic_name"),
        require_text(content, "type"),
        require_text(content, "epoch"),
        require_int(content, "version"),
        _optional_int(content, "since"),
    )


def _update(content: Fields) -> list[Published]:
    published = _part(content, _optional_int(content, "author"))
    published.since = _optional_int(content, "since")
    published.snapshot = content.get("snapshot") is True
    ids = content.get("ids")
    if isinstance(ids, list):
        published.ids = [id for id in ids if isinstance(id, str)] + published.ids
    return [published]


def _action(content: Fields) -> list[Published]:
    author = _optional_int(content, "author")
    parts = require(content, "changes")
    if not isinstance(parts, list):
        raise Invalid("field 'changes' must be a list")
    published = [_part(part, author) for part in parts]
    for part in published:
        part.of_action = True
    return published


def _part(content: Fields, author: int | None) -> Published:
    change = checked_fields(require(content, "change"))
    id = change.get("id")
    return Published(
        require_text(content, "topic_name"),
        require_int(content, "version"),
        change,
        [id] if isinstance(id, str) else [],
        author,
    )


def _rejection(content: Fields) -> Rejection:
    change = content.get("change")
    return Rejection(
        require_text(content, "topic_name"),
        require_text(content, "code"),
        _text(content, "reason"),
        _optional_text(content, "action_id"),
        _optional_text(change, "id") if isinstance(change, dict) else None,
    )


def _requested(content: Fields) -> Requested:
    return Requested(
        require_text(content, "service_name"),
        checked(content.get("args")),
        require_text(content, "request_id"),
        require_int(content, "client_id"),
    )


def _response(content: Fields) -> Response:
    request_id = require_text(content, "request_id")
    error = content.get("error")
    if error is None:
        value = checked(content.get("response"), ANSWER_NESTING_MAX)
        return Response(request_id, value, None)
    fields = error if isinstance(error, dict) else {}
    code = _text(fields, "code") or "failed"
    return Response(request_id, None, ServiceFailure(code, _text(fields, "reason")))


def _error(content: Fields) -> Error:
    return Error(
        require_text(content, "code"),
        _text(content, "reason"),
        _text(content, "to"),
        _optional_text(content, "topic_name"),
        _optional_text(content, "service_name"),
        _optional_text(content, "request_id"),
    )


def _optional_int(content: Fields, field: str) -> int | None:
    return None if content.get(field) is None else require_int(content, field)


def _optional_text(content: Fields, field: str) -> str | None:
    return None if content.get(field) is None else require_text(content, field)


def _text(content: Fields, field: str) -> str:
    return _optional_text(content, field) or ""


_READERS: dict[str, Callable[[Fields], ServerMessage]] = {
    "hello": _hello,
    "subscribed": _subscribed,
    "update": _update,
    "action": _action,
    "reject_update": _rejection,
    "unsubscribed": lambda content: Unsubscribed(require_text(content, "topic_name")),
    "registered": lambda content: OfService(require_text(content, "service_name"), True),
    "unregistered": lambda content: OfService(require_text(content, "service_name"), False),
    "request": _requested,
    "response": _response,
    "error": _error,
}
