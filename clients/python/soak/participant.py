"""One who edits at random, for a soak: `python soak/participant.py URL SEED`.

Takes commands from its input, and answers each with a line: `edit N` (`edited`), `settle`
(`settled`, once it is online and nothing is pending), `values` (a JSON object of them by topic),
`quit`. Anything that goes wrong ends it with another code than 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from random import Random
from typing import Any

import topicsync_client
from topicsync_client import Change, DictTopic, ListTopic, SetTopic, StringTopic
from topicsync_client.values import thawed

PIECES = ["a", "b", "xyz", " ", "é", "e\u0301", "😀", "👩\u200d👧", "𝄞"]


class Editor:
    """A client, and its random edits."""

    def __init__(self, client: topicsync_client.Client, seed: int) -> None:
        self.client = client
        self.random = Random(seed)
        self.list: ListTopic[Any] = client.list("soak/list")
        self.text: StringTopic = client.string("soak/text")
        self.dict: DictTopic[Any] = client.dict("soak/dict")
        self.set: SetTopic[Any] = client.set("soak/set")
        self.int = client.int("soak/int")
        self.float = client.float("soak/float")
        self.topics = [self.list, self.text, self.dict, self.set, self.int, self.float]
        self.mirrors = [Mirror(self.list), Mirror(self.text), Mirror(self.dict)]
        self.reversals: set[asyncio.Task[Any]] = set()

    async def edit(self, count: int) -> None:
        """Make so many random edits."""
        for _ in range(count):
            match self.random.randrange(24):
                case 0:
                    self.reverse(self.client.undo())
                case 1:
                    self.reverse(self.client.redo())
                case 2 | 3 | 4 | 5:
                    with self.client.action():
                        for _ in range(self.random.randint(2, 3)):
                            self.change()
                case _:
                    self.change()
            await asyncio.sleep(self.random.uniform(0, 0.005))

    def reverse(self, undo: Any) -> None:
        """Undo or redo. The answer may be lost with the session, and nobody waits for it."""

        async def ask() -> None:
            # Lost with the line, or too late.
            with contextlib.suppress(topicsync_client.TopicsyncError):
                await undo

        task = asyncio.create_task(ask())
        self.reversals.add(task)
        task.add_done_callback(self.reversals.discard)

    def change(self) -> None:
        """Make one change that fits what is seen."""
        overwriting = self.random.random() < 1 / 6
        match self.random.randrange(8):
            case 0 | 1:
                self.list.change(self.list_change(), overwriting=overwriting)
            case 2 | 3 | 4:
                self.edit_text()
            case 5:
                self.change_dict()
            case 6:
                item = self.item()
                kind = "remove" if item in self.set else "append"
                self.set.change({"type": kind, "item": item}, overwriting=overwriting)
            case _ if self.random.random() < 0.5:
                self.int.add(self.random.randint(-100, 100))
            case _:
                value = self.random.randrange(4096) / 1024 - 2
                self.float.change({"type": "add", "value": value}, overwriting=overwriting)

    def item(self) -> Any:
        """Give something for a list, set or dict."""
        match self.random.randrange(5):
            case 0:
                return self.random.choice(PIECES)
            case 1:
                return {"x": self.random.randrange(9)}
            case 2:
                return [float(self.random.randrange(3))]
        return self.random.randrange(9)

    def list_change(self) -> dict[str, Any]:
        """Give a change of the list."""
        length = len(self.list)
        if not length or (length < 12 and self.random.random() < 0.5):
            position = -1 if self.random.random() < 0.25 else self.random.randint(0, length)
            return {"type": "insert", "position": position, "item": self.item()}
        position = self.random.randrange(length)
        match self.random.randrange(3):
            case 0:
                return {"type": "pop", "position": position}
            case 1:
                return {"type": "replace", "position": position, "item": self.item()}
        return {"type": "move", "from": position, "to": self.random.randrange(length)}

    def edit_text(self) -> None:
        """Type or delete something."""
        length = len(self.text)
        position = self.random.randint(0, length)
        longest = min(length - position, 40 if length > 200 else 4)
        if longest and self.random.random() < 1 / 3:
            self.text.delete(position, self.random.randint(1, longest))
            return
        insertion = "".join(self.random.choices(PIECES, k=self.random.randint(1, 3)))
        self.text.insert(-1 if self.random.random() < 1 / 8 else position, insertion)

    def change_dict(self) -> None:
        """Add, remove or change a key."""
        key = self.random.choice(["a", "b", "c", "é😀"])
        if key not in self.dict:
            self.dict.add(key, self.item())
        elif self.random.random() < 1 / 3:
            self.dict.remove(key)
        elif self.random.random() < 1 / 2:
            self.dict[key] = self.item()
        else:
            self.dict.change_value_if_unchanged(key, self.item())

    async def settle(self) -> None:
        """Wait until online and nothing is pending."""
        await self.client.online()
        await self.client.settled()
        for mirror in self.mirrors:
            mirror.check()

    def values(self) -> dict[str, Any]:
        """Give all values by topic."""
        return {topic.name: topic.value for topic in self.topics}


class Mirror:
    """A plain value that follows a topic by its fine-grained changes alone."""

    def __init__(self, topic: topicsync_client.Topic) -> None:
        self.topic = topic
        self.plain: Any = thawed(topic.value)
        topic.on_change(self.follow)

    def follow(self, change: Change) -> None:
        """Take one change."""
        plain = self.plain
        match change:
            case topicsync_client.ValueSet(value=value):
                self.plain = thawed(value)
            case topicsync_client.Inserted(position=at, item=item):
                plain.insert(at, item)
            case topicsync_client.Popped(position=at):
                plain.pop(at)
            case topicsync_client.Replaced(position=at, item=item):
                plain[at] = item
            case topicsync_client.Moved(position=at, to=to):
                plain.insert(to, plain.pop(at))
            case topicsync_client.Added(key=key, value=value):
                plain[key] = value
            case topicsync_client.ValueChanged(key=key, value=value):
                plain[key] = value
            case topicsync_client.Removed(key=key):
                del plain[key]
            case topicsync_client.Edited(splices=splices):
                for at, removed, inserted in splices:
                    plain = plain[:at] + inserted + plain[at + len(removed) :]
                self.plain = plain

    def check(self) -> None:
        """Compare."""
        if not topicsync_client.same(self.plain, thawed(self.topic.value)):
            raise AssertionError(f"{self.topic!r} was told as {self.plain!r}")


class Faults(logging.Handler):
    """What is logged as an error: a callback that raised, say."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        self.seen.append(self.format(record))


async def main(url: str, seed: int) -> None:
    """Do as the input says, until it says `quit`."""
    faults = Faults()
    for logger in ("topicsync_client", "asyncio"):
        logging.getLogger(logger).addHandler(faults)
    logging.getLogger("topicsync_client").setLevel(logging.ERROR)
    loop = asyncio.get_running_loop()
    # A server that is killed and started again may take its time.
    async with topicsync_client.connect(
        url, retry_min=0.005, retry_max=0.05, timeout=120
    ) as client:
        editor = Editor(client, seed)
        while True:
            line = await loop.run_in_executor(None, sys.stdin.readline)
            match line.split():
                case ["edit", count]:
                    await editor.edit(int(count))
                    answer = "edited"
                case ["settle"]:
                    await editor.settle()
                    answer = "settled"
                case ["values"]:
                    answer = json.dumps(editor.values())
                case ["quit"] | []:
                    break
                case _:
                    raise ValueError(f"nobody knows {line!r}")
            if faults.seen:
                raise RuntimeError("\n".join(faults.seen))
            print(answer, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
