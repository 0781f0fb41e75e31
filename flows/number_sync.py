"""Number sync: the nightly audit that every number is where everybody believes it is."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from engine.requests import Actor
from flows import acting, presentation
from flows.onboarding import AT_ONCE
from tasks import numbering
from tasks.stage import Run

KIND = "number-sync"


class SyncRequest(acting.ActRequest):
    """How far the audit may go. It never deletes anything; what is not safe to fix is reported with what to do."""

    dry_run: bool = Field(True, title="Dry run", description="Compare and report only; nothing is changed.")
    most_fixes: int = Field(
        100,
        ge=0,
        title="Fixes at most",
        description="With more to fix nothing is fixed: somebody looks first.",
    )
    shrink_percent: float = Field(
        20.0,
        ge=0,
        le=100,
        title="Shrink at most (percent)",
        description="An answer that is smaller than the last one by more than this is not believed.",
    )


def story(request: SyncRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Read, check, compare, plan what is safe, apply, record. Raises InputRefused or ConnectorError."""
    report: dict[str, Any] = {}

    def plan(request_id: str) -> str:
        plan_id, found = run(numbering.plan_sync, request_id, request.most_fixes, request.shrink_percent)
        report.update(found)
        return plan_id

    summary, _ = acting.act(KIND, request, run, actor, plan)
    held_back = report["held_back"]
    alert = f"{held_back} differences to fix, more than {request.most_fixes}: none was fixed" if held_back else None
    presentation.show_differences(KIND, report["found"], report["differences"])
    return run(numbering.add_to_summary, summary["request_id"], report, alert) | summary


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def sync(request: SyncRequest) -> dict[str, Any] | State[Any]:
    """Compare inventory, Teams, on-premises lines and ranges, and the directory; fix what is safe, report the rest."""
    return acting.in_prefect(story, request)
