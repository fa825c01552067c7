"""Services, both ways: what this client offers, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..values import checked
from .events import Answered, Registered, ServiceFailure
from .local import Local
from .messages import Message

_READING = frozenset(
    f"_topicsync/{service_name}" for service_name in ("value_at", "history", "cut", "stats")
)
"""Services that only read: to ask them twice does no harm."""


@dataclass(slots=True, eq=False)
class _Call:
    id: int
    service_name: str
    args: Any
    timeout_ms: int | None
    after: int
    """Goes out only when every batch up to this one has met its fate."""
    request_id: str | None = None
    """Given when it is first sent."""


class _Offer(Enum):
    """Where the offer of a service stands."""

    UNSENT = "unsent"
    SENT = "sent"
    REGISTERED = "registered"


class Calls(Local):
    """The floor of services."""

    def __init__(self) -> None:
        super().__init__()
        self._calls_made = 0
        self._calls_waiting: list[_Call] = []
        self._calls_sent: dict[str, _Call] = {}
        # The services of this client, and what its session knows of them.
        self._offers: dict[str, _Offer] = {}

    def register_service(self, service_name: str) -> None:
        """Offer a service, now and in every later session."""
        self._offers.setdefault(service_name, _Offer.UNSENT)

    def is_registered(self, service_name: str) -> bool:
        """Tell whether the server has taken the offer of a service."""
        return self._offers.get(service_name) is _Offer.REGISTERED

    @property
    def is_settled(self) -> bool:
        """Whether every local change has its outcome, and every offer of a service its answer."""
        return not self._batches and not self._open_offers()

    @property
    def is_done(self) -> bool:
        """Whether every local change has its outcome, and every request its answer."""
        return not self._batches and not self._calls_waiting and not self._calls_sent

    def describe_unsettled(self) -> str:
        """Say what is not settled, for a message to people."""
        changes = len(self._batches)
        topic_names = sorted({name for it in self._batches.values() for name in it.topics})
        about = f"the outcome of {changes} pending changes"
        if topic_names:
            about += f" (of topics {', '.join(map(repr, topic_names[:5]))})"
        if offers := self._open_offers():
            about += f", and the registration of services {', '.join(map(repr, offers))}"
        return about

    def _open_offers(self) -> list[str]:
        return sorted(name for name, it in self._offers.items() if it is not _Offer.REGISTERED)

    def unregister_service(self, service_name: str) -> None:
        """Take back an offer."""
        if self._offers.pop(service_name, _Offer.UNSENT) is not _Offer.UNSENT:
            content = {"service_name": service_name}
            self._queue.append({"type": "unregister_service", "content": content})

    def request(self, service_name: str, args: Any, timeout_ms: int | None = None) -> int:
        """Ask a service, as soon as there is a session; the answer is an event.

        Raises `Invalid` if `args` is no value.
        """
        return self._call(service_name, checked(args), timeout_ms, 0)

    def undo(self) -> int:
        """Undo this client's newest action. What was made here before is answered first."""
        return self._call("_topicsync/undo", None, None, self._batches_made)

    def redo(self) -> int:
        """Redo what was undone last."""
        return self._call("_topicsync/redo", None, None, self._batches_made)

    def respond(self, request_id: str, value: Any, failure: ServiceFailure | None = None) -> None:
        """Answer somebody's request, with a checked value or a failure."""
        content: dict[str, Any] = {"request_id": request_id}
        if failure is None:
            content["response"] = value
        else:
            content["error"] = {"code": failure.code, "reason": failure.reason}
        self._queue.append({"type": "response", "content": content})

    def _call(self, service_name: str, args: Any, timeout_ms: int | None, after: int) -> int:
        self._calls_made += 1
        call = _Call(self._calls_made, service_name, args, timeout_ms, after)
        self._calls_waiting.append(call)
        return call.id

    def _offers_to_send(self) -> list[Message]:
        """Offers that the session does not know of yet."""
        if not self._offers:
            return []
        unsent = sorted(name for name, it in self._offers.items() if it is _Offer.UNSENT)
        self._offers.update(dict.fromkeys(unsent, _Offer.SENT))
        return [{"type": "register_service", "content": {"service_name": it}} for it in unsent]

    def _calls_to_send(self) -> list[Message]:
        """Requests that can go out now."""
        if not self._calls_waiting:
            return []
        oldest = next(iter(self._batches), None)
        messages: list[Message] = []
        waiting, self._calls_waiting = self._calls_waiting, []
        for call in waiting:
            if oldest is not None and oldest <= call.after:
                self._calls_waiting.append(call)
                continue
            if call.request_id is None:
                call.request_id = self._next_id()
            self._calls_sent[call.request_id] = call
            content = {
                "service_name": call.service_name,
                "args": call.args,
                "request_id": call.request_id,
            }
            if call.timeout_ms is not None:
                content["timeout_ms"] = call.timeout_ms
            messages.append({"type": "request", "content": content})
        return messages

    def forget_call(self, call: int) -> None:
        """Take back a request that was not sent; if it was, no answer of it is told."""
        self._calls_waiting = [it for it in self._calls_waiting if it.id != call]
        self._calls_sent = {key: it for key, it in self._calls_sent.items() if it.id != call}

    def _registered(self, service_name: str) -> None:
        if service_name in self._offers:
            self._offers[service_name] = _Offer.REGISTERED
        self._events.append(Registered(service_name))

    def _response(self, request_id: str, value: Any, failure: ServiceFailure | None) -> None:
        call = self._calls_sent.pop(request_id, None)
        if call is not None:
            self._events.append(Answered(call.id, value, failure))

    def _calls_disconnected(self) -> None:
        """End what was asked and is not answered: the answer may be lost with the line (R39).

        What only reads is asked again. So are offers of which the session may not know.
        """
        sent, self._calls_sent = self._calls_sent, {}
        again = [call for call in sent.values() if call.service_name in _READING]
        self._calls_waiting = again + self._calls_waiting
        lost = ServiceFailure("lost", "the connection was lost before the answer")
        self._events += [
            Answered(call.id, None, lost) for call in sent.values() if call not in again
        ]
        for service_name, offer in self._offers.items():
            if offer is _Offer.SENT:
                self._offers[service_name] = _Offer.UNSENT

    def _calls_in_new_session(self) -> None:
        """Offer all services in a new session (R41), and give new ids to what is asked again."""
        self._offers = dict.fromkeys(self._offers, _Offer.UNSENT)
        for call in self._calls_waiting:
            call.request_id = None
