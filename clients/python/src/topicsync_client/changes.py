"""What a program is told of how a topic's view moved, a change at a time.

```python
async for change in todo.changes():
    match change:
        case Inserted(position=position, item=item) if not change.local:
            print(f"client {change.author} put {item!r} at {position}")
        case Popped(item=item):
            print(f"{item!r} is done")
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple


class Origin(str, Enum):
    """What moved a view."""

    LOCAL = "local"
    """A change made here."""
    REMOTE = "remote"
    """A change of another client, or of this one made by the server: an undo, say."""
    SNAPSHOT = "snapshot"
    """A whole value: the first, or one that jumps ahead."""
    CORRECTION = "correction"
    """The server took a change made here in another form than was predicted, or not at all."""


@dataclass(frozen=True, slots=True)
class About:
    """Whose change it is, and of which topic."""

    topic_name: str
    origin: Origin
    author: int | None


@dataclass(frozen=True)
class Change:
    """One change of a topic's view. Its subclasses say what changed."""

    about: About = field(repr=False)

    @property
    def topic_name(self) -> str:
        """The topic whose view moved."""
        return self.about.topic_name

    @property
    def origin(self) -> Origin:
        """What moved the view."""
        return self.about.origin

    @property
    def local(self) -> bool:
        """Whether it was made here, just now."""
        return self.about.origin is Origin.LOCAL

    @property
    def author(self) -> int | None:
        """The client id of a remote change's author, 0 being the server; else None."""
        return self.about.author


@dataclass(frozen=True)
class ValueSet(Change):
    """The whole value is another. A number that was added to is told like this too."""

    value: Any
    old: Any


@dataclass(frozen=True)
class Inserted(Change):
    """An item of a list was put before the one at `position`."""

    position: int
    item: Any


@dataclass(frozen=True)
class Popped(Change):
    """The item of a list that was at `position` was taken out."""

    position: int
    item: Any


@dataclass(frozen=True)
class Replaced(Change):
    """`item` took the place of `old` at `position` of a list."""

    position: int
    item: Any
    old: Any


@dataclass(frozen=True)
class Moved(Change):
    """The item of a list that was at `position` is now at `to`."""

    position: int
    to: int
    item: Any


@dataclass(frozen=True)
class ItemAdded(Change):
    """An item came into a set."""

    item: Any


@dataclass(frozen=True)
class ItemRemoved(Change):
    """An item went out of a set."""

    item: Any


@dataclass(frozen=True)
class Added(Change):
    """A key came into a dict."""

    key: str
    value: Any


@dataclass(frozen=True)
class Removed(Change):
    """A key went out of a dict, and with it this value."""

    key: str
    value: Any


@dataclass(frozen=True)
class ValueChanged(Change):
    """Another value is under a key of a dict."""

    key: str
    value: Any
    old: Any


class Splice(NamedTuple):
    """A stretch of text that gave way to another. Positions count code points."""

    position: int
    removed: str
    inserted: str


@dataclass(frozen=True)
class Edited(Change):
    """A text was edited: splices in order, each on the text that the one before leaves."""

    splices: tuple[Splice, ...]


@dataclass(frozen=True)
class Emitted(Change):
    """An event happened."""

    args: Any


@dataclass(frozen=True)
class OtherChange(Change):
    """A change of a topic type of one's own that does not describe its changes."""

    change: Any
