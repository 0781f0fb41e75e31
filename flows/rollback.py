"""Rollback: what a run changed is taken back, as far as nobody changed it since."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from pydantic import BaseModel, ConfigDict, Field

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.requests import Actor
from engine.rollback import Choice
from flows import presentation
from flows.onboarding import AT_ONCE, apply_plan, give_up, told
from tasks import onboarding as stages
from tasks import plans
from tasks.stage import InPrefect, Run

KIND = "rollback"


class RollbackRequest(BaseModel):
    """What to take back. With dry run (the default) it stops after the plan, which can be read and applied later."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(title="Run", description="Id of the request, the plan or the Prefect flow run.", min_length=1)
    lines: list[int] = Field([], title="Lines", description="Only these lines of the plan; empty: all of them.")
    changes: list[str] = Field(
        [], title="Changes", description="Only these changes, such as 1.3 for the third change of line 1; empty: all."
    )
    attributes: list[str] = Field(
        [], title="Attributes", description="Only these attributes, such as TenantDialPlan; empty: all."
    )
    dry_run: bool = Field(True, title="Dry run", description="Stop after the plan; nothing outside is changed.")
    requested_by: str = Field(
        "prefect-ui", title="Requested by", description="Who asks for it. Recorded as unverified."
    )

    def choice(self) -> Choice:
        """Give what is chosen."""
        return Choice(self.run, tuple(self.lines), tuple(self.changes), tuple(self.attributes))


def story(request: RollbackRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Read, plan, apply, record. Raises InputRefused or ConnectorError once the request says why."""
    asked = request.model_dump(mode="json")
    request_id = run(stages.open_request, KIND, actor, asked, presentation.flow_run_id())
    try:
        plan_id = run(plans.plan_undo, request_id, request.choice())
        errors = [] if request.dry_run else apply_plan(plan_id, run, KIND)
        summary = run(stages.record, request_id, None, [plan_id])
    except (InputRefused, ConnectorError) as error:
        give_up(KIND, run, request_id, error)
        raise
    return told(KIND, run, summary, [plan_id], errors)


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def roll_back(request: RollbackRequest) -> dict[str, Any] | State[Any]:
    """Take back what a run changed, or chosen parts of it."""
    try:
        return story(request, InPrefect(), Actor(kind="prefect-ui", name=request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
