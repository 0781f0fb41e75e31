"""Continue: what waits for a licence, an account, a system or a read is picked up when its moment has come."""

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
from flows.onboarding import AT_ONCE, apply_plan, give_up, told
from tasks import onboarding as stages
from tasks.stage import InPrefect, Run

KIND = "continue-waiting"


class ContinueRequest(BaseModel):
    """Nothing has to be chosen: everything that is due is continued."""

    model_config = ConfigDict(extra="forbid")

    requested_by: str = Field("schedule", title="Requested by", description="Who asks for it. Recorded as unverified.")


def story(request: ContinueRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Plan anew who waits for that, apply what is due, record. Raises InputRefused or ConnectorError."""
    asked = request.model_dump(mode="json")
    request_id = run(stages.open_request, KIND, actor, asked, presentation.flow_run_id())
    try:
        planned = run(stages.replan, request_id)
        plan_ids = [*planned, *(each for each in run(stages.due_plans) if each not in planned)]
        errors = [error for plan_id in plan_ids for error in apply_plan(plan_id, run, KIND)]
        summary = run(stages.record, request_id, None, plan_ids, is_visit=True)
    except (InputRefused, ConnectorError) as error:
        give_up(KIND, run, request_id, error)
        raise
    return told(KIND, run, summary, plan_ids, errors)


@flow(
    name=KIND,
    task_runner=AT_ONCE,
    flow_run_name=KIND,
    persist_result=False,
    validate_parameters=True,
)
def continue_waiting(request: ContinueRequest) -> dict[str, Any] | State[Any]:
    """Go on with every line that waits and whose moment has come."""
    try:
        return story(request, InPrefect(), actor_of(request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
