"""The server for tests: one for all of them, or one of a test's own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def server_binary() -> Path:
    """The server: TOPICSYNC_BIN, else the repository's debug build, built if it is not there."""
    if given := os.environ.get("TOPICSYNC_BIN"):
        return Path(given)
    built = ROOT / "target/debug/topicsync"
    if not built.exists():
        subprocess.run(["cargo", "build"], cwd=ROOT, check=True)
    return built


def pytest_sessionstart() -> None:
    """Building may take longer than any test may."""
    server_binary()


class Server:
    """A server on a port of its own."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Starts it, on the port that it had before."""
        listen = f"127.0.0.1:{self.port}"
        command = [str(server_binary()), "--listen", listen, "--data", str(self._data)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            if found := re.search(r"127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                return
        raise AssertionError(f"the server did not start: {said}")

    def stop(self) -> None:
        """Has it go down and waits until it has."""
        self._process.terminate()
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests; each uses topics of its own."""
    server = Server(tmp_path_factory.mktemp("data"))
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that a test may stop."""
    server = Server(tmp_path / "data")
    yield server
    server.stop()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A topic name that no other test has."""
    return str(request.node.name)
