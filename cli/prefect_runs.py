"""Starts a deployment run on a Prefect server and follows it; what came of it is read from our own database."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cli import opened, output
from cli.exits import DependencyMissing, FinishedWithFailures
from config.errors import InputRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from httpx import Response
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

POLL_S = 1.0
_REFUSED = 409


def server_url() -> str:
    """Give the address of the Prefect server to use, or nothing."""
    return os.environ.get("PREFECT_API_URL", "")


def run(deployment: str, request: Mapping[str, Any], *, sleep: Callable[[float], None] = time.sleep) -> dict[str, Any]:
    """Start a run of a deployment, follow it to its end and give its summary."""
    with _client() as client:
        flow_run = _start(client, deployment, request)
        output.note(f"run {flow_run.name} ({flow_run.id}) was started at {server_url()}")
        ended = _follow(client, flow_run, sleep)
    return _summary_of(ended)


def deployment_names() -> set[str]:
    """Name the deployments of the server. Raises DependencyMissing when it does not answer."""
    with _client() as client:
        return {deployment.name for deployment in client.read_deployments()}


def idle_schedules() -> list[str]:
    """Name the deployments whose schedule is on and for which no run is to come. Raises DependencyMissing.

    A server makes the next runs of a schedule within a minute; one whose scheduler fails goes on answering all else.
    """
    with _client() as client:
        on = [each for each in client.read_deployments() if not each.paused and any(s.active for s in each.schedules)]
        return sorted(each.name for each in on if not _runs_to_come(client, each.id))


def _runs_to_come(client: SyncPrefectClient, deployment: UUID) -> int:
    asked = {
        "deployments": {"id": {"any_": [str(deployment)]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    return int(client.request("POST", "/flow_runs/count", json=asked).json())


def _start(client: SyncPrefectClient, deployment: str, request: Mapping[str, Any]) -> FlowRun:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
    from prefect.exceptions import PrefectHTTPStatusError

    found = client.read_deployments(deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment])))
    if not found:
        raise DependencyMissing(
            f"{server_url()} has no deployment '{deployment}' ; start: ./callwright serve --mapping FILE"
        )
    try:
        return client.create_flow_run_from_deployment(found[0].id, parameters={"request": dict(request)})
    except PrefectHTTPStatusError as error:
        if error.response.status_code != _REFUSED:
            raise
        raise InputRefused(_said(error.response), where=deployment, remedy="correct it and try again") from error


def _said(response: Response) -> str:
    """Give in a line why the server refused the parameters of a run, as its form would have."""
    try:
        said = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        said = "the Prefect server refused the parameters"
    place, _, reason = said.partition("Failure reason: ")
    field = place.partition("'request.")[2].partition("'")[0]
    return " ".join((f"{field}: {reason}" if field and reason else said).split())[:300]


def _follow(client: SyncPrefectClient, flow_run: FlowRun, sleep: Callable[[float], None]) -> FlowRun:
    told = ""
    while True:
        flow_run = client.read_flow_run(flow_run.id)
        name = (flow_run.state.name if flow_run.state else "") or ""
        if name != told:
            output.note(f"run {flow_run.name}: {name}")
            told = name
        if flow_run.state and flow_run.state.is_final():
            return flow_run
        sleep(POLL_S)


def _summary_of(ended: FlowRun) -> dict[str, Any]:
    """Read the summary from our database, or raise what the same run in this process would have raised."""
    from engine.audit import request_of

    with opened.database() as database, database.read() as connection:
        request = request_of(connection, str(ended.id)) or {}
    summary: dict[str, Any] = request.get("summary") or {}
    match request.get("state"):
        case "refused":
            raise InputRefused(summary["message"])
        case "failed":
            raise DependencyMissing(summary["message"])
    if not summary:
        raise FinishedWithFailures(f"run {ended.name} ended without a summary: {_ending(ended)}")
    return summary


def _ending(flow_run: FlowRun) -> str:
    state = flow_run.state
    message = (state.message if state else "") or "no message"
    return f"{state.name if state else 'unknown'}, {message.splitlines()[0]}"


@contextmanager
def _client() -> Iterator[SyncPrefectClient]:
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    try:
        # Said once more: a process that imported Prefect earlier keeps the address of that moment.
        with temporary_settings({PREFECT_API_URL: server_url()}), get_client(sync_client=True) as client:
            yield client
    except httpx.HTTPError as error:
        what = f"the Prefect server at {server_url()} does not answer ({type(error).__name__})"
        raise DependencyMissing(f"{what} ; start it, or unset PREFECT_API_URL to run in this process") from error
