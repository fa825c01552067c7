"""The package builds, and works from what was built, in an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import Server

FOLDER = Path(__file__).resolve().parents[1]

PROGRAM = """
import sys, topicsync_client
with topicsync_client.sync.connect(sys.argv[1]) as client:
    built = client.dict("built")
    built.add("n1", {"x": 1}).wait(20)
    print(topicsync_client.__file__, built.confirmed)
import topicsync
print("beside topicsync", topicsync.VERSION)
"""


@pytest.mark.timeout(110)
def test_the_wheel_works_in_an_empty_environment(server: Server, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(FOLDER)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    (sdist,) = tmp_path.glob("*.tar.gz")
    assert sdist.stat().st_size < 200_000
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "topicsync_client/py.typed" in names
    # The Python server up to 0.13 owns the module `topicsync`: nothing here may overwrite it.
    tops = {name.split("/")[0] for name in names}
    assert tops == {"topicsync_client", f"{wheel.name.split('-py3')[0]}.dist-info"}
    assert not [name for name in names if name.startswith(("tests", "soak", "examples"))]

    empty = tmp_path / "venv"
    venv.create(empty, with_pip=True)
    python = str(empty / "bin/python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The package itself is the wheel; what it needs may come from the index.
    subprocess.run([*pip, str(wheel)], check=True)
    deployed = next(empty.glob("lib/*/site-packages")) / "topicsync"
    deployed.mkdir()
    (deployed / "__init__.py").write_text("VERSION = '0.13'\n")
    environment = {"PATH": os.environ["PATH"]}
    run = [python, "-c", PROGRAM, server.url]
    done = subprocess.run(
        run, check=True, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert "{'n1': {'x': 1}}" in done.stdout
    assert str(empty) in done.stdout
    assert "beside topicsync 0.13" in done.stdout
