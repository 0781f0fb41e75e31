"""A tenant of 100,000 users is exported in the memory of a small one, and loaded again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.checkout import ROOT
from tests.fakes.lab_environment import environment_of

pytestmark = pytest.mark.nightly
MEASURED = (
    "import resource, sys; from cli.main import main; code = main(sys.argv[1:]);"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024); sys.exit(code)"
)


@contextmanager
def lab_of(folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    """Run a lab in a process of its own."""
    command = [sys.executable, "-m", "lab", "--folder", str(folder), *options]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert started.stdout is not None
        yield json.loads(started.stdout.readline())
    finally:
        started.terminate()
        started.communicate(timeout=60)


def exported(endpoints: dict[str, Any], file: Path) -> int:
    """Export a tenant in a fresh process and give its peak memory in MB."""
    environment = os.environ | environment_of(endpoints, file.parent) | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", MEASURED, "snapshot", str(file), "--json"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=file.parent)
    return int(ran.stdout.splitlines()[-1])


def test_a_hundred_thousand_users_stream_in_flat_memory(tmp_path: Path) -> None:
    """Ten times as many users need hardly more memory; the lab that loads them gives the same export."""
    with lab_of(tmp_path / "small", "--users", "10000") as small:
        before = exported(small, tmp_path / "small.jsonl")
    with lab_of(tmp_path / "large", "--users", "100000") as large:
        after = exported(large, tmp_path / "large.jsonl")
    with lab_of(tmp_path / "again", "--snapshot", str(tmp_path / "large.jsonl")) as again:
        exported(again, tmp_path / "again.jsonl")
    print(f"peak memory: {before} MB for 10,000 users, {after} MB for 100,000")
    assert after <= before + 40
    first, second = ((tmp_path / f"{name}.jsonl").read_text().splitlines()[1:] for name in ("large", "again"))
    assert first == second
