"""HR event: what an HR system, a SCIM client or a workflow sent over HTTP takes effect like a row of a feed."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from pydantic import BaseModel, ConfigDict, Field

from config.errors import InputRefused
from connectors.errors import ConnectorError, Retryable
from engine.requests import Actor
from flows import presentation
from flows.onboarding import AT_ONCE, apply_plan, give_up, told
from tasks import hr_event, lifecycle
from tasks import onboarding as stages
from tasks.stage import InPrefect, Run

KIND = lifecycle.HR_EVENT


class HrEventRequest(BaseModel):
    """Which event to carry out; the endpoint stored it before it answered."""

    model_config = ConfigDict(extra="forbid")

    event: str = Field(title="Event", description="Its id, as `./callwright events list` shows it.")
    requested_by: str = Field(
        "prefect-ui", title="Requested by", description="Who sent it. Recorded as the endpoint found them."
    )


def story(request: HrEventRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Read, check, plan, apply, record. Raises InputRefused or ConnectorError once request and event say why."""
    asked = request.model_dump(mode="json")
    request_id = run(stages.open_request, KIND, actor, asked, presentation.flow_run_id())
    try:
        feed_id = run(hr_event.read_event, request_id, request.event)
        run(stages.check_feed, request_id, feed_id)
        plan_id = run(lifecycle.plan_lifecycle, request_id, feed_id, False)
        errors = apply_plan(plan_id, run, KIND)
        summary = run(stages.record, request_id, feed_id, [plan_id]) | {"event": request.event}
    except (InputRefused, ConnectorError) as error:
        give_up(KIND, run, request_id, error)
        if isinstance(error, Retryable):
            run(hr_event.put_off, request.event, str(error))
        else:
            state = "refused" if isinstance(error, InputRefused) else "failed"
            run(hr_event.end_event, request.event, state, str(error))
        raise
    run(hr_event.end_event, request.event, "finished", "")
    return told(KIND, run, summary, [plan_id], errors)


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name="event {request.event}", persist_result=False)
def carry_out(request: HrEventRequest) -> dict[str, Any] | State[Any]:
    """Carry out one event that came over HTTP."""
    try:
        return story(request, InPrefect(), Actor(kind="hr_feed", name=request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
