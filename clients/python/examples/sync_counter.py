"""Counts what all who run this count together: `python sync_counter.py [URL]`. No asyncio."""

from __future__ import annotations

import sys

import topicsync_client


def main(url: str) -> None:
    with topicsync_client.sync.connect(url) as client:
        count = client.int("count")
        count.add(1).wait()
        print(f"{int(count)} so far")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765/")
