"""The launcher: from any folder, instantly, in its own environment."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.checkout import ROOT

LAUNCHER = str(ROOT / "callwright")
HELP_CPU_S = 0.5


def started(*words: str, cwd: Path, launcher: str = LAUNCHER) -> subprocess.CompletedProcess[str]:
    """Run the launcher in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CALLWRIGHT_")}
    return subprocess.run(
        [launcher, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_help_is_instant(tmp_path: Path) -> None:
    """`--help` takes less than half a second of processor time, the best of three."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert started("--help", cwd=tmp_path).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(times) < HELP_CPU_S


def test_it_works_from_any_folder_and_through_a_link(tmp_path: Path) -> None:
    """The launcher finds its checkout from another folder, also when it is called through a link."""
    link = tmp_path / "cw"
    link.symlink_to(LAUNCHER)
    ran = started("about", "--json", cwd=tmp_path, launcher=str(link))
    assert ran.returncode == 0
    assert '"callwright"' in ran.stdout


def test_a_file_in_the_working_folder_cannot_take_over(tmp_path: Path) -> None:
    """A Python file that happens to lie in the working folder is not imported."""
    (tmp_path / "typer.py").write_text("raise SystemExit('imported the wrong typer')", encoding="utf-8")
    assert started("about", "--json", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("interrupted", [False, True])
def test_missing_environment_is_one_line_with_a_remedy(tmp_path: Path, interrupted: bool) -> None:
    """A checkout whose environment is missing or half installed says which command makes it (exit code 3)."""
    copy = tmp_path / "callwright"
    shutil.copy(LAUNCHER, copy)
    if interrupted:
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    ran = started("about", cwd=tmp_path, launcher=str(copy))
    assert ran.returncode == 3
    assert len(ran.stderr.splitlines()) == 1
    assert "make -C" in ran.stderr


@pytest.mark.parametrize("words", [(), ("--help",), ("plan",), ("audit", "log", "--help")])
def test_help_is_printed(words: tuple[str, ...], tmp_path: Path) -> None:
    """Nothing, a group alone and --help all print help."""
    assert "Usage: callwright" in started(*words, cwd=tmp_path).stdout


def test_an_output_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    """A pipe that closes early ends the command quietly."""
    ran = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{LAUNCHER}' settings keys --json | head -c 1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
