"""Writes the seed corpus: `python3 fuzz/seeds.py`. Small inputs that reach most of what is decoded."""

import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"

CHANGES = [
    {"type": "set", "value": {"a": [1, 1.5, -0.0, None, True, "é😀"], "": {}}},
    {"type": "set", "value": [1, 9007199254740991, -9007199254740991, 1e300]},
    {"type": "add", "value": -3},
    {"type": "insert", "position": 2, "insertion": "👩\u200d👧"},
    {"type": "insert", "position": -1, "item": [[]]},
    {"type": "delete", "position": 0, "deletion": "abc"},
    {"type": "delete", "position": 4294967295, "length": 4294967295},
    {"type": "edit", "edit": [3, "x", {"d": 2}, 1, {"d": "é"}]},
    {"type": "pop", "position": 0},
    {"type": "replace", "position": -1, "item": "x"},
    {"type": "move", "from": 0, "to": -1},
    {"type": "append", "item": 1.0},
    {"type": "remove", "item": 1},
    {"type": "remove", "key": "a"},
    {"type": "change_value", "key": "a key beyond fifteen bytes", "value": None},
    {"type": "emit", "args": {"x": 1}},
]


MESSAGES = [
    ("resume", {"session": "kV9"}),
    ("subscribe", {"topic_name": "t", "type": "dict", "options": {"history": True},
                   "since": {"epoch": "b7", "version": 4}}),
    ("unsubscribe", {"topic_name": "t"}),
    ("update", {"topic_name": "t", "epoch": "b7", "version": 4, "commit": 5, "author": 3,
                "snapshot": True, "since": 2, "ids": ["3_1"],
                "change": {"type": "add", "key": "k", "value": {}, "id": "3_1", "base": 4}}),
    ("action", {"action_id": "3_2", "commit": 5, "author": 3, "undoes": "3_1", "changes": [
        {"topic_name": "t", "version": 4, "change": {"type": "pop", "position": -1, "id": "3_3"}}]}),
    ("request", {"service_name": "s", "args": {"a": 1}, "request_id": "3_4", "timeout_ms": 5,
                 "client_id": 3}),
    ("response", {"request_id": "s1", "response": [1]}),
    ("response", {"request_id": "s1", "error": {"code": "failed", "reason": "no"}}),
    ("hello", {"id": 3, "session": "k", "resumed": True, "protocol": 1, "server": "t",
               "limits": {"nesting": 100}}),
    ("subscribed", {"topic_name": "t", "type": "dict", "options": {}, "epoch": "b", "version": 4}),
    ("reject_update", {"topic_name": "t", "code": "stale", "version": 4, "reason": "gone",
                       "action_id": "3_2", "change": {"type": "remove", "key": "k", "id": "3_1"}}),
    ("registered", {"service_name": "s"}),
    ("error", {"code": "malformed", "to": "update", "topic_name": "t", "reason": "no"}),
]


def pack(it):
    """MessagePack, of what the changes above hold."""
    if it is None or isinstance(it, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[it]
    if isinstance(it, int):
        return struct.pack(">b", it) if -32 <= it < 128 else b"\xd3" + struct.pack(">q", it)
    if isinstance(it, float):
        return b"\xcb" + struct.pack(">d", it)
    if isinstance(it, str):
        text = it.encode()
        return b"\xd9" + bytes([len(text)]) + text
    if isinstance(it, list):
        return bytes([0x90 | len(it)]) + b"".join(map(pack, it))
    return bytes([0x80 | len(it)]) + b"".join(pack(k) + pack(v) for k, v in it.items())


def number(it):
    """Seven bits a byte, the lowest first."""
    return bytes([it]) if it < 128 else bytes([it % 128 + 128]) + number(it // 128)


def text(it):
    return number(len(it.encode())) + it.encode()


def column(kind, *parts):
    return bytes([kind]) + b"".join(parts)


def run(count, ids, actions, shape, values):
    """A run by one author as docs/format.md has it, behind how many changes it holds."""
    distances = b"".join(number(2 * at) for at in range(count - 1))
    names = number(len(shape)) + b"".join(map(text, shape))
    shapes = number(1) + names + number(1) + text("set") + number(1) * count
    return bytes([count]) + distances * 2 + number(1) + number(7) + ids + actions + shapes + values


UNDO = text("7_3") + number(2) + text("7_1")
# Typing; values that have nothing in common; nodes that move, one of which has another form.
RUNS = {
    "typing": run(3, bytes([1, 0, 0]) + number(24), bytes(3), ["type", "position", "insertion"],
                  column(1, bytes([80, 2, 2])) + column(3, bytes([1, 1, 2]), "ané".encode())),
    "any": run(2, bytes([4, 3]) + text("9_x y") + number(7), bytes([3, 1]) + UNDO, ["type", "value"],
               column(0, pack(None), pack({"a": [1, 1.5, "é"]}))),
    "nodes": run(3, bytes([1, 0, 2]) + number(300), bytes([2, 1, 0]) + text("7_5"), ["type", "value"],
                 column(6, bytes([2, 0, 0, 1]),
                        column(5, bytes([2]), text("x"), text("y"), column(1, bytes([2, 4])),
                               column(2, struct.pack("<dd", 1.5, -0.0))),
                        column(4, bytes([1]), column(0, pack(True))))),
}


def write(target, name, data):
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    (CORPUS / target / name).write_bytes(data)


for at, change in enumerate(CHANGES):
    encoded = json.dumps(change, ensure_ascii=False, separators=(",", ":"))
    write("decode_json", f"{at:02}-{change['type']}", encoded.encode())
    write("decode_msgpack", f"{at:02}-{change['type']}", pack(change))
for at, (message_type, content) in enumerate(MESSAGES):
    message = {"type": message_type, "content": content}
    name = f"{at:02}-{message_type}"
    write("message_json", name, json.dumps([message], separators=(",", ":")).encode())
    write("message_msgpack", name, pack(message))
for at in range(9):
    # The type, a value of four items, and some of each kind of change.
    choices = bytes([at, 0, 4, *range(1, 9), *(7 * n % 31 for n in range(80))])
    write("apply", f"type-{at}", choices)
    write("rebase", f"type-{at}", choices)
for name, data in RUNS.items():
    write("journal_run", name, data)
