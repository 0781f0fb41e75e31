"""Single acts: a user gets a named number or a pool's next one, or gives it back and it rests."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from engine.requests import Actor
from flows import acting
from flows.onboarding import AT_ONCE
from tasks import numbering
from tasks.stage import Run

ASSIGN, UNASSIGN = "number-assign", "number-unassign"
User = Field(title="User", description="User principal name or object id.")


class AssignRequest(acting.ActRequest):
    """Who gets which number. Without number and pool it is the one that is kept for the user."""

    user: str = User
    number: str | None = Field(None, title="Number", description="This very number, with its country code.")
    pool: str | None = Field(None, title="Pool", description="The next free number of this pool.")
    requested_by: str = Field(acting.BY_HAND, title="Requested by", description="Who asks for it; unverified.")


class UnassignRequest(acting.ActRequest):
    """Whose number is taken away, and for how long it rests."""

    user: str = User
    number: str | None = Field(None, title="Number", description="Only for users with several: which one.")
    grace_days: int | None = Field(
        None, ge=0, le=365, title="Grace period", description="Days that the number rests. Empty: as the settings say."
    )
    requested_by: str = Field(acting.BY_HAND, title="Requested by", description="Who asks for it; unverified.")


def assign_story(request: AssignRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Choose by claiming, plan, apply, record. Raises InputRefused or ConnectorError."""

    def plan(request_id: str) -> str:
        return run(numbering.plan_assignment, request_id, request.user, request.number, request.pool)

    return acting.act(ASSIGN, request, run, actor, plan)[0]


def unassign_story(request: UnassignRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Plan, apply, record; the number rests here and in Teams. Raises InputRefused or ConnectorError."""

    def plan(request_id: str) -> str:
        return run(numbering.plan_release, request_id, request.user, request.number, request.grace_days)

    return acting.act(UNASSIGN, request, run, actor, plan)[0]


@flow(name=ASSIGN, task_runner=AT_ONCE, flow_run_name="number-assign", persist_result=False, validate_parameters=True)
def assign(request: AssignRequest) -> dict[str, Any] | State[Any]:
    """Give a user a named number or the next free one of a pool."""
    return acting.in_prefect(assign_story, request)


@flow(
    name=UNASSIGN, task_runner=AT_ONCE, flow_run_name="number-unassign", persist_result=False, validate_parameters=True
)
def unassign(request: UnassignRequest) -> dict[str, Any] | State[Any]:
    """Take a user's number away; it rests before anybody else gets it."""
    return acting.in_prefect(unassign_story, request)
