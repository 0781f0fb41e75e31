"""A real Prefect server, started once per test process on a private port, for the tests of flows and deployments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from deployments.environment import settings_of
from deployments.server import PrefectServer

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


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
