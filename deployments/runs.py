"""Runs of deployments on a Prefect server: start them with an idempotency key, look at them, wait for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import httpx

from deployments.watcher import Outage, Outcome, Standing

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

T = TypeVar("T")


def start_run(deployment: str, parameters: Mapping[str, object], *, key: str | None = None) -> str:
    """Start a run of `flow/deployment`, or find the one started with this key; gives its id. Raises Outage."""
    from prefect import get_client

    def create() -> str:
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(deployment)
            run = client.create_flow_run_from_deployment(found.id, parameters=dict(parameters), idempotency_key=key)
            return str(run.id)

    return _asked(create)


def standing_of(run_id: str) -> Standing:
    """Tell how a run stands. Raises Outage."""
    from prefect import get_client

    def read() -> Standing:
        with get_client(sync_client=True) as client:
            return _standing(client.read_flow_run(UUID(run_id)).state)

    return _asked(read)


def wait_for_run(run_id: str, *, timeout_s: float, poll_s: float = 0.5) -> Standing:
    """Wait until a run has ended; gives how it stands when time is up."""
    give_up_at = time.monotonic() + timeout_s
    while (standing := standing_of(run_id)).outcome is Outcome.OPEN and time.monotonic() < give_up_at:
        time.sleep(poll_s)
    return standing


class FeedRuns:
    """The watcher's runs: one run of the site's deployment for each feed."""

    def __init__(self, deployment: str, parameters_for: Callable[[Path], Mapping[str, object]]) -> None:
        self.deployment, self.parameters_for = deployment, parameters_for

    def start(self, feed: Path, key: str) -> str:
        """Start the run of a feed, or find the one started earlier with this key. Raises Outage."""
        return start_run(self.deployment, self.parameters_for(feed), key=key)

    def standing(self, run_id: str) -> Standing:
        """Tell how a run stands. Raises Outage."""
        return standing_of(run_id)


def _asked(question: Callable[[], T]) -> T:
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

    try:
        return question()
    except (httpx.HTTPError, PrefectHTTPStatusError, ObjectNotFound) as error:
        raise Outage(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def _standing(state: State | None) -> Standing:
    from prefect.client.schemas.objects import StateType

    if state is None or not state.is_final():
        return Standing(Outcome.OPEN)
    message = f"{state.name}: {state.message}" if state.message else state.name or ""
    outcomes = {StateType.COMPLETED: Outcome.DONE, StateType.CRASHED: Outcome.CRASHED}
    return Standing(outcomes.get(state.type, Outcome.REFUSED), message)
