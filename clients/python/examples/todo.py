"""A list that two terminals share: `python todo.py [URL]`, in each of them.

A line adds an item, `-2` takes out the item at 2, `undo` takes back what was done here last.
"""

from __future__ import annotations

import asyncio
import sys

import topicsync_client


def show(todo: topicsync_client.ListTopic[str]) -> None:
    print("\n" + "\n".join(f"  {at} {item}" for at, item in enumerate(todo)))


async def main(url: str) -> None:
    async with topicsync_client.connect(url) as client:
        client.on_status(lambda status: print(f"({status.value})"))
        todo: topicsync_client.ListTopic[str] = client.list("todo")
        todo.on_change(lambda change: show(todo))
        while line := await asyncio.to_thread(sys.stdin.readline):
            match line.strip():
                case "undo":
                    await client.undo()
                case word if word.startswith("-") and word[1:].isdigit():
                    try:
                        todo.pop(int(word[1:]))
                    except IndexError as error:
                        print(error)
                case word if word:
                    todo.append(word)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765/"))
