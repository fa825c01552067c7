"""What can go wrong: rejections, values that do not fit, services that fail, time-outs.

Everything that this package raises by itself is a `TopicsyncError`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, TypeAlias

UnansweredChange: TypeAlias = dict[str, Any]
"""`{"topic_name": ..., "change": {...}}`"""


class TopicsyncError(Exception):
    """Anything that goes wrong here."""


class Invalid(TopicsyncError, ValueError):
    """A value or change that cannot be taken: malformed, or it does not fit what is there."""


class Conflict(TopicsyncError):
    """Why a change cannot be rebased over another. Raised by a type's `rebase`."""


class Rejected(TopicsyncError):
    """A change or action was refused, and has left the view.

    `code` is the protocol's (`"stale"`, `"invalid"`, `"forbidden"`, ...), `reason` a sentence for
    people, `topic_name` the topic of the change that was refused.
    """

    def __init__(self, code: str, reason: str, topic_name: str) -> None:
        super().__init__(f"{topic_name!r}: {code}: {reason}")
        self.code = code
        self.reason = reason
        self.topic_name = topic_name


class OutcomeUnknown(TopicsyncError):
    """The answer to a change was lost, with its session, its topic's life or the client.

    The change has left the view; whether the server took it shows in the topic's value.
    """

    def __init__(self, about: str, reason: str) -> None:
        super().__init__(f"{about}: it is not known whether the server accepted it, as {reason}")


class TimedOut(TopicsyncError, TimeoutError):
    """What was waited for did not come in time. The message says what, and how long was waited."""

    def __init__(self, about: str, seconds: float, standing: str) -> None:
        super().__init__(f"{about} did not come within {seconds:g} s: {standing}")
        self.about = about
        self.seconds = seconds


class ClientClosed(TopicsyncError):
    """The client was closed, or the topic is no longer subscribed."""


class Unsent(ClientClosed):
    """The client was closed before a change was sent: the server does not have it."""


class ClosedUnanswered(ClientClosed):
    """`close` waited as long as it may, and some changes are neither confirmed nor rejected.

    Each change is `{"topic_name": ..., "change": {...}}`. Those that are `unsent` the server does
    not have. Of those that are `unknown`, which were sent, it may have accepted any.
    """

    def __init__(
        self, seconds: float, unsent: list[UnansweredChange], unknown: list[UnansweredChange]
    ) -> None:
        self.unsent: list[UnansweredChange] = unsent
        self.unknown: list[UnansweredChange] = unknown
        super().__init__(f"closed after {seconds:g} s with {describe(unsent, unknown)}")


class ChangesLost(TopicsyncError):
    """Events were dropped, as they came faster than who iterates over them took them."""

    def __init__(self, topic_name: str, count: int) -> None:
        super().__init__(f"{count} events of topic {topic_name!r} were not taken in time")
        self.topic_name = topic_name
        self.count = count


class SubscribeError(TopicsyncError):
    """A topic cannot be had: it has another type, say. `code` and `reason` are the server's."""

    def __init__(self, topic_name: str, code: str, reason: str) -> None:
        super().__init__(f"{topic_name!r}: {code}: {reason}")
        self.topic_name = topic_name
        self.code = code
        self.reason = reason


class ServiceError(TopicsyncError):
    """A request was not answered with a value. `code` and `reason` are the server's.

    A service raises it to answer with a reason of its own; the code is then `"failed"`.
    """

    def __init__(self, reason: str, code: str = "failed", service_name: str = "") -> None:
        about = f"service {service_name!r}: " if service_name else ""
        super().__init__(f"{about}{code}: {reason}")
        self.code = code
        self.reason = reason
        self.service_name = service_name


def describe(unsent: list[UnansweredChange], unknown: list[UnansweredChange]) -> str:
    """Say how many changes were not sent or not answered, and of which topics."""
    told = [f"{_listed(unsent)} not sent"] if unsent else []
    told += [f"{_listed(unknown)} sent and not answered"] if unknown else []
    return "; ".join(told)


def _listed(changes: list[UnansweredChange]) -> str:
    count = Counter(change["topic_name"] for change in changes)
    per_topic = ", ".join(f"{number} of topic {name!r}" for name, number in sorted(count.items()))
    return f"{len(changes)} change{'s'[: len(changes) != 1]} ({per_topic})"
