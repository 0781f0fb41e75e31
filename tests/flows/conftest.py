"""Fixtures of the flows: a real Prefect server, started once per test process, and a site in memory without one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.environment import settings_of
from deployments.server import PrefectServer
from tests.fakes.flow_site import FlowSite, memory_settings, site_of

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from tests.fakes.doors import OpenDoor


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """Run a Prefect server for the session."""
    with PrefectServer(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture
def in_prefect(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """Let flows called in this test report to the session's server."""
    # Log lines are sent late, when this process ends and the server is gone.
    with settings_of(prefect_server.place, PREFECT_LOGGING_TO_API_ENABLED="false"):
        yield prefect_server


@pytest.fixture
def prefect_client(in_prefect: PrefectServer) -> Iterator[SyncPrefectClient]:
    """Open a client of the session's server."""
    from prefect import get_client

    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def at_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlowSite:
    """Give a site whose tenant is in memory, with settings of its own."""
    for name in [name for name in os.environ if name.startswith("CALLWRIGHT_")]:
        monkeypatch.delenv(name)
    for name, value in memory_settings(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return site_of(tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def on_either(request: pytest.FixtureRequest, at_site: FlowSite, monkeypatch: pytest.MonkeyPatch) -> FlowSite:
    """Give a site in memory, once with a database of each kind."""
    if request.param == "postgres":
        monkeypatch.setenv("CALLWRIGHT_DATABASE_URL", request.getfixturevalue("postgres").new_upgraded())
    return at_site


@pytest.fixture
def either(on_either: FlowSite, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenDoor]:
    """Open the door of a site in memory, once with a database of each kind."""
    from tests.fakes.doors import give_secret, open_door

    give_secret(monkeypatch)
    with open_door(on_either) as opened:
        yield opened
