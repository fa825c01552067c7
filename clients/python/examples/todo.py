"""A list that two terminals share: `python todo.py [URL]`, in each of them.

A line adds an item, `-2` takes out the item at 2, `undo` takes back what was done here last. Ctrl-C
or the end of the input ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading

import topicsync_client


def show(todo: topicsync_client.ListTopic[str]) -> None:
    print("\n" + "\n".join(f"  {at} {item}" for at, item in enumerate(todo)))


def typed_lines() -> asyncio.Queue[str]:
    """The lines of the input, then an empty text.

    They are read in a thread that nobody waits for. `asyncio.to_thread` would keep the program from
    ending until somebody has typed another line.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        # The loop may be closed by the time that a line comes.
        with contextlib.suppress(RuntimeError):
            line = "..."
            while line:
                line = sys.stdin.readline()
                loop.call_soon_threadsafe(lines.put_nowait, line)

    threading.Thread(target=read, daemon=True).start()
    return lines


async def main(url: str) -> None:
    async with topicsync_client.connect(url) as client:
        client.on_status(lambda status: print(f"({status.value})"))
        todo: topicsync_client.ListTopic[str] = client.list("todo")
        todo.on_change(lambda change: show(todo))
        lines = typed_lines()
        while line := await lines.get():
            match line.strip():
                case "undo":
                    try:
                        await client.undo()
                    except (topicsync_client.ServiceError, topicsync_client.TimedOut) as error:
                        print(error)
                case word if word.startswith("-") and word[1:].isdigit():
                    try:
                        del todo[int(word[1:])]
                    except IndexError as error:
                        print(error)
                case word if word:
                    todo.append(word)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765/"))
