"""Plan apply: a stored plan is applied exactly as it was reviewed, if it still may be."""

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
from flows.onboarding import AT_ONCE, apply_plan, give_up, told
from tasks import onboarding as stages
from tasks import plans
from tasks.stage import InPrefect, Run

KIND = "plan-apply"


class PlanApplyRequest(BaseModel):
    """Which plan to apply. Whether it was approved is asked when it starts, wherever it is started from."""

    model_config = ConfigDict(extra="forbid")

    plan_id: str = Field(title="Plan", description="The plan's id, as `plan list` shows it.", min_length=1)
    requested_by: str = Field(
        "prefect-ui", title="Requested by", description="Who asks for it. Recorded as unverified."
    )


def story(request: PlanApplyRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Check, apply, record. Raises InputRefused or ConnectorError once the request says why."""
    asked = request.model_dump(mode="json")
    request_id = run(stages.open_request, KIND, actor, asked, presentation.flow_run_id())
    try:
        run(plans.known, request.plan_id)
        errors = apply_plan(request.plan_id, run, KIND)
        summary = run(stages.record, request_id, None, [request.plan_id])
    except (InputRefused, ConnectorError) as error:
        give_up(KIND, run, request_id, error)
        raise
    return told(KIND, run, summary, [request.plan_id], errors)


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def apply_stored(request: PlanApplyRequest) -> dict[str, Any] | State[Any]:
    """Apply a stored plan."""
    try:
        return story(request, InPrefect(), Actor(kind="prefect-ui", name=request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
