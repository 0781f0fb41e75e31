"""Reconcile: what died with its process is settled: claims, leases, streams, requests, intents without outcome."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from pydantic import BaseModel, ConfigDict, Field

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.requests import Actor
from flows import presentation
from flows.actors import actor_of
from flows.onboarding import AT_ONCE, apply_plan, give_up
from tasks import onboarding as stages
from tasks import record_keeping
from tasks.stage import InPrefect, Run

KIND = "reconcile"


class ReconcileRequest(BaseModel):
    """Nothing has to be chosen: everything that was left behind is looked at."""

    model_config = ConfigDict(extra="forbid")

    requested_by: str = Field("schedule", title="Requested by", description="Who asks for it. Recorded as unverified.")


def story(request: ReconcileRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Continue what is due, then settle what is left. Raises InputRefused or ConnectorError."""
    asked = request.model_dump(mode="json")
    request_id = run(stages.open_request, KIND, actor, asked, presentation.flow_run_id())
    try:
        due = run(stages.due_plans)
        errors = [error for plan_id in due for error in apply_plan(plan_id, run, KIND)]
        found = run(record_keeping.reconcile, request_id, due)
    except (InputRefused, ConnectorError) as error:
        give_up(KIND, run, request_id, error)
        raise
    summary: dict[str, Any] = {"request_id": request_id, "continued_plans": len(due), "settled": found}
    if errors:
        summary["interrupted"] = f"{errors[0]} ; the lines wait and are continued by themselves"
    summary = run(record_keeping.close, request_id, summary)
    presentation.tell_alert(summary)
    presentation.show_summary(KIND, summary)
    return summary


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def reconcile(request: ReconcileRequest) -> dict[str, Any] | State[Any]:
    """Settle what processes left behind that died."""
    try:
        return story(request, InPrefect(), actor_of(request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
