"""Restore: users get the voice state they had at a moment, as far as the record knows it and the systems allow it."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import AwareDatetime, Field

from engine.requests import Actor
from engine.restore import Whose
from flows import acting
from flows.onboarding import AT_ONCE
from tasks import plans
from tasks.stage import Run

KIND = "restore"


class RestoreRequest(acting.ActRequest):
    """Whose voice state to restore, and of which moment. It opens as a dry run, which stops after the plan."""

    moment: AwareDatetime = Field(title="Moment", description="The state of this moment, with its time zone.")
    users: list[str] = Field([], title="Users", description="Object ids or UPNs; empty only together with everybody.")
    everybody: bool = Field(False, title="Everybody", description="Everybody whom Callwright changed since then.")
    dry_run: bool = Field(True, title="Dry run", description="Stop after the plan; nothing outside is changed.")
    requested_by: str = Field(acting.BY_HAND, title="Requested by", description="Who asks for it; unverified.")

    def whose(self) -> Whose:
        """Give whose state is meant."""
        return Whose(tuple(self.users), self.everybody)


def story(request: RestoreRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Plan the state of the moment, apply, record. Raises InputRefused or ConnectorError once the request says why."""

    def plan(request_id: str) -> str:
        return run(plans.plan_restoring, request_id, request.whose(), request.moment)

    return acting.act(KIND, request, run, actor, plan)[0]


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def restore(request: RestoreRequest) -> dict[str, Any] | State[Any]:
    """Give users the voice state they had at a moment."""
    return acting.in_prefect(story, request)
