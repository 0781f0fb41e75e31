"""Bulk edit: many users get the same policy, licence or location, or what a sheet says of each of them."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from engine.jobs import KIND
from engine.requests import Actor
from flows import acting
from flows.onboarding import AT_ONCE
from tasks import bulk_edit
from tasks.stage import Run


class BulkEditRequest(acting.ActRequest):
    """Whom to edit, and what they get. With dry run (the default) it stops after the plan, which is then reviewed."""

    filter: str = Field("", title="Saved filter", description="Users whom this saved filter finds.")
    text: str = Field("", title="Text", description="Or users with this text in any column of the cache.")
    file: str = Field("", title="File", description="Or users of a sheet: a column user, others named like attributes.")
    users: list[str] = Field([], title="Users", description="Or these: addresses or object ids.", max_length=500)
    set: list[str] = Field(
        [], title="Set", description="What they get, such as policy:TenantDialPlan=AT or licence:MCOEV=yes; - clears."
    )
    dry_run: bool = Field(True, title="Dry run", description="Stop after the plan; nothing outside is changed.")
    requested_by: str = Field(acting.BY_HAND, title="Requested by", description="Who asks for it; unverified.")


def story(request: BulkEditRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Plan, apply, record. Raises InputRefused or ConnectorError once the request says why."""

    def plan(request_id: str) -> str:
        who = {"filter": request.filter, "text": request.text, "file": request.file}
        return run(bulk_edit.plan_edit, request_id, who, request.users, request.set)

    return acting.act(KIND, request, run, actor, plan)[0]


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def edit_users(request: BulkEditRequest) -> dict[str, Any] | State[Any]:
    """Edit many users: one plan, one line each, only what differs."""
    return acting.in_prefect(story, request)
