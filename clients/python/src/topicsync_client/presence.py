"""Presence: short-lived state, such as cursors, that belongs to a session and ends with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import Self

from .changes import Change
from .changing import Changes
from .core import Stop
from .topics import DictTopic
from .waiting import Waiting


class Presence:
    """Who is here: an entry for each client that set one, by client id."""

    def __init__(self, topic: DictTopic[Any]) -> None:
        self._topic = topic
        self._core = topic._core

    def __repr__(self) -> str:
        return f"<presence {self._topic.name!r}: {self.all!r}>"

    def set(self, entry: Any) -> None:
        """Set this client's entry. It is put there again in every later session."""
        self._core.act(lambda replica: replica.set_presence(self._topic.name, entry))

    def remove(self) -> None:
        """Take this client's entry out."""
        self._core.act(lambda replica: replica.remove_presence(self._topic.name))

    @property
    def all(self) -> dict[int, Any]:
        """Everybody's entries, by client id."""
        return {int(key): entry for key, entry in self._topic.items()}

    @property
    def others(self) -> dict[int, Any]:
        """The entries of all but this client, by client id."""
        me = self._core.replica.client_id
        return {id: entry for id, entry in self.all.items() if id != me}

    def ready(self) -> Waiting[Self]:
        """Wait until the entries are known."""
        return self._core.ready(self._topic.name, self)

    def on_change(self, callback: Callable[[Change], object]) -> Stop:
        """Call back whenever an entry comes (`Added`), goes or changes."""
        return self._topic.on_change(callback)

    def changes(self) -> Changes:
        """Iterate over the changes of the entries."""
        return self._topic.changes()
