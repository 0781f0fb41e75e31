"""Kills while a batch is migrated through a served Prefect deployment: its run, the runner, the host, the server.

Whatever dies, the schedule alone goes on: everybody is moved once, every number is used once, the journal proves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.environment import settings_of
from deployments.server import PrefectServer
from tests.fakes.batch_kills import BatchKills, roomy_lab
from tests.fakes.databases import start_postgres
from tests.fakes.served import SHORT, Script, Served

RUN, ADVANCE = "batch-run/batch-run", "batch-advance/batch-advance"
BY_HAND: dict[str, object] = {"requested_by": "a test"}
SERVED, LAST = "ONBOARDING, BATCH_RUN, BATCH_ADVANCE", "batch-advance"
A_DAY_LATER = timedelta(days=2)  # requests of runs that planned nothing are kept open for a day
PARTS = ("run", "runner", "host", "server", "database")
pytestmark = pytest.mark.slow


def use(patch: pytest.MonkeyPatch, site: BatchKills) -> None:
    """Let this process work on the site, too."""
    for name, value in (site.environment | SHORT).items():
        patch.setenv(name, value)


def play(served: Served, site: BatchKills, kills: Sequence[Sequence[str]], *, users: int) -> None:
    """Kill parts in each run, in turn; then let the clock finish and compare everything with everything."""
    with ExitStack() as stack:
        stack.callback(site.database.close)
        stack.callback(served.runner.stop)
        stack.enter_context(settings_of(served.server.place, PREFECT_LOGGING_TO_API_ENABLED="false"))
        served.serve()
        for parts in kills:
            is_new = not site.last or site.is_settled()
            if is_new:
                site.next_batch(users)
            run_id = served.killed_run(parts, RUN if is_new else ADVANCE, asked(site) if is_new else BY_HAND)
            assert served.is_truthful(run_id), parts
        for _ in range(8):
            if not site.is_settled():
                served.whole_run(ADVANCE, BY_HAND)
        assert site.is_settled()
        assert served.left_behind(A_DAY_LATER) == []
        assert site.contradictions() == []


def asked(site: BatchKills) -> dict[str, object]:
    """Ask for the latest batch to be moved."""
    return {"batch": site.last, **BY_HAND}


def test_a_batch_survives_the_death_of_its_run_the_runner_and_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Server and run die, then the runner; the clock finishes: everybody moved once, every number used once (M41)."""
    with roomy_lab(tmp_path, 40) as lab, PrefectServer(tmp_path / "prefect") as server:
        site = BatchKills(lab, tmp_path, f"sqlite:///{tmp_path / 'callwright.db'}", wave_size=3)
        use(monkeypatch, site)
        served = Served(site, server, tmp_path, Script(SERVED, LAST, (1, 20)), None)
        play(served, site, [("server", "run"), ("runner",)], users=6)


@pytest.mark.nightly
@pytest.mark.postgres
@pytest.mark.timeout(3600)
def test_twenty_five_kills_of_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run, runner, host, server and database die 25 times in turn: everybody moved once, 0 numbers twice (M41)."""
    postgres = start_postgres()
    try:
        with roomy_lab(tmp_path, 400) as lab, PrefectServer(tmp_path / "prefect") as server:
            site = BatchKills(lab, tmp_path, postgres.new_empty(), wave_size=8)
            use(monkeypatch, site)
            served = Served(site, server, tmp_path, Script(SERVED, LAST, (1, 60)), postgres)
            play(served, site, [(part,) for part in PARTS * 5], users=24)
    finally:
        postgres.stop()


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_five_hundred_users_are_moved_once_though_their_run_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wave of 500, killed with kill -9 in the middle and taken up by the clock: each moved exactly once (M41)."""
    with roomy_lab(tmp_path, 700) as lab, PrefectServer(tmp_path / "prefect") as server:
        site = BatchKills(lab, tmp_path, f"sqlite:///{tmp_path / 'callwright.db'}", wave_size=500)
        use(monkeypatch, site)
        served = Served(site, server, tmp_path, Script(SERVED, LAST, (1500, 3000)), None)
        play(served, site, [("run",)], users=500)
