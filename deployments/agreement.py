"""Checks that Prefect's history and our records tell the same story: the journal is the record, Prefect the view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from datasets.tables.requests import requests

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_PAGE = 200  # the server's own limit
# How a request stands, and the states of a flow run that say the same.
_SAME: Mapping[str, frozenset[str]] = {
    "finished": frozenset({"COMPLETED"}),
    "waiting": frozenset({"COMPLETED"}),
    "refused": frozenset({"FAILED"}),
    "failed": frozenset({"FAILED"}),
    "open": frozenset({"SCHEDULED", "PENDING", "RUNNING", "CRASHED", "CANCELLING", "CANCELLED"}),
}


def disagreements(connection: Connection, client: SyncPrefectClient, flows: frozenset[str]) -> list[str]:
    """Say in sentences where the runs of these flows and their requests differ; an empty list is what one wants."""
    runs = _runs(client, flows)
    query = select(requests).where(requests.c.kind.in_(flows), requests.c.flow_run_id.is_not(None))
    ours = {row.flow_run_id: row for row in connection.execute(query)}
    found = [
        f"request {row.id} names run {run_id}, which Prefect does not know"
        for run_id, row in ours.items()
        if run_id not in runs
    ]
    for run_id, state in runs.items():
        row = ours.get(run_id)
        if row is None:
            if state == "COMPLETED":
                found.append(f"run {run_id} completed without a request of ours")
        elif state not in _SAME[row.state]:
            found.append(f"request {row.id} is {row.state}, its run {run_id} is {state}")
    return found


def _runs(client: SyncPrefectClient, flows: frozenset[str]) -> dict[str, str]:
    return {str(run["id"]): str(run["state_type"]) for run in _pages(client, flows)}


def _pages(client: SyncPrefectClient, flows: frozenset[str]) -> Iterator[dict[str, object]]:
    offset = 0
    while True:
        body = {"flows": {"name": {"any_": sorted(flows)}}, "sort": "START_TIME_ASC", "limit": _PAGE, "offset": offset}
        page = client.request("POST", "/flow_runs/filter", json=body).json()
        yield from page
        if len(page) < _PAGE:
            return
        offset += _PAGE
