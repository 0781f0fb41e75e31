"""Drift: are users still as their templates want them? What is not is reported; what may converge is planned."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from engine.requests import Actor
from flows import acting, presentation
from flows.onboarding import AT_ONCE
from tasks import drift as stages
from tasks.stage import Run

KIND = "drift"


class DriftRequest(acting.ActRequest):
    """Whether to stop after the plan. The nightly run applies it only when the settings say so (drift.apply)."""

    dry_run: bool = Field(True, title="Dry run", description="Compare, report and plan only; nothing is changed.")
    file: str = Field(
        "",
        title="File",
        description="Where every difference is written, .csv or .xlsx; empty: drift.csv in the reports.",
    )
    requested_by: str = Field(acting.BY_HAND, title="Requested by", description="Who asks for it; unverified.")


def story(request: DriftRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Read, compare, plan what may converge, apply if allowed, record. Raises InputRefused or ConnectorError."""
    report: dict[str, Any] = {}

    def plan(request_id: str) -> str:
        plan_id, found = run(stages.plan, request_id, request.file)
        report.update(found)
        return plan_id

    if actor.kind == acting.BY_CLOCK and run(stages.may_apply):
        request = request.model_copy(update={"dry_run": False})
    summary, plan_id = acting.act(KIND, request, run, actor, plan)
    presentation.show_drift(KIND, report)
    return run(stages.keep_report, summary["request_id"], report) | summary | {"plan_id": plan_id}


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def compare(request: DriftRequest) -> dict[str, Any] | State[Any]:
    """Compare onboarded users with their templates, report what differs, and plan what may converge."""
    return acting.in_prefect(story, request)
