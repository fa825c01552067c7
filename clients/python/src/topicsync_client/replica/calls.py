"""Services, both ways: what this client offers, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..values import checked
from .events import Answered, ServiceFailure
from .local import Local
from .messages import Message


@dataclass(slots=True, eq=False)
class _Call:
    id: int
    service_name: str
    args: Any
    timeout_ms: int | None
    after: int
    """Goes out only when every batch up to this one has met its fate."""


class Calls(Local):
    """The floor of services."""

    def __init__(self) -> None:
        super().__init__()
        self._calls_made = 0
        self._calls_waiting: list[_Call] = []
        self._calls_sent: dict[str, int] = {}
        # The services of this client, and whether its session knows.
        self._offers: dict[str, bool] = {}

    def register_service(self, service_name: str) -> None:
        """Offer a service, now and in every later session."""
        self._offers.setdefault(service_name, False)

    def unregister_service(self, service_name: str) -> None:
        """Take back an offer."""
        if self._offers.pop(service_name, False):
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
        unsent = sorted(name for name, sent in self._offers.items() if not sent)
        self._offers.update(dict.fromkeys(unsent, True))
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
            request_id = self._next_id()
            self._calls_sent[request_id] = call.id
            content = {
                "service_name": call.service_name,
                "args": call.args,
                "request_id": request_id,
            }
            if call.timeout_ms is not None:
                content["timeout_ms"] = call.timeout_ms
            messages.append({"type": "request", "content": content})
        return messages

    def _response(self, request_id: str, value: Any, failure: ServiceFailure | None) -> None:
        call = self._calls_sent.pop(request_id, None)
        if call is not None:
            self._events.append(Answered(call, value, failure))

    def _calls_lost(self) -> None:
        """The session is gone, and with it its services and what was asked in it."""
        self._offers = dict.fromkeys(self._offers, False)
        failure = ServiceFailure("failed", "the session ended before the answer")
        sent, self._calls_sent = self._calls_sent, {}
        self._events += [Answered(sent[request_id], None, failure) for request_id in sorted(sent)]
