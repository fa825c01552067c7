"""What can go wrong: refusals of the server, values that do not fit, services that fail.

Everything that this package raises by itself is a `TopicsyncError`.
"""

from __future__ import annotations


class TopicsyncError(Exception):
    """Anything that goes wrong here."""


class Invalid(TopicsyncError, ValueError):
    """A value or change that cannot be taken: malformed, or it does not fit what is there."""


class Conflict(TopicsyncError):
    """Why a change cannot be carried over another. Raised by a type's `rebase`."""


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


class FateUnknown(TopicsyncError):
    """The answer to a change was lost, with its session or with its topic's life.

    The change has left the view; whether the server took it shows in the topic's value.
    """

    def __init__(self) -> None:
        super().__init__("the answer was lost, with the session or with the topic's life")


class ClientClosed(TopicsyncError):
    """The client was closed, or the topic is no longer subscribed."""


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

    def __init__(self, reason: str, code: str = "failed") -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
