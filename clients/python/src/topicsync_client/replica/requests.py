"""Services, both ways: what this client offers, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..values import checked
from .events import Answered, Registered, ServiceFailure, Unregistered
from .local import Local
from .messages import Message
from .orders import Order
from .state import Call

READING = frozenset(
    f"_topicsync/{service_name}" for service_name in ("value_at", "history", "cut", "stats")
)
"""Services that only read: to ask them twice does no harm (R39)."""


@dataclass(slots=True, eq=False)
class _Offer:
    """A service of this client, or one that it is about to take back."""

    wanted: bool
    sent: bool = False
    """Whether the session was told."""
    answered: bool = False
    """Whether the session has answered."""


class Requests(Local):
    """The floor of services."""

    def __init__(self) -> None:
        super().__init__()
        self._calls_made = 0
        self._offers: dict[str, _Offer] = {}

    def register_service(self, service_name: str) -> None:
        """Offer a service, now and in every later session (R41)."""
        offer = self._offers.get(service_name)
        if offer is None or not offer.wanted:
            self._offers[service_name] = _Offer(wanted=True)

    def unregister_service(self, service_name: str) -> None:
        """Take back an offer."""
        if self._session is None:
            self._offers.pop(service_name, None)
        elif service_name in self._offers:
            self._offers[service_name] = _Offer(wanted=False)

    def is_registered(self, service_name: str) -> bool:
        """Tell whether the session has a service of this client, as the server said."""
        offer = self._offers.get(service_name)
        return offer is not None and offer.wanted and offer.answered

    def request(self, service_name: str, args: Any, timeout_ms: int | None = None) -> int:
        """Ask a service, as soon as there is a session; the outcome is an event.

        Raises `Invalid` if `args` is no value.
        """
        return self._call(service_name, checked(args), timeout_ms, None)

    def undo(self) -> int:
        """Undo this client's newest action.

        What was made here before is sent and answered first, and what is made after it is sent
        after it (R16).
        """
        return self._call("_topicsync/undo", None, None, self._actions_made)

    def redo(self) -> int:
        """Redo what was undone last."""
        return self._call("_topicsync/redo", None, None, self._actions_made)

    def forget_call(self, call: int) -> None:
        """Give up a request: it is not sent any more, and its answer is passed over (R40)."""
        self._calls_waiting = [it for it in self._calls_waiting if it.id != call]
        self._calls_sent = {key: it for key, it in self._calls_sent.items() if it.id != call}

    def respond(self, request_id: str, value: Any, failure: ServiceFailure | None = None) -> None:
        """Answer somebody's request, with a checked value or a failure."""
        content: dict[str, Any] = {"request_id": request_id}
        if failure is None:
            content["response"] = value
        else:
            content["error"] = {"code": failure.code, "reason": failure.reason}
        self._messages.append({"type": "response", "content": content})

    def _call(
        self, service_name: str, args: Any, timeout_ms: int | None, after: Order | None
    ) -> int:
        self._calls_made += 1
        call = Call(self._calls_made, service_name, args, timeout_ms, after)
        if self._closed:
            self._end_call(call, "closed", "the client was closed before it was asked")
        else:
            self._calls_waiting.append(call)
        return call.id

    def _end_call(self, call: Call, code: str, reason: str) -> None:
        self._events.append(Answered(call.id, None, ServiceFailure(code, reason)))

    def _offers_to_send(self) -> list[Message]:
        """Services that the session does not know of yet, and those that it is to forget."""
        messages: list[Message] = []
        for service_name in sorted(name for name, it in self._offers.items() if not it.sent):
            offer = self._offers[service_name]
            offer.sent = True
            kind = "register_service" if offer.wanted else "unregister_service"
            messages.append({"type": kind, "content": {"service_name": service_name}})
        return messages

    def _calls_to_send(self) -> list[Message]:
        """Requests that can go out now."""
        if not self._calls_waiting:
            return []
        oldest = self._oldest_unanswered()
        messages: list[Message] = []
        waiting, self._calls_waiting = self._calls_waiting, []
        for call in waiting:
            if call.after is not None and oldest is not None and oldest <= call.after:
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

    def _oldest_unanswered(self) -> Order | None:
        """The oldest action of logged topics that has no outcome: an undo waits for it (R16)."""
        logged = (
            order for order, action in self._actions.items() if not self._is_presence(action.topics)
        )
        return next(logged, None)

    def _response(self, request_id: str, value: Any, failure: ServiceFailure | None) -> None:
        call = self._calls_sent.pop(request_id, None)
        if call is not None:
            self._events.append(Answered(call.id, value, failure))

    def _offer_answered(self, service_name: str, registered: bool) -> None:
        """Note that the session has a service of this client, or has it no more."""
        offer = self._offers.get(service_name)
        if offer is not None and offer.sent and offer.wanted == registered:
            if registered:
                offer.answered = True
            else:
                del self._offers[service_name]
        event = Registered if registered else Unregistered
        self._events.append(event(service_name))

    def _has_open_requests(self) -> bool:
        """Whether the server has yet to answer a request, or an offer made or taken back."""
        offers_open = any(not offer.answered for offer in self._offers.values())
        return bool(self._calls_waiting or self._calls_sent or offers_open)

    def _requests_disconnected(self) -> None:
        """End what was asked and is not answered: the answer may be lost with the line (R39).

        What only reads is asked again, under its id. What the session was told of services may not
        have come.
        """
        sent = sorted(self._calls_sent.values(), key=lambda call: call.id)
        self._calls_sent = {}
        for call in sent:
            if call.service_name not in READING:
                self._end_call(call, "lost", "the connection was lost before the answer")
        again = [call for call in sent if call.service_name in READING]
        self._calls_waiting = again + self._calls_waiting
        for offer in self._offers.values():
            offer.sent = offer.sent and offer.answered

    def _requests_session_lost(self) -> None:
        """Offer all services in a new session (R41), and ask again under new ids (R39)."""
        self._offers = {name: _Offer(True) for name, it in self._offers.items() if it.wanted}
        self._calls_waiting.sort(key=lambda call: call.id)
        for call in self._calls_waiting:
            call.request_id = None

    def _end_requests(self) -> None:
        """Give up all requests (R38)."""
        sent = [*self._calls_sent.values()]
        sent += [call for call in self._calls_waiting if call.request_id is not None]
        for call in sorted(sent, key=lambda call: call.id):
            self._end_call(call, "lost", "the client was closed before the answer")
        for call in self._calls_waiting:
            if call.request_id is None:
                self._end_call(call, "closed", "the client was closed before it was asked")
        self._calls_sent, self._calls_waiting, self._offers = {}, [], {}

    # What is still open.

    @property
    def is_settled(self) -> bool:
        """Whether everything made, asked and offered here has its outcome."""
        is_open = any(action.tickets for action in self._actions.values())
        return not is_open and not self._has_open_requests()

    def describe_unsettled(self) -> str:
        """Say what is not settled, for a message to people."""
        unsettled = self._unsettled_actions()
        topic_names = sorted({name for action in unsettled for name in action.topics})
        calls = [*self._calls_sent.values(), *self._calls_waiting]
        offers = [name for name, offer in self._offers.items() if not offer.answered]
        parts = [
            (f"{len(unsettled)} pending changes of topics", topic_names),
            ("the answers of services", sorted({call.service_name for call in calls})),
            ("the registration of services", sorted(offers)),
        ]
        return ", and ".join(
            f"{what} {', '.join(map(repr, names[:5]))}" for what, names in parts if names
        )
