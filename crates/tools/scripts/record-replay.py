#!/usr/bin/env python3
"""Makes docs/replay.svg: a recording of `topicsync replay` in a real terminal (tmux).

    cargo build && python3 crates/tools/scripts/record-replay.py target/debug/topicsync
"""

import html
import re
import subprocess
import sys
import time

COLUMNS, ROWS, SECONDS = 92, 19, 1.8
KEYS = [[], ["Right"], [":", "1", "4", "Enter"], ["Right"], ["Right"], ["Right", "Right"], [":", "2", "7", "Enter"]]
COLOURS = {0: "#1b1f24", 1: "#ff7b72", 2: "#7ee787", 3: "#e3b341", 6: "#76e3ea"}
TEXT, BACK, QUIET = "#e6edf3", "#0d1117", "#8b949e"
WIDTH, HEIGHT = 8.43, 18


def tmux(*args):
    return subprocess.run(["tmux", "-L", "record", *args], check=True, capture_output=True, text=True).stdout


def frames(program):
    replay = f"{program} replay --file examples/regression/history.jsonl --at commit:8"
    tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), replay)
    time.sleep(1)
    for keys in KEYS:
        if keys:
            tmux("send-keys", *keys)
        time.sleep(0.6)
        yield tmux("capture-pane", "-p", "-e").split("\n")[:ROWS]
    tmux("send-keys", "q")


def spans(line, style):
    """The line in pieces of one style each; `style` goes on from line to line, as in the terminal."""
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        if not piece.startswith("\x1b["):
            yield piece, dict(style)
            continue
        codes = [int(code or 0) for code in piece[2:-1].split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                style.clear()
            elif code in (1, 2, 9):
                style[code] = True
            elif code in (38, 48):
                codes.pop(0)
                style[code] = codes.pop(0)
            elif code in (39, 49):
                style.pop(code - 1, None)


def drawn(lines):
    style = {}
    for row, line in enumerate(lines):
        column, y = 0, 26 + row * HEIGHT
        for text, of in list(spans(line, style)):
            x, width = 12 + column * WIDTH, len(text) * WIDTH
            column += len(text)
            if 48 in of and text:
                yield f'<rect x="{x:.1f}" y="{y - 13}" width="{width:.1f}" height="17" fill="{COLOURS[of[48]]}"/>'
            if not text.strip():
                continue
            fill = COLOURS[of[38]] if 38 in of else QUIET if 2 in of else TEXT
            more = ' font-weight="bold"' if 1 in of else ""
            more += ' text-decoration="line-through"' if 9 in of else ""
            yield (
                f'<text x="{x:.1f}" y="{y}" textLength="{width:.1f}" fill="{fill}"{more}>'
                f"{html.escape(text, quote=False)}</text>"
            )


def picture(all_frames):
    share, total = 100 / len(all_frames), len(all_frames) * SECONDS
    width, height = COLUMNS * WIDTH + 24, ROWS * HEIGHT + 24
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" xml:space="preserve" '
        'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">'
    )
    yield f"<style>g{{visibility:hidden;animation:f {total:.1f}s step-end infinite}}"
    yield f"@keyframes f{{0%{{visibility:visible}}{share:.3f}%{{visibility:hidden}}}}"
    # Where nothing moves, the last frame is seen.
    yield "g:last-of-type{visibility:visible}@media(prefers-reduced-motion){g{animation:none}}</style>"
    yield f'<rect width="100%" height="100%" rx="8" fill="{BACK}"/>'
    for at, lines in enumerate(all_frames):
        yield f'<g style="animation-delay:{at * SECONDS - total if at else 0:.1f}s">'
        yield from drawn(lines)
        yield "</g>"
    yield "</svg>"


if __name__ == "__main__":
    recorded = list(frames(sys.argv[1]))
    with open("docs/replay.svg", "w", encoding="utf-8") as svg:
        svg.write("\n".join(picture(recorded)) + "\n")
