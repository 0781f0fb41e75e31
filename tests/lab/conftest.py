"""Fixtures of the lab's tests: a small tenant in memory, and a running lab with a plain client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.clock import Clock
from lab.generator import fill
from lab.server import Lab
from lab.settings import Settings
from lab.tenant import Tenant
from tests.fakes.graph_client import GraphClient
from tests.fakes.script_runner import ScriptRunner


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock(runs=False)


@pytest.fixture
def tenant(clock: Clock) -> Tenant:
    """Give a tenant of forty people."""
    made = Tenant("11111111-2222-4333-a444-555555555555", clock, Settings())
    fill(made, users=40, seed=3)
    return made


@pytest.fixture
def lab(tmp_path: Path, clock: Clock) -> Iterator[Lab]:
    """Give a running lab of forty people whose clock stands still."""
    with Lab(folder=tmp_path / "lab", users=40, seed=3, clock=clock) as running:
        yield running


@pytest.fixture
def graph(lab: Lab) -> Iterator[GraphClient]:
    """Give a client of the running lab."""
    with GraphClient(lab) as client:
        yield client


@pytest.fixture
def teams(tmp_path: Path) -> Iterator[ScriptRunner]:
    """Give a runspace that is connected to Teams, with the newest module."""
    runner = ScriptRunner(tmp_path, users=24)
    runner.parts.settings.module_version = "8.0.0"
    yield runner
    runner.parts.calls.close()


@pytest.fixture
def skype(tmp_path: Path) -> Iterator[ScriptRunner]:
    """Give a runspace of the on-premises servers, where half of the people are homed."""
    runner = ScriptRunner(tmp_path, users=24, connected=False, hybrid=0.5)
    yield runner
    runner.parts.calls.close()
