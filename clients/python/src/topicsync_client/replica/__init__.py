"""The replica: a client's copy of its topics. It never sees a socket, a clock or chance."""

from __future__ import annotations

from .events import Event
from .local import LocalChange
from .messages import Message
from .receive import Replica

__all__ = ["Event", "LocalChange", "Message", "Replica"]
