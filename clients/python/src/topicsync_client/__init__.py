"""Topicsync: shared state for programs and people, in Python.

A server holds *topics*: typed values that many edit at once. A client subscribes, changes what it
sees at once, and sees everyone's changes in one order.

```python
import asyncio
import topicsync_client

async def main():
    async with topicsync_client.connect("ws://127.0.0.1:8765/") as client:
        todo = client.list("todo")
        await todo.ready()
        todo.append("milk")              # It shows at once; nobody has to wait.
        await todo.insert(0, "bread")    # Accepted by the server, or an exception.
        async for change in todo.changes():
            print(change, todo.value)

asyncio.run(main())
```

| what | where |
|---|---|
| the client | `connect`, `Client`; without asyncio `sync.connect` |
| topics | `ListTopic`, `DictTopic`, `SetTopic`, `StringTopic`, `IntTopic`, ... |
| what changed | `Change` and its subclasses: `Inserted`, `Added`, `Edited`, ... |
| what comes of a change | `Ticket`, `Rejected`, `OutcomeUnknown`, `TimedOut`, `ClosedUnanswered` |
| who is here | `Presence` |
| the past | `ValueAt`, `Entry`, `Cut`, `Past` |
| types of one's own | `TopicType`, `types` |
"""

from . import sync, types
from .base import Request
from .changes import (
    About,
    Added,
    Change,
    Edited,
    Emitted,
    Inserted,
    ItemAdded,
    ItemRemoved,
    Moved,
    Origin,
    OtherChange,
    Popped,
    Removed,
    Replaced,
    Splice,
    ValueChanged,
    ValueSet,
)
from .changing import Changes
from .client import Client, Past, connect
from .connection import Config
from .core import Action, Status
from .errors import (
    ChangesLost,
    ClientClosed,
    ClosedUnanswered,
    Conflict,
    Invalid,
    OutcomeUnknown,
    Rejected,
    ServiceError,
    SubscribeError,
    TimedOut,
    TopicsyncError,
    Unsent,
)
from .past import Cut, Entry, TopicAt, Undone, ValueAt
from .presence import Presence
from .topics import (
    BoolTopic,
    DictTopic,
    EventTopic,
    FloatTopic,
    GenericTopic,
    IntTopic,
    ListTopic,
    SetTopic,
    StringTopic,
    Topic,
)
from .types import Composed, Rebased, TopicType
from .values import FrozenDict, FrozenList, Value, same
from .waiting import Ticket, Waiting

__all__ = [
    "About",
    "Action",
    "Added",
    "BoolTopic",
    "Change",
    "Changes",
    "ChangesLost",
    "Client",
    "ClientClosed",
    "ClosedUnanswered",
    "Composed",
    "Config",
    "Conflict",
    "Cut",
    "DictTopic",
    "Edited",
    "Emitted",
    "Entry",
    "EventTopic",
    "FloatTopic",
    "FrozenDict",
    "FrozenList",
    "GenericTopic",
    "Inserted",
    "IntTopic",
    "Invalid",
    "ItemAdded",
    "ItemRemoved",
    "ListTopic",
    "Moved",
    "Origin",
    "OtherChange",
    "OutcomeUnknown",
    "Past",
    "Popped",
    "Presence",
    "Rebased",
    "Rejected",
    "Removed",
    "Replaced",
    "Request",
    "ServiceError",
    "SetTopic",
    "Splice",
    "Status",
    "StringTopic",
    "SubscribeError",
    "Ticket",
    "TimedOut",
    "Topic",
    "TopicAt",
    "TopicType",
    "TopicsyncError",
    "Undone",
    "Unsent",
    "Value",
    "ValueAt",
    "ValueChanged",
    "ValueSet",
    "Waiting",
    "connect",
    "same",
    "sync",
    "types",
]
