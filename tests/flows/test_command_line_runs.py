"""The command line starts a deployment run, follows it, and ends as the same run in this process would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from cli import prefect_runs
from cli.exits import DependencyMissing, FinishedWithFailures
from config.errors import InputRefused
from connectors import schema
from connectors.database import Database
from deployments.server import PrefectServer
from engine.requests import Actor, close_request, open_request

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

pytestmark = pytest.mark.slow

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
REQUEST = {"feed": "hires.csv", "requested_by": "tess"}


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Give our database, where the command line looks for it."""
    monkeypatch.setenv("CALLWRIGHT_DATABASE_URL", f"sqlite:///{tmp_path / 'ours.db'}")
    opened = Database(f"sqlite:///{tmp_path / 'ours.db'}")
    schema.upgrade(opened)
    yield opened
    opened.close()


class Worker:
    """Plays the process that would carry the run out, one step for each time the command line waits."""

    def __init__(self, client: SyncPrefectClient, database: Database, ending: Callable[[Any], None]) -> None:
        self._client, self._database, self._ending = client, database, ending
        self.deployment = f"d-{uuid4().hex[:8]}"
        flow_id = client.create_flow_from_name("played")
        self._id = client.create_deployment(flow_id=flow_id, name=self.deployment)
        self.parameters: dict[str, Any] = {}

    def __call__(self, _seconds: float) -> None:
        """Carry the newest run of the deployment out."""
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId

        mine = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self._id]))
        (run,) = self._client.read_flow_runs(flow_run_filter=mine)
        self.parameters = run.parameters
        self._ending(run.id)

    def finish(self, run_id: UUID, state: str, summary: dict[str, Any]) -> None:
        """Write the request with its summary as the run would, and complete the run."""
        from prefect.states import Completed

        actor = Actor(kind="prefect-ui", name="tess")
        with self._database.write() as connection:
            request = open_request(connection, "onboarding", actor, parameters={}, flow_run_id=str(run_id), now=NOW)
            close_request(connection, request, state, summary, NOW)
        self._client.set_flow_run_state(run_id, Completed(), force=True)


@pytest.fixture
def play(
    prefect_client: SyncPrefectClient, in_prefect: PrefectServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, dict[str, Any]], Worker]:
    """Give a worker that ends its run with this request state and summary; an empty state leaves no request."""
    monkeypatch.setenv("PREFECT_API_URL", in_prefect.place.api_url)

    def _play(state: str, summary: dict[str, Any]) -> Worker:
        from prefect.states import Crashed

        def ending(run_id: UUID) -> None:
            if state:
                worker.finish(run_id, state, summary)
            else:
                prefect_client.set_flow_run_state(run_id, Crashed(message="killed\nby somebody"), force=True)

        worker = Worker(prefect_client, database, ending)
        return worker

    return _play


Play = Callable[[str, dict[str, Any]], Worker]


def test_the_summary_of_a_run_comes_from_our_database(play: Play) -> None:
    """A run that ends gives the summary its request holds; the run got the request as its parameter."""
    worker = play("finished", {"counts": {"onboarded": 3}})
    assert prefect_runs.run(worker.deployment, REQUEST, sleep=worker) == {"counts": {"onboarded": 3}}
    assert worker.parameters == {"request": REQUEST}


def test_a_refused_feed_is_refused_input(play: Play) -> None:
    """A feed that the run refused ends like refused input, with the run's own words."""
    worker = play("refused", {"message": "hires.csv: is empty ; export it again"})
    with pytest.raises(InputRefused, match="is empty ; export it again"):
        prefect_runs.run(worker.deployment, REQUEST, sleep=worker)


def test_a_system_that_failed_is_a_dependency(play: Play) -> None:
    """A run that a system stopped ends like a missing dependency."""
    worker = play("failed", {"message": "Graph does not answer"})
    with pytest.raises(DependencyMissing, match="Graph does not answer"):
        prefect_runs.run(worker.deployment, REQUEST, sleep=worker)


def test_a_crashed_run_says_how_it_ended(play: Play) -> None:
    """A run that died before it wrote anything ends with failures, in one line."""
    worker = play("", {})
    with pytest.raises(FinishedWithFailures, match="Crashed, killed"):
        prefect_runs.run(worker.deployment, REQUEST, sleep=worker)


def test_a_deployment_that_nobody_serves_is_named(play: Play) -> None:
    """Without the deployment the command says which one is missing and what to start."""
    play("finished", {})
    with pytest.raises(DependencyMissing, match="no deployment 'nowhere' ; start: "):
        prefect_runs.run("nowhere", REQUEST)


def test_the_doctor_names_deployments(play: Play) -> None:
    """The deployments of a server can be named."""
    assert play("finished", {}).deployment in prefect_runs.deployment_names()
