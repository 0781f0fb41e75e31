"""Kills through a served Prefect deployment: the run, its runner, the Prefect server or our database dies in mid-run.

Every run must come to a final, truthful state, the next run goes on where the journal ends, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.environment import settings_of
from deployments.server import PrefectServer
from lab.server import Lab
from tests.fakes.databases import start_postgres
from tests.fakes.kill_site import Site
from tests.fakes.served import SHORT, Script, Served

APPLY = "plan-apply/plan-apply"
SCRIPT = Script("ONBOARDING, PLAN_APPLY", "plan-apply")
pytestmark = pytest.mark.slow


def play(served: Served, site: Site, kinds: list[str]) -> None:
    """Kill a part in each run, in turn; then finish and compare everything with everything."""
    with settings_of(served.server.place, PREFECT_LOGGING_TO_API_ENABLED="false"):
        served.serve()
        for what in kinds:
            if site.is_settled():
                site.next_plan()
            assert served.is_truthful(served.killed_run([what], APPLY, request(site))), what
        for _ in range(5):
            if not site.is_settled():
                served.whole_run(APPLY, request(site))
        assert site.is_settled()
        assert served.left_behind() == []
        assert site.contradictions() == []


def request(site: Site) -> dict[str, object]:
    """Ask for the latest plan to be applied."""
    return {"plan_id": site.last, "requested_by": "a test"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Give a lab of forty people."""
    with Lab(folder=tmp_path / "lab", users=40, seed=7) as running:
        yield running


def use(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    """Let this process work on the site, too."""
    for name, value in (site.environment | SHORT).items():
        monkeypatch.setenv(name, value)


def test_a_killed_run_is_crashed_and_the_next_one_goes_on(
    lab: Lab, in_prefect: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose process is killed in mid-plan ends as crashed; the next run settles the plan (M83)."""
    site = Site(lab, tmp_path, f"sqlite:///{tmp_path / 'callwright.db'}")
    use(monkeypatch, site)
    served = Served(site, in_prefect, tmp_path, SCRIPT, None)
    try:
        play(served, site, ["run"])
    finally:
        served.runner.stop()
        site.database.close()


@pytest.mark.nightly
@pytest.mark.postgres
@pytest.mark.timeout(3600)
def test_twenty_five_kills_through_a_served_deployment(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run, host, Prefect server and database are killed 25 times in turn: every run ends truthfully, 0 lost (M83)."""
    postgres = start_postgres()
    try:
        site = Site(lab, tmp_path, postgres.new_empty())
        use(monkeypatch, site)
        with PrefectServer(tmp_path / "prefect") as server:
            served = Served(site, server, tmp_path, SCRIPT, postgres)
            try:
                play(served, site, (["run", "host", "server", "database"] * 7)[:25])
            finally:
                served.runner.stop()
        site.database.close()
    finally:
        postgres.stop()
