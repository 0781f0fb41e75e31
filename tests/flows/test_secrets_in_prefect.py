"""Secrets are not found in what Prefect keeps: its database, its results, the logs of server and runs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from deployments.environment import child_environment
from deployments.server import PrefectServer
from lab.server import Lab
from tests.fakes.canaries import canary, found_in
from tests.fakes.checkout import ROOT
from tests.fakes.lab_environment import environment_of
from tests.fakes.onboarding_site import as_text, hire, untouched

pytestmark = pytest.mark.slow
FLOWS = 3  # that are run with each canary


def scan(count: int, folder: Path) -> list[str]:
    """Run flows with so many canaries and look for them everywhere; fails when Prefect has kept nothing of the runs."""
    with Lab(folder=folder / "lab", users=24, seed=5) as lab, PrefectServer(folder / "prefect") as server:
        feed = folder / "hires.csv"
        feed.write_text(as_text([hire(next(untouched(lab)))]))
        environment = child_environment(server.place, **environment_of(lab.endpoints, folder))
        command = [sys.executable, "-m", "tests.fakes.canary_flows", str(count), str(feed)]
        ran = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
    kept = told_by(folder / "prefect" / "prefect.db")
    assert kept["flow_run"] == FLOWS * count
    assert min(kept["log"], kept["artifact"]) >= count
    return found_in(folder, [ran.stdout, ran.stderr], [canary(n) for n in range(count)])


def told_by(file: Path) -> dict[str, int]:
    """Count what Prefect has kept."""
    with closing(sqlite3.connect(file)) as connection:
        counts = ((name, f"SELECT count(*) FROM {name}") for name in ("flow_run", "log", "artifact"))
        return {name: int(connection.execute(query).fetchone()[0]) for name, query in counts}


def test_no_secret_is_found_in_prefect(tmp_path: Path) -> None:
    """The secrets of Graph and of PowerShell, through flows that fail on them: 0 found."""
    assert scan(2, tmp_path) == []


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_forty_secrets_are_not_found_in_prefect(tmp_path: Path) -> None:
    """Forty canaries through flows on a real server: 0 found, encoded forms included."""
    assert scan(40, tmp_path) == []
