"""The number flows as Prefect runs them: they end well, their request knows the run, what differs is a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from sqlalchemy import select

from connectors.database import Database
from datasets.tables.requests import requests
from deployments.catalog import NUMBERS
from deployments.serve import deployment_of
from flows import grace_release, number_assignment, number_orders, number_sync, number_usage, reservation_expiry
from lab.server import Lab
from tests.fakes.databases import upgraded_sqlite
from tests.fakes.lab_environment import environment_of
from tests.fakes.lab_people import ready

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

pytestmark = pytest.mark.slow
NUMBER = "+431934600901"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Give a small tenant, and the settings that point at it."""
    with Lab(folder=tmp_path / "lab", users=24, seed=5) as running:
        running.parts.settings.module_version = "8.0.0"
        for name, value in environment_of(running.endpoints, tmp_path).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def ours(lab: Lab, tmp_path: Path) -> Iterator[Database]:
    """Give our database."""
    opened = Database(upgraded_sqlite(tmp_path / "callwright.db"))
    yield opened
    opened.close()


def test_every_number_flow_runs_in_prefect(lab: Lab, ours: Database, prefect_client: SyncPrefectClient) -> None:
    """Each completes as a flow run with a request of its own; number-usage only looks and draws."""
    user = ready(lab.tenant, 1)[0].upn
    assign = number_assignment.AssignRequest(user=user, number=NUMBER)
    runs: list[Any] = [
        number_sync.sync(number_sync.SyncRequest(dry_run=False)),
        number_assignment.assign(assign),
        number_assignment.unassign(number_assignment.UnassignRequest(user=user, grace_days=1)),
        grace_release.release_rested(grace_release.GraceRequest()),
        reservation_expiry.release_expired(reservation_expiry.ExpiryRequest()),
        number_orders.order(number_orders.OrderRequest(start="+431934600950", end="+431934600951", dry_run=False)),
    ]
    assert [run["counts"] for run in runs][1:] == [{"assigned": 1}, {"released": 1}, {}, {}, {"ordered": 1}]
    with ours.read() as connection:
        found = connection.execute(select(requests.c.kind, requests.c.state, requests.c.flow_run_id)).all()
    assert {row.state for row in found} == {"finished"}
    assert all(row.flow_run_id for row in found)
    assert len({row.kind for row in found}) == 6
    key = ArtifactFilter(key=ArtifactFilterKey(any_=["number-sync-differences"]))
    (table, *_) = prefect_client.read_artifacts(artifact_filter=key)
    assert "ad_owned" in str(table.data)
    number_usage.show_usage()
    key = ArtifactFilter(key=ArtifactFilterKey(any_=["number-usage"]))
    (drawn, *_) = prefect_client.read_artifacts(artifact_filter=key)
    assert "| vienna |" in str(drawn.data)


def test_the_schedules_of_the_number_flows_are_on_the_server(prefect_client: SyncPrefectClient) -> None:
    """Every number flow is a deployment of the server; what the clock starts has its schedule, switched on."""
    for each in NUMBERS:
        made = prefect_client.read_deployment(str(deployment_of(each).apply()))
        told = [(found.active, found.schedule.cron) for found in made.schedules]  # type: ignore[union-attr] # cron
        assert told == ([(True, each.cron)] if each.cron else []), each.name
        assert made.parameters == each.parameters
        prefect_client.delete_deployment(made.id)
    assert [each.name for each in NUMBERS if each.cron] == [
        "number-usage", "number-sync", "reservation-expiry", "grace-release"
    ]  # fmt: skip


def test_a_doubtful_answer_fails_the_run(lab: Lab, ours: Database, prefect_client: SyncPrefectClient) -> None:
    """A list that comes twice ends the run as failed, with the reason in its message and no plan."""
    match = {"operation": "numberAssignments.list", "target": "*"}
    lab.control("POST", "/faults", {"name": "duplicate", "match": match})
    state = number_sync.sync(number_sync.SyncRequest(dry_run=False), return_state=True)
    assert state.is_failed()
    assert "listed twice" in str(state.message)
