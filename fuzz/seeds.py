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


TOPIC_LIST = "_topicsync/topic_list"


def entry(topic_type, value, strict=True):
    return {"type": topic_type, "boundary_value": value, "is_stateful": True, "order_strict": strict}


def old_frame(client, message_type, **args):
    """A frame of topicsync 0.13 behind the byte that says which client sends it."""
    frame = json.dumps({"type": message_type, "args": args}, ensure_ascii=False, separators=(",", ":"))
    return f"{client}{frame}\n"


def old_action(client, *commands, action_id="1_1"):
    names = ("topic_name", "topic_type", "type")
    commands = [{**dict(zip(names, command[:3])), "id": f"1_{at}", **command[3]}
                for at, command in enumerate(commands)]
    return old_frame(client, "action", action_id=action_id, commands=commands)


def made(topic, topic_type, value, *commands, strict=True):
    """Two clients on a topic that one of them makes, and what is done to it in turns."""
    add = (TOPIC_LIST, "dict", "add", {"key": topic, "value": entry(topic_type, value, strict)})
    frames = [old_action("0", add)]
    frames += [old_frame(client, "subscribe", topic_name=topic) for client in "01"]
    frames += [old_action("01"[at % 2], (topic, topic_type, *command))
               for at, command in enumerate(commands)]
    return "".join(frames).encode()


def edit(change, version, position, word, result):
    field = {"insert": "insertion", "delete": "deletion"}[change]
    return (change, {"topic_version": version, "position": position, field: word,
                     "result_topic_version": result})


# Clients of topicsync 0.13 on each type, on the list, and on the services.
OLD_SESSIONS = {
    "text": made("t", "string", "a😀b", edit("insert", "t_init", 1, "x", "v1"),
                 edit("delete", "t_init", 1, "😀", "w1"), edit("insert", "v1", 2, "é", "v2"),
                 ("set", {"value": "new"}), edit("insert", "v2", 0, "y", "v3")),
    "list": made("l", "list", [1], ("insert", {"position": -1, "item": "x"}), ("pop", {"position": 0}),
                 ("set", {"value": [3, 2]})),
    "dict": made("d", "dict", {"k": 1}, ("add", {"key": "a", "value": []}),
                 ("change_value", {"key": "k", "value": 2, "old_value": 1}), ("pop", {"key": "k"})),
    "set": made("s", "set", ["a"], ("append", {"item": 1}), ("remove", {"item": "a"})),
    "int": made("i", "int", 3, ("add", {"value": 2}), ("set", {"value": 7}), strict=False),
    "float": made("f", "float", 0.5, ("add", {"value": 1.5}), ("set", {"value": 2})),
    "event": made("e", "event", None, ("emit", {"args": {"n": 1}}), ("emit", {})),
    "lives": made("t", "string", "one", edit("insert", "t_init", 3, "!", "v1")) + "".join([
        old_action("1", ("t", "string", *edit("insert", "v1", 0, "?", "v2")),
                   (TOPIC_LIST, "dict", "pop", {"key": "t"})),
        old_action("0", (TOPIC_LIST, "dict", "add", {"key": "t", "value": entry("string", "two")})),
        old_frame("0", "subscribe", topic_name="t"),
        old_action("1", (TOPIC_LIST, "dict", "change_value",
                         {"key": "t", "value": entry("string", "three")})),
        old_action("3", (TOPIC_LIST, "dict", "set", {"value": {
            TOPIC_LIST: {}, "u": entry("generic", [None])}})),
        old_frame("2", "unsubscribe", topic_name="t"),
    ]).encode(),
    "services": made("n", "int", None, ("add", {"value": 2})) + "".join(
        old_frame("0", "request", service_name=f"_topicsync/{name}", request_id=name,
                  args={"topic_name": "n", "version": 1})
        for name in ["undo", "redo", "value_at", "remove_topic", "nothing"]).encode(),
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
for name, data in OLD_SESSIONS.items():
    write("v0_13", name, data)
