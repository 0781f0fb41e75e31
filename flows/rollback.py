"""Rollback: what a run changed is taken back, as far as nobody changed it since."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from engine.requests import Actor
from engine.rollback import Choice
from flows import acting
from flows.onboarding import AT_ONCE
from tasks import plans
from tasks.stage import Run

KIND = "rollback"


class RollbackRequest(acting.ActRequest):
    """What to take back. With dry run (the default) it stops after the plan, which can be read and applied later."""

    run: str = Field(title="Run", description="Id of the request, the plan or the Prefect flow run.", min_length=1)
    lines: list[int] = Field([], title="Lines", description="Only these lines of the plan; empty: all of them.")
    changes: list[str] = Field(
        [], title="Changes", description="Only these changes, such as 1.3 for the third change of line 1; empty: all."
    )
    attributes: list[str] = Field(
        [], title="Attributes", description="Only these attributes, such as TenantDialPlan; empty: all."
    )
    dry_run: bool = Field(True, title="Dry run", description="Stop after the plan; nothing outside is changed.")
    requested_by: str = Field(acting.BY_HAND, title="Requested by", description="Who asks for it; unverified.")

    def choice(self) -> Choice:
        """Give what is chosen."""
        return Choice(self.run, tuple(self.lines), tuple(self.changes), tuple(self.attributes))


def story(request: RollbackRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Plan the way back, apply, record. Raises InputRefused or ConnectorError once the request says why."""

    def plan(request_id: str) -> str:
        return run(plans.plan_undo, request_id, request.choice())

    return acting.act(KIND, request, run, actor, plan)[0]


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def roll_back(request: RollbackRequest) -> dict[str, Any] | State[Any]:
    """Take back what a run changed, or chosen parts of it."""
    return acting.in_prefect(story, request)
