"""A real editing trace, typed here and received from another: it ends as it did."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

spec = spec_from_file_location(
    "bench_trace", Path(__file__).resolve().parents[1] / "bench/trace.py"
)
assert spec is not None
assert spec.loader is not None
bench = module_from_spec(spec)
spec.loader.exec_module(bench)

Keystrokes = list[dict[str, Any]]

COUNT = 10_000


@pytest.fixture(scope="module")
def changes() -> Keystrokes:
    if not bench.TRACE.exists():
        pytest.skip(f"there is no trace at {bench.TRACE}")
    changes: Keystrokes = bench.read_trace(count=COUNT)[0]
    return changes


@pytest.fixture(scope="module")
def end(changes: Keystrokes) -> str:
    text = ""
    for change in changes:
        at = change["position"]
        text = text[:at] + change.get("insertion", "") + text[at + change.get("length", 0) :]
    return text


@pytest.mark.parametrize("batch", [1, 20, COUNT])
def test_typed_text_ends_as_it_did(changes: Keystrokes, end: str, batch: int) -> None:
    assert bench.type_locally(changes, batch) == end


def test_received_text_ends_as_it_did(changes: Keystrokes, end: str) -> None:
    assert bench.receive_remotely(changes) == end
