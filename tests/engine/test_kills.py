"""Real `kill -9` of workers that apply plans on a lab over the real protocols, on both databases.

A checker that knows nothing of the engine compares the lab's own call log with our journal afterwards.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.server import Lab
from tests.fakes.databases import PrivatePostgres
from tests.fakes.kill_site import Server, Site

pytestmark = pytest.mark.slow
STEP_S = 120.0  # how far each worker's clock is ahead of the one before: leases and lag windows are over by then


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Give a lab of forty people with a plan for six of them, on each database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'callwright.db'}"
    else:
        postgres: PrivatePostgres = request.getfixturevalue("postgres")
        url = postgres.new_empty()
    with Lab(folder=tmp_path / "lab", users=40, seed=7) as lab:
        made = Site(lab, tmp_path, url)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made
        made.database.close()


def kill_one(site: Site, server: Server) -> None:
    """Let a worker run until the lab has seen a few more calls, then kill it; a faster one ends by itsite."""
    site.ahead_s += STEP_S
    seen, until = len(site.lab.calls.since()), site.rng.randint(1, 14)
    pid = server.start(site.ahead_s)
    while len(site.lab.calls.since(seen)) < until and server.is_alive(pid):
        time.sleep(0.0005)
    time.sleep(site.rng.uniform(0, 0.004))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    site.kills += server.ended() == -signal.SIGKILL


def finish(site: Site, server: Server) -> None:
    """Let workers live until the latest plan is settled."""
    for _ in range(20):
        if site.is_settled():
            return
        site.ahead_s += STEP_S
        server.start(site.ahead_s)
        assert server.ended() == 0
    pytest.fail("the plan did not settle")


def kill(site: Site, kills: int) -> None:
    """Kill so many workers, finish, and look for contradictions."""
    server = Server(site.environment)
    try:
        while site.kills < kills:
            if site.is_settled():
                site.next_plan()
            kill_one(site, server)
        finish(site, server)
    finally:
        server.stop()
    assert site.contradictions() == []


def test_killed_workers_lose_nothing_and_double_nothing(site: Site) -> None:
    """Ten real kills: every write has its intent, nothing is doubled, the tenant and our record agree (M83)."""
    kill(site, 10)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_five_hundred_killed_workers_lose_nothing(site: Site) -> None:
    """Five hundred real kills on each database: 0 lost, 0 doubled."""
    kill(site, 500)


def test_the_checker_finds_what_is_wrong(site: Site) -> None:
    """A write that the journal does not know, and an owner that it believes wrongly, are found: the check can fail."""
    server = Server(site.environment)
    finish(site, server)
    server.stop()
    assert site.contradictions() == []
    tenant, log = site.lab.tenant, Path(str(site.lab.endpoints["call_log"]))
    call = next(line for line in log.read_text().splitlines() if "numberAssignments.assign" in line)
    with log.open("a") as file:
        file.write(call + "\n")
    assert tenant.users
    assert any("was written 2 times with 1 intents" in fault for fault in site.contradictions())
