"""Topic types: the built-in ones, a file each, and what a type of one's own is written against.

| type | file | value | changes |
|---|---|---|---|
| `generic`, `bool` | `register` | any value, a boolean | set |
| `int`, `float` | `number` | a number | set, add |
| `string` | `string`, `edit` | text | set, insert, delete, edit |
| `list` | `list` | values in a row | set, insert, pop, replace, move |
| `set` | `set` | distinct values, sorted | set, append, remove |
| `dict` | `dict` | values by key | set, add, remove, change_value |
| `event` | `event` | none | emit |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Composed, Rebased, TopicType
from .dict import Dict
from .event import Event
from .list import List
from .number import Float, Int
from .register import Bool, Generic
from .set import Set
from .string import String

__all__ = [
    "BUILT_IN",
    "Bool",
    "Composed",
    "Dict",
    "Event",
    "Float",
    "Generic",
    "Int",
    "List",
    "Rebased",
    "Set",
    "String",
    "TopicType",
]

BUILT_IN: Mapping[str, TopicType[Any, Any]] = {
    kind.name: kind
    for kind in (Generic(), Bool(), Int(), Float(), String(), List(), Set(), Dict(), Event())
}
"""The built-in types by name."""
