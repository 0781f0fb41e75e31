"""Grace release: numbers of people who left have rested long enough and may be given out again."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from datasets.inventory import NumberState
from engine.requests import Actor
from flows import acting
from flows.onboarding import AT_ONCE
from tasks import numbering
from tasks.stage import Run

KIND = "grace-release"


class GraceRequest(acting.ActRequest):
    """Nothing has to be chosen: exactly the grace periods that are over end, here and in Teams."""


def story(request: GraceRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Read what is over, plan, apply, record. Raises InputRefused or ConnectorError."""
    summary, _ = acting.act(
        KIND, request, run, actor, lambda request_id: run(numbering.plan_endings, request_id, NumberState.GRACE)
    )
    return summary


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def release_rested(request: GraceRequest) -> dict[str, Any] | State[Any]:
    """Give back every number whose grace period is over, and lift what Teams still blocks of them."""
    return acting.in_prefect(story, request)
