"""Copies every topic from one server to another, over the vocabulary of topicsync 0.13, which both speak.

    pip install websockets
    python move-topics.py ws://localhost:8765 ws://localhost:8766

Topics that the second server has already stay as they are there.
"""

import asyncio
import json
import sys

import websockets

TOPIC_LIST = "_topicsync/topic_list"
# Frames hold 4 MiB at most, whichever way.
FRAME_BYTES_MAX = 1 << 22


async def receive(socket, message_type):
    """The args of the next message of this type."""
    while True:
        message = json.loads(await socket.recv())
        if message["type"] == "reject":
            raise SystemExit(f"rejected: {message['args']['reason']}")
        if message["type"] == message_type:
            return message["args"]


async def send(socket, message_type, **args):
    await socket.send(json.dumps({"type": message_type, "args": args}))


async def value(socket, topic_name):
    await send(socket, "subscribe", topic_name=topic_name)
    init = await receive(socket, "init")
    await send(socket, "unsubscribe", topic_name=topic_name)
    return init["value"]


async def main(old_url, new_url):
    limits = {"max_size": 2 * FRAME_BYTES_MAX}
    async with websockets.connect(old_url, **limits) as old, websockets.connect(new_url, **limits) as new:
        await receive(old, "hello")
        client = (await receive(new, "hello"))["id"]
        old_list = await value(old, TOPIC_LIST)
        await send(new, "subscribe", topic_name=TOPIC_LIST)
        known = (await receive(new, "init"))["value"]
        names = [name for name in old_list if name not in known]
        for number, name in enumerate(names):
            entry = {**old_list[name], "boundary_value": await value(old, name)}
            entry.setdefault("order_strict", True)
            add = {"topic_name": TOPIC_LIST, "topic_type": "dict", "type": "add",
                   "key": name, "value": entry, "id": f"{client}_{number}"}
            await send(new, "action", action_id=f"{client}_a{number}", commands=[add])
            await receive(new, "update")
        print(f"{len(names)} topics were copied, {len(old_list) - 1 - len(names)} were there")


asyncio.run(main(*sys.argv[1:3]))
