"""Restore: users get the voice state they had at a moment, as far as the record knows it and the systems allow it."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.requests import Actor
from engine.restore import Whose
from flows import presentation
from flows.onboarding import AT_ONCE, apply_plan, give_up, told
from tasks import onboarding as stages
from tasks import plans
from tasks.stage import InPrefect, Run

KIND = "restore"


class RestoreRequest(BaseModel):
    """Whose voice state to restore, and of which moment. It opens as a dry run, which stops after the plan."""

    model_config = ConfigDict(extra="forbid")

    moment: AwareDatetime = Field(title="Moment", description="The state of this moment, with its time zone.")
    users: list[str] = Field([], title="Users", description="Object ids or UPNs; empty only together with everybody.")
    everybody: bool = Field(False, title="Everybody", description="Everybody whom Callwright changed since then.")
    dry_run: bool = Field(True, title="Dry run", description="Stop after the plan; nothing outside is changed.")
    requested_by: str = Field(
        "prefect-ui", title="Requested by", description="Who asks for it. Recorded as unverified."
    )

    def whose(self) -> Whose:
        """Give whose state is meant."""
        return Whose(tuple(self.users), self.everybody)


def story(request: RestoreRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Read, plan, apply, record. Raises InputRefused or ConnectorError once the request says why."""
    asked = request.model_dump(mode="json")
    request_id = run(stages.open_request, KIND, actor, asked, presentation.flow_run_id())
    try:
        plan_id = run(plans.plan_restoring, request_id, request.whose(), request.moment)
        errors = [] if request.dry_run else apply_plan(plan_id, run, KIND)
        summary = run(stages.record, request_id, None, [plan_id])
    except (InputRefused, ConnectorError) as error:
        give_up(KIND, run, request_id, error)
        raise
    return told(KIND, run, summary, [plan_id], errors)


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def restore(request: RestoreRequest) -> dict[str, Any] | State[Any]:
    """Give users the voice state they had at a moment."""
    try:
        return story(request, InPrefect(), Actor(kind="prefect-ui", name=request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
