"""The automerge-paper trace, 259,778 keystrokes: typed here, and received from another.

`python bench/trace.py [TRACE.json.gz]` prints seconds of processor time each way, and the memory
that the replica takes afterwards. What answers is a loop in this process that confirms every
message: the time is the replica's alone, with its messages as plain dicts.
"""

from __future__ import annotations

import gc
import gzip
import json
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

from topicsync_client.replica import LocalChange, Message, Replica
from topicsync_client.types import BUILT_IN

TRACE = Path(__file__).resolve().parents[4] / "shared/traces/automerge-paper.json.gz"

Keystrokes = list[dict[str, Any]]


def read_trace(path: Path = TRACE, count: int | None = None) -> tuple[Keystrokes, str]:
    """Read the changes of a trace, and the text that it ends with."""
    with gzip.open(path) as file:
        trace = json.load(file)
    changes: Keystrokes = []
    for transaction in trace["txns"][:count]:
        for position, deleted, inserted in transaction["patches"]:
            if deleted:
                changes.append({"type": "delete", "position": position, "length": deleted})
            if inserted:
                changes.append({"type": "insert", "position": position, "insertion": inserted})
    return changes, trace["endContent"]


def online() -> Replica:
    """Give a replica that has an empty text."""
    replica = Replica()
    replica.subscribe("text", BUILT_IN["string"])
    replica.receive({"type": "hello", "content": {"id": 1, "session": "s"}})
    replica.outbox()
    subscribed = {"topic_name": "text", "type": "string", "epoch": "e", "version": 0}
    replica.receive({"type": "subscribed", "content": subscribed})
    replica.receive(published(0, {"type": "set", "value": ""}, snapshot=True))
    return replica


def published(version: int, change: dict[str, Any], **more: Any) -> Message:
    """Give a change as the server publishes it."""
    content = {"topic_name": "text", "version": version, "commit": version, "change": change}
    return {"type": "update", "content": content | more}


def type_locally(changes: Keystrokes, batch: int) -> str:
    """Type all, a message of at most `batch` keystrokes at a time, each confirmed."""
    replica = online()
    version = 0
    for start in range(0, len(changes), batch):
        for change in changes[start : start + batch]:
            replica.local([LocalChange("text", change)])
        for message in replica.outbox():
            version += 1
            replica.receive(published(version, message["content"]["change"], author=1))
        replica.events()
    return view(replica)


def receive_remotely(changes: Keystrokes) -> str:
    """Receive all from another client, a version each."""
    replica = online()
    for version, change in enumerate(changes, 1):
        replica.receive(published(version, change, author=2))
        replica.events()
    return view(replica)


def view(replica: Replica) -> str:
    """Give the text that is seen."""
    topic = replica.topic("text")
    assert topic is not None
    assert not topic.pending
    return str(topic.view.whole())


def timed(what: str, work: Any, end: str) -> None:
    """Do the work, check what it leaves, and print how long it took."""
    start = time.process_time()
    text = work()
    seconds = time.process_time() - start
    assert text == end, f"{what}: another text"
    print(f"{what:<44}{seconds:8.2f} s")


def memory(changes: Keystrokes) -> None:
    """Print what a replica takes that received all."""
    gc.collect()
    tracemalloc.start()
    replica = online()
    for version, change in enumerate(changes, 1):
        replica.receive(published(version, change, author=2))
        replica.events()
    gc.collect()
    print(
        f"{'memory of the replica afterwards':<44}{tracemalloc.get_traced_memory()[0] >> 10:8} KiB"
    )
    tracemalloc.stop()
    view(replica)


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else TRACE
    if not path.exists():
        print(f"skipped: there is no trace at {path}")
        return
    changes, end = read_trace(path)
    print(f"{len(changes)} keystrokes of {path.name}, a text of {len(end)} characters in the end")
    timed("typed locally, each confirmed by itself", lambda: type_locally(changes, 1), end)
    timed("typed locally, 20 on the way at a time", lambda: type_locally(changes, 20), end)
    timed("typed locally while offline, sent as one", lambda: type_locally(changes, 10**9), end)
    timed("received, a version each", lambda: receive_remotely(changes), end)
    memory(changes)


if __name__ == "__main__":
    main()
