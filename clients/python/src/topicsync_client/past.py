"""A topic's past: values at any version, who did what, and many topics at one commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

Time = datetime | int
"""A moment: a `datetime`, or milliseconds since 1970."""


@dataclass(frozen=True)
class ValueAt:
    """A topic's value at a version."""

    version: int
    commit: int
    """The commit number of the change that led there."""
    value: Any


@dataclass(frozen=True)
class Entry:
    """One accepted change of a topic."""

    version: int
    """The version that it led to."""
    commit: int
    change: dict[str, Any]
    """The change as on the wire."""
    author: int | None
    """The client id of its author, 0 being the server."""
    time: datetime
    action_id: str | None
    undoes: str | None
    """The id of the action or change that it takes back."""
    redoes: str | None


@dataclass(frozen=True)
class TopicAt:
    """One topic within a `Cut`."""

    type: str
    version: int
    value: Any


@dataclass(frozen=True)
class Cut:
    """The values of many topics at one commit."""

    commit: int
    topics: dict[str, TopicAt]


@dataclass(frozen=True)
class Undone:
    """What an undo or redo did."""

    action_id: str | None
    """None if there was nothing to undo."""
    undone: list[dict[str, Any]]
    """The changes that it made: `{"topic_name": ..., "change": ...}`."""
    skipped: list[dict[str, Any]]
    """The changes that could not be taken back, each with its `reason`."""


def moment(
    version: int | None = None, commit: int | None = None, time: Time | None = None
) -> dict[str, int]:
    """Say when, as the server's services want it."""
    moments = {"version": version, "commit": commit, "time": _milliseconds(time)}
    given = {name: number for name, number in moments.items() if number is not None}
    if len(given) > 1:
        raise ValueError("one of version, commit and time says when")
    return given


def value_at(answer: Any) -> ValueAt:
    """Read the answer of `_topicsync/value_at`."""
    return ValueAt(answer["version"], answer["commit"], answer["value"])


def entry(answer: Any) -> Entry:
    """Read one entry of the answer of `_topicsync/history`."""
    return Entry(
        answer["version"],
        answer["commit"],
        answer["change"],
        answer.get("author"),
        datetime.fromtimestamp(answer["time"] / 1000, timezone.utc),
        answer.get("action_id"),
        answer.get("undoes"),
        answer.get("redoes"),
    )


def cut(answer: Any) -> Cut:
    """Read the answer of `_topicsync/cut`."""
    topics = answer["topics"].items()
    return Cut(
        answer["commit"],
        {name: TopicAt(it["type"], it["version"], it["value"]) for name, it in topics},
    )


def undone(answer: Any) -> Undone:
    """Read the answer of `_topicsync/undo` or `_topicsync/redo`."""
    return Undone(answer["action_id"], answer["undone"], answer["skipped"])


def _milliseconds(time: Time | None) -> int | None:
    return int(time.timestamp() * 1000) if isinstance(time, datetime) else time


Entries = list[Entry]


class PastTopic:
    """A position in a topic's past."""

    def __init__(self, name: str, start: ValueAt) -> None:
        self.name = name
        """The topic's name."""
        self._at = start

    def __repr__(self) -> str:
        return f"<topic {self.name!r} at version {self.version}: {self.value!r}>"

    @property
    def value(self) -> Any:
        """The value at this version."""
        return self._at.value

    @property
    def version(self) -> int:
        """The version of this position."""
        return self._at.version

    @property
    def commit(self) -> int:
        """The commit number of the change that led there."""
        return self._at.commit

    def _move_to(self, at: ValueAt) -> None:
        self._at = at
