"""Values, and changes that fit them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from topicsync_client.types import BUILT_IN
from topicsync_client.types.base import TopicType
from topicsync_client.values import INT_MAX, Value, checked, same

texts = st.text("ab😀é\n", max_size=8)
ints = st.one_of(st.integers(-9, 9), st.integers(-INT_MAX, INT_MAX))
# Sums of these are exact.
floats = st.integers(-(2**20), 2**20).map(lambda number: number / 1024)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), floats, texts)
values: st.SearchStrategy[Value] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
items = st.sampled_from([None, True, 1, 2.5, "a", "b", [1], {"k": 1}])
keys = st.sampled_from(["a", "b", "c", "d", "é"])

of_kind: dict[str, st.SearchStrategy[Any]] = {
    "generic": values,
    "bool": st.booleans(),
    "int": ints,
    "float": floats,
    "string": st.text("abcdé😀", max_size=12),
    "list": st.lists(items, max_size=6),
    "set": st.lists(items, max_size=6, unique_by=repr),
    "dict": st.dictionaries(keys, items, max_size=4),
    "event": st.none(),
}

kinds = st.sampled_from(sorted(BUILT_IN))


@st.composite
def changes(draw: st.DrawFn, kind: str, value: Any) -> dict[str, Any]:
    """A change, as on the wire, that fits a plain value."""
    if kind == "event":
        return {"type": "emit", "args": draw(st.dictionaries(keys, items, max_size=2))}
    special = st.nothing()
    if kind in ("int", "float"):
        summands = of_kind[kind].filter(lambda it: abs(value + it) <= INT_MAX)
        special = st.builds(lambda it: {"type": "add", "value": it}, summands)
    elif kind == "string":
        special = edits(value)
    elif kind == "list":
        special = list_changes(len(value))
    elif kind == "set":
        special = items.map(
            lambda it: {
                "type": "remove" if any(same(it, other) for other in value) else "append",
                "item": it,
            }
        )
    elif kind == "dict":
        special = dict_changes(value)
    sets = st.builds(lambda it: {"type": "set", "value": it}, of_kind[kind])
    return draw(st.one_of(special, special, special, sets) if kind not in _REGISTERS else sets)


_REGISTERS = ("generic", "bool")


@st.composite
def edits(draw: st.DrawFn, text: str) -> dict[str, Any]:
    steps: list[Any] = []
    position = 0
    for _ in range(draw(st.integers(1, 4))):
        left = len(text) - position
        keep, length = draw(st.integers(0, left)), draw(st.integers(0, 3))
        steps += [keep, draw(st.sampled_from(["", "x", "yz😀"]))]
        position += keep
        deleted = text[position : position + length]
        position += len(deleted)
        steps.append({"d": draw(st.sampled_from([deleted, len(deleted)]))})
    return {"type": "edit", "edit": steps}


@st.composite
def list_changes(draw: st.DrawFn, length: int) -> dict[str, Any]:
    item = draw(items)
    insert = {"type": "insert", "position": draw(st.integers(-1, length)), "item": item}
    if not length:
        return insert
    position, to = draw(st.integers(-1, length - 1)), draw(st.integers(-1, length - 1))
    return draw(
        st.sampled_from(
            [
                insert,
                {"type": "pop", "position": position},
                {"type": "replace", "position": position, "item": item},
                {"type": "move", "from": position, "to": to},
            ]
        )
    )


@st.composite
def dict_changes(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    key, item = draw(keys), draw(items)
    if key not in value:
        return {"type": "add", "key": key, "value": item}
    change = {"type": "change_value", "key": key, "value": item}
    return draw(st.sampled_from([change, {"type": "remove", "key": key}]))


@st.composite
def run(draw: st.DrawFn, kind: TopicType[Any, Any], value: Any, length: int) -> list[Any]:
    """Exact changes, each on the value that the one before leaves."""
    made = []
    for _ in range(length):
        fields = draw(changes(kind.name, kind.encode_value(value)))
        change = kind.resolve(kind.decode_change(checked(fields)), value)
        value = kind.apply(value, change)
        made.append(change)
    return made


@st.composite
def situations(draw: st.DrawFn) -> tuple[TopicType[Any, Any], Any]:
    """A type and a value of it."""
    kind = BUILT_IN[draw(kinds)]
    return kind, kind.decode_value(checked(draw(of_kind[kind.name])))
