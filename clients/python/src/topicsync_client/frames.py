"""Encodes what a replica has to send into frames, and decodes frames into messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import msgpack

from .errors import Invalid
from .replica import Message, Replica

Encoding = Literal["msgpack", "json"]

FRAME_BYTES_MAX = 64 * 1024
"""How large a frame of many messages gets, in bytes."""

FRAME_MESSAGES_MAX = 256
"""How many messages it holds at most."""


def subprotocol(encoding: Encoding) -> str:
    """The WebSocket subprotocol that speaks an encoding."""
    return f"topicsync.v1.{encoding}"


def decode(frame: str | bytes) -> list[Message]:
    """Read a frame: one message, or an array of them. Raises `Invalid`."""
    try:
        content = json.loads(frame) if isinstance(frame, str) else msgpack.unpackb(frame)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise Invalid(f"the server sent a frame that cannot be read: {error}") from error
    messages = content if isinstance(content, list) else [content]
    if not all(isinstance(message, dict) for message in messages):
        raise Invalid("the server sent a frame that holds no messages")
    return messages


def encode(message: Message, encoding: Encoding) -> bytes:
    """Encode one message."""
    if encoding == "msgpack":
        packed: bytes = msgpack.packb(message)
        return packed
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def frames(replica: Replica, encoding: Encoding) -> list[str | bytes]:
    """Take what is to be sent.

    A message that is larger than the server takes is rejected here: to send it would lose the
    connection, again and again.
    """
    bytes_max = replica.message_bytes_max or FRAME_BYTES_MAX * FRAME_MESSAGES_MAX
    sent: list[str | bytes] = []
    while True:
        encoded, refusals = [], []
        for message in replica.outbox():
            packed = encode(message, encoding)
            if len(packed) <= bytes_max:
                encoded.append(packed)
            elif (refusal := _refusal(message, len(packed), bytes_max)) is not None:
                refusals.append(refusal)
        sent += _joined(encoded, min(bytes_max, FRAME_BYTES_MAX), encoding)
        if not refusals:
            return sent
        # What waited behind them can go out now.
        for refusal in refusals:
            replica.receive(refusal)


def _refusal(message: Message, length: int, bytes_max: int) -> Message | None:
    """What the server would say to a message that is too large."""
    content: dict[str, Any] = message["content"]
    reason = f"the message has {length} bytes, at most {bytes_max} are allowed"
    if message["type"] == "request":
        error = {"code": "invalid", "reason": reason}
        refusal = {"request_id": content["request_id"], "error": error}
        return {"type": "response", "content": refusal}
    if message["type"] not in ("update", "action"):
        return None
    first = content["changes"][0] if message["type"] == "action" else content
    refusal = {
        "topic_name": first["topic_name"],
        "code": "too_large",
        "reason": reason,
        "action_id": content.get("action_id"),
        "change": first["change"],
    }
    return {"type": "reject_update", "content": refusal}


def _joined(encoded: list[bytes], bytes_max: int, encoding: Encoding) -> Iterator[str | bytes]:
    """Put encoded messages into as few frames as may be."""
    together: list[bytes] = []
    size = 0
    for message in encoded:
        # An array adds a byte a message, and at most five around them.
        full = size + len(message) + 6 > bytes_max or len(together) == FRAME_MESSAGES_MAX
        if together and full:
            yield _frame(together, encoding)
            together, size = [], 0
        together.append(message)
        size += len(message) + 1
    if together:
        yield _frame(together, encoding)


def _frame(messages: list[bytes], encoding: Encoding) -> str | bytes:
    if encoding == "msgpack":
        if len(messages) == 1:
            return messages[0]
        header: bytes = msgpack.Packer().pack_array_header(len(messages))
        return header + b"".join(messages)
    whole = messages[0] if len(messages) == 1 else b"[" + b",".join(messages) + b"]"
    return whole.decode()
