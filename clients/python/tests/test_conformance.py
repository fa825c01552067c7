"""The conformance file, which the Rust replica writes: every replica does just the same."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from topicsync_client.errors import ClientClosed, Invalid
from topicsync_client.replica import LocalChange, Message, Replica
from topicsync_client.replica import events as told
from topicsync_client.types import BUILT_IN
from topicsync_client.values import same

CASES = Path(__file__).resolve().parents[2] / "conformance/cases.jsonl"
if given := os.environ.get("TOPICSYNC_CONFORMANCE"):
    CASES = Path(given)


def cases() -> list[Any]:
    lines = CASES.read_text(encoding="utf-8").split("\n")
    read = {case["case"]: case["steps"] for case in map(json.loads, filter(None, lines))}
    return [pytest.param(steps, id=name) for name, steps in read.items()]


class Runner:
    """A replica that does what steps say, and notes what that leads to."""

    def __init__(self) -> None:
        self.replica = Replica()
        self.tickets: list[int] = []
        self.calls: list[int] = []
        self.topics: dict[str, Any] = {}

    def step(self, step: dict[str, Any]) -> dict[str, Any]:
        """Does one step, and gives what came of it, as `expect` says it."""
        (kind,) = (key for key in step if key != "expect")
        found: dict[str, Any] = getattr(self, f"step_{kind}")(step[kind]) or {}
        for event in self.replica.events():
            key, entry = self.entry(event)
            if entry is not None:
                found.setdefault(key, []).append(entry)
        topics = {name: self.topic(name) for name in sorted(self.replica._topics)}
        if not same(topics, self.topics):
            found["topics"] = self.topics = topics
        return found

    def step_receive(self, messages: list[Message]) -> None:
        self.replica.receive_frame(messages)

    def step_subscribe(self, it: dict[str, Any]) -> None:
        self.replica.subscribe(it["topic_name"], BUILT_IN[it["type"]], it.get("options"))

    def step_unsubscribe(self, it: dict[str, Any]) -> None:
        self.replica.unsubscribe(it["topic_name"])

    def step_local(self, changes: list[dict[str, Any]]) -> dict[str, Any] | None:
        local = [
            LocalChange(it["topic_name"], it["change"], it.get("overwriting", False))
            for it in changes
        ]
        try:
            self.tickets.append(self.replica.local(local))
        except (Invalid, ClientClosed):
            return {"error": True}
        return None

    def step_presence(self, it: dict[str, Any]) -> None:
        if it.get("remove"):
            self.replica.remove_presence(it["topic_name"])
        else:
            self.replica.set_presence(it["topic_name"], it["entry"])

    def step_request(self, it: dict[str, Any]) -> None:
        match it["service_name"]:
            case "_topicsync/undo":
                call = self.replica.undo()
            case "_topicsync/redo":
                call = self.replica.redo()
            case service_name:
                call = self.replica.request(service_name, it["args"])
        self.calls.append(call)

    def step_send(self, _: object) -> dict[str, Any]:
        return {"sent": self.replica.outbox()}

    def step_disconnect(self, _: object) -> None:
        self.replica.disconnected()

    def step_composes(self, it: dict[str, Any]) -> None:
        self.replica.composes = it["on"]

    def step_close(self, _: object) -> None:
        self.replica.close()

    def step_end(self, _: object) -> None:
        self.replica.end()

    def step_resend_busy(self, _: object) -> None:
        self.replica.resend_busy()

    def topic(self, name: str) -> dict[str, Any]:
        topic = self.replica.topic(name)
        assert topic is not None
        return {
            "type": topic.kind.name,
            "ready": topic.ready,
            "epoch": topic.epoch,
            "version": topic.version,
            "confirmed": topic.kind.encode_value(topic.confirmed),
            "view": topic.kind.encode_value(topic.view),
            "pending": len(topic.pending),
        }

    def entry(self, event: told.Event) -> tuple[str, dict[str, Any] | None]:
        """An event as `expect` says it, and under which key."""
        match event:
            case told.Changed(topic_name, kind, _, _, changes, origin):
                encoded = [kind.encode_change(change) for change in changes]
                return "changed", {
                    "topic_name": topic_name,
                    "changes": encoded,
                    "origin": origin.value,
                }
            case told.Confirmed(ticket, id):
                return "fates", self.outcome(ticket, "confirmed", id=id)
            case told.Rejected(ticket, _, code, reason):
                return "fates", self.outcome(ticket, "rejected", code=code, reason=reason)
            case told.Unknown(ticket):
                return "fates", self.outcome(ticket, "unknown")
            case told.Unsent(ticket):
                return "fates", self.outcome(ticket, "unsent")
            case told.Online(client_id, resumed):
                entry = {"event": "online", "client_id": client_id, "resumed": resumed}
                return "told", entry
            case told.Ready(topic_name):
                return "told", {"event": "ready", "topic_name": topic_name}
            case told.Answered(call, value, failure):
                answered = {"event": "response", "call": self.calls.index(call) + 1}
                outcome = {"code": failure.code} if failure else {"response": value}
                return "told", answered | outcome
            case told.Busy():
                return "told", {"event": "busy"}
            case told.Closed(topic_name, error):
                closed = {"event": "closed", "topic_name": topic_name}
                return "told", closed | ({"code": error.code} if error else {})
            case told.Requested():
                return "told", {"event": "request"} | asdict(event)
            case told.Error(code, topic_name=topic_name):
                failed = {"event": "error", "code": code}
                return "told", failed | ({"topic_name": topic_name} if topic_name else {})
        raise AssertionError(f"the file knows no such event: {event}")

    def outcome(self, ticket: int, outcome: str, **more: Any) -> dict[str, Any] | None:
        # Those of changes that the replica makes for presence count for nothing.
        if ticket not in self.tickets:
            return None
        found = {"ticket": self.tickets.index(ticket) + 1, "fate": outcome}
        return found | {key: it for key, it in more.items() if it is not None}


def without_own_reasons(outcomes: list[Any], expected: list[Any]) -> list[Any]:
    """Outcomes without the reasons that the file does not give, as each replica words its own."""
    given = ["reason" in it for it in expected] + [False] * len(outcomes)
    return [
        it if given[index] else {key: value for key, value in it.items() if key != "reason"}
        for index, it in enumerate(outcomes)
    ]


@pytest.mark.parametrize("steps", cases())
def test_replica_does_as_all_replicas_do(steps: list[dict[str, Any]]) -> None:
    runner = Runner()
    for index, step in enumerate(steps):
        found = runner.step(step)
        expected = step.get("expect", {})
        if "fates" in found:
            found["fates"] = without_own_reasons(found["fates"], expected.get("fates", []))
        assert found.keys() == expected.keys(), f"step {index}, {step}: {found}"
        for key in found:
            assert same(found[key], expected[key]), (
                f"step {index}, {step}: {key} should be {expected[key]}, is {found[key]}"
            )
