"""How full the pools are, on the Prefect page every morning, with an alert for each pool that runs low."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.requests import Actor
from flows import presentation
from flows.actors import BY_CLOCK, actor_of
from flows.onboarding import give_up
from tasks import number_usage, onboarding, record_keeping
from tasks.stage import InPrefect, Run

USAGE = "number-usage"


def story(run: Run, actor: Actor) -> dict[str, Any]:
    """Look, keep the alerts true, show, record. Raises InputRefused or ConnectorError."""
    request_id = run(onboarding.open_request, USAGE, actor, {}, presentation.flow_run_id())
    try:
        found = run(number_usage.look, request_id)
    except (InputRefused, ConnectorError) as error:
        give_up(USAGE, run, request_id, error)
        raise
    presentation.show_drawing(USAGE, found["drawing"], f"{found['pools']} pools, {len(found['low'])} run low.")
    summary = {"request_id": request_id, **{name: found[name] for name in ("pools", "low")}}
    run(record_keeping.close, request_id, summary)
    return summary


@flow(name=USAGE, flow_run_name=USAGE, persist_result=False)
def show_usage() -> dict[str, Any] | State[Any]:
    """Show how full every pool is, and raise or clear the alert of those that run low."""
    try:
        return story(InPrefect(), actor_of(BY_CLOCK))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
