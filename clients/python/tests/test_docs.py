"""Everything public says what it is, and the README and examples hold."""

from __future__ import annotations

import asyncio
import inspect
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from conftest import Server

import topicsync_client

FOLDER = Path(__file__).resolve().parents[1]


def public() -> Iterator[tuple[str, Any]]:
    """Every public name, and the public members of classes that are defined here."""
    for module in (topicsync_client, topicsync_client.sync, topicsync_client.types):
        for name in module.__all__:
            it = getattr(module, name)
            yield f"{module.__name__}.{name}", it
            if inspect.isclass(it):
                for member, value in vars(it).items():
                    written_here = getattr(value, "__module__", it.__module__) == it.__module__
                    is_code = inspect.isfunction(value) or isinstance(value, property)
                    if is_code and written_here and not member.startswith("_"):
                        yield f"{module.__name__}.{name}.{member}", getattr(it, member)


def documented(it: Any) -> bool:
    # What overrides something documented need not say it again: `getdoc` finds it there.
    if inspect.isclass(it):
        own = it.__dict__.get("__doc__") or ""
        return bool(own) and not own.startswith(f"{it.__name__}(")
    if inspect.isfunction(it) and it.__name__ == "_frozen":
        return True
    return bool(inspect.getdoc(it))


def test_every_public_name_has_a_docstring() -> None:
    names = [
        name
        for name, it in public()
        if isinstance(it, (type, FunctionType, ModuleType, property)) and not documented(it)
    ]
    assert names == []


def test_the_api_docs_are_made(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pdoc", "topicsync_client", "-o", str(tmp_path)]
    subprocess.run(command, capture_output=True, check=True)
    page = (tmp_path / "topicsync_client.html").read_text(encoding="utf-8")
    assert "change_value_if_unchanged" in page


async def test_the_readme_begins_with_what_runs(server: Server) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(import asyncio.*?)```", readme, re.DOTALL)
    assert found is not None
    program = found[1].replace("ws://127.0.0.1:8765/", server.url)
    async with topicsync_client.connect(server.url) as client:
        nodes = await client.dict("nodes").ready()
        # It runs any number of times, with what the last one left.
        for run in range(2):
            await nodes.put("n1", "before")
            running = await asyncio.create_subprocess_exec(
                sys.executable, "-u", "-c", program, stdout=asyncio.subprocess.PIPE
            )
            while nodes["n1"] == "before":
                await asyncio.sleep(0.01)
            assert running.stdout is not None
            number = 0
            reading = asyncio.ensure_future(running.stdout.readline())
            while not reading.done():
                number += 1
                nodes["n1"] = number
                await asyncio.sleep(0.02)
            assert f"by client {client.id}" in (await reading).decode(), run
            running.kill()
            await running.communicate()


async def test_the_other_snippets_of_the_readme_run_any_number_of_times(
    server: Server, name: str
) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    _, *snippets = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(snippets) == 2
    program = "".join(snippets).replace('"nodes"', repr(f"{name}/nodes"))
    # No commit of a young server has such a number.
    program = program.replace("8412", "1")
    body = f"async def run(client, nodes, edges):\n{textwrap.indent(program, '    ')}"
    scope: dict[str, Any] = {"topicsync_client": topicsync_client}
    exec(body, scope)
    for run in (1, 2):
        async with topicsync_client.connect(server.url) as client:
            nodes = await client.dict(f"{name}/nodes").ready()
            edges = await client.list(f"{name}/edges").ready()
            await nodes.put("n1", {})
            await scope["run"](client, nodes, edges)
            assert edges.value == [["n1", "n3"]] * run


async def test_two_windows_show_one_list(server: Server) -> None:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-u", str(FOLDER / "examples/todo.py"), server.url]
    one, other = [
        await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe) for _ in range(2)
    ]

    async def sees(window: asyncio.subprocess.Process, text: str) -> None:
        assert window.stdout is not None
        line = "…"
        while text not in line:
            assert line, f"it ended, and never said {text!r}"
            line = (await window.stdout.readline()).decode()

    def types(window: asyncio.subprocess.Process, line: str) -> None:
        assert window.stdin is not None
        window.stdin.write(f"{line}\n".encode())

    types(one, "milk")
    for window in (one, other):
        await sees(window, "0 milk")
    types(other, "bread")
    await sees(one, "1 bread")
    types(one, "-0")
    await sees(other, "0 bread")
    types(one, "undo")
    await sees(other, "1 bread")
    for window in (one, other):
        await window.communicate(b"")
        assert window.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to be sent")
async def test_ctrl_c_ends_the_example(server: Server) -> None:
    command = [sys.executable, "-u", str(FOLDER / "examples/todo.py"), server.url]
    pipe = asyncio.subprocess.PIPE
    window = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    assert window.stdin is not None
    assert window.stdout is not None
    window.stdin.write(b"typed at last\n")
    while b"typed at last" not in (line := await window.stdout.readline()):
        assert line
    window.send_signal(signal.SIGINT)
    # Its input stays open meanwhile.
    assert await asyncio.wait_for(window.wait(), 10) == 0
    assert window.stderr is not None
    assert await window.stderr.read() == b""


def test_the_other_examples_run(server: Server) -> None:
    def run(name: str, *args: str) -> str:
        command = [sys.executable, str(FOLDER / "examples" / name), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "1 so far" in run("sync_counter.py", server.url)
    assert "2 so far" in run("sync_counter.py", server.url)
    assert "after 2 votes" in run("own_type.py")


@pytest.mark.parametrize("source", sorted((FOLDER / "src").rglob("*.py")), ids=lambda it: it.name)
def test_every_module_opens_with_what_it_is_for(source: Path) -> None:
    assert source.read_text(encoding="utf-8").startswith('"""')
