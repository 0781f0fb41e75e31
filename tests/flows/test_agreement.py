"""Prefect's history and our requests, compared."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.states import Failed

from connectors.database import Database
from deployments.agreement import disagreements
from engine.requests import Actor, close_request, open_request
from flows.presentation import flow_run_id
from tests.fakes.databases import sqlite_database

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Open an empty database."""
    database = sqlite_database(tmp_path)
    yield database
    database.close()


@pytest.fixture
def name() -> str:
    """Give a flow name that no other test uses."""
    return f"agreement-{uuid.uuid4().hex[:8]}"


def run(name: str, database: Database | None, state: str = "finished", *, fails: bool = False) -> str:
    """Run a flow that records itself, unless without a database; gives its run id."""

    @flow(name=name)
    def records() -> State[None] | None:
        run_id = flow_run_id()
        if database is not None:
            with database.write() as connection:
                request = open_request(
                    connection, name, Actor(kind="schedule", name="x"), parameters={}, flow_run_id=run_id, now=NOW
                )
                close_request(connection, request, state, {}, NOW)
        ids.append(str(run_id))
        return Failed() if fails else None

    ids: list[str] = []
    records(return_state=True)
    return ids[0]


def compare(database: Database, client: SyncPrefectClient, name: str) -> list[str]:
    """Compare one flow's runs with the requests."""
    with database.read() as connection:
        return disagreements(connection, client, frozenset({name}))


def test_runs_that_recorded_themselves_agree(database: Database, prefect_client: SyncPrefectClient, name: str) -> None:
    """Finished, waiting and failed requests agree with the runs that wrote them."""
    run(name, database)
    run(name, database, "waiting")
    run(name, database, "failed", fails=True)
    assert compare(database, prefect_client, name) == []


def test_a_completed_run_without_a_request_is_named(
    database: Database, prefect_client: SyncPrefectClient, name: str
) -> None:
    """A run that completed but is in none of our records is a disagreement."""
    run_id = run(name, None)
    assert compare(database, prefect_client, name) == [f"run {run_id} completed without a request of ours"]


def test_a_request_whose_run_failed_is_named(database: Database, prefect_client: SyncPrefectClient, name: str) -> None:
    """A request that says finished while its run failed is a disagreement."""
    run_id = run(name, database, "finished", fails=True)
    assert f"its run {run_id} is FAILED" in compare(database, prefect_client, name)[0]


def test_a_request_of_a_deleted_run_is_named(database: Database, prefect_client: SyncPrefectClient, name: str) -> None:
    """Anybody may delete history in Prefect; our request still names the run, and that shows."""
    run_id = run(name, database)
    prefect_client.delete_flow_run(uuid.UUID(run_id))
    assert f"names run {run_id}, which Prefect does not know" in compare(database, prefect_client, name)[0]


def test_requests_of_other_flows_are_not_compared(
    database: Database, prefect_client: SyncPrefectClient, name: str
) -> None:
    """A schedule that comes due while two flows are compared has nothing to do with them."""
    run(f"{name}-other", database)
    run(name, database)
    assert compare(database, prefect_client, name) == []
