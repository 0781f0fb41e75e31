"""Onboarding: people of an HR feed become working Teams Phone users, or the reason why not is on record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel, ConfigDict, Field

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.approvals import ApprovalMissing
from engine.requests import Actor
from flows import presentation
from flows.actors import actor_of
from tasks import onboarding as stages
from tasks.stage import AT_ONCE as CHUNKS_AT_ONCE
from tasks.stage import InPrefect, Run, Stage
from tasks.work import systems_open

KIND = "onboarding"
AT_ONCE: Any = ThreadPoolTaskRunner(max_workers=CHUNKS_AT_ONCE)


class OnboardingRequest(BaseModel):
    """What to onboard. A dry run stops after the plan; the plan can be read and the numbers it names stay claimed."""

    model_config = ConfigDict(extra="forbid")

    feed: str = Field(title="Feed file", description="Path of the HR export on the machine that runs Callwright.")
    mapping: str = Field(
        title="Mapping", description="Path of the mapping file, or the name of one in the site policy, such as workday."
    )
    dry_run: bool = Field(False, title="Dry run", description="Stop after the plan; nothing outside is changed.")
    requested_by: str = Field(
        "prefect-ui", title="Requested by", description="Who asks for it. Recorded as unverified."
    )

    @property
    def called(self) -> str:
        """Give the name of the run on the Prefect pages, where many runs stand below each other."""
        return f"{'dry run' if self.dry_run else KIND} of {Path(self.feed).name}"


def story(request: OnboardingRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Read, check, plan, apply, record. Raises InputRefused or ConnectorError once the request says why."""
    return of_feed(KIND, request, run, actor, stages.plan_onboarding)


def of_feed(
    kind: str, request: OnboardingRequest, run: Run, actor: Actor, plan: Stage[[str, str, bool], str]
) -> dict[str, Any]:
    """Tell the story of a feed; `plan` is the stage that says what follows from it."""
    asked = request.model_dump(mode="json")
    request_id = run(stages.open_request, kind, actor, asked, presentation.flow_run_id())
    try:
        feed_id = run(stages.read_feed, request_id, request.feed, request.mapping)
        run(stages.check_feed, request_id, feed_id)
        plan_id = run(plan, request_id, feed_id, request.dry_run)
        errors = [] if request.dry_run else apply_plan(plan_id, run, kind)
        summary = run(stages.record, request_id, feed_id, [plan_id]) | {"dry_run": request.dry_run}
    except (InputRefused, ConnectorError) as error:
        give_up(kind, run, request_id, error)
        raise
    return told(kind, run, summary, [plan_id], errors)


def apply_plan(plan_id: str, run: Run, kind: str) -> list[Exception]:
    """Apply every due chunk of a plan, several at once; gives the errors of chunks that could not go on.

    A plan that has to be approved first is left as it is, and the error says so.
    """
    try:
        chunks = run(stages.cut, plan_id)
    except ApprovalMissing as missing:
        return [missing]
    progress = presentation.Progress(kind, sum(last - first + 1 for _, first, last in chunks))
    errors: list[Exception] = []
    with systems_open() if chunks else nullcontext():
        results: Iterable[dict[str, int] | Exception] = run.each(stages.apply_part, chunks)
        for (_, first, last), result in zip(chunks, results, strict=True):
            if isinstance(result, Exception):
                errors.append(result)
            else:
                presentation.tell_chunk_applied(plan_id, f"{first}-{last}", result)
            progress.advance(last - first + 1)
    return errors


def give_up(kind: str, run: Run, request_id: str, error: Exception) -> None:
    """Close the request of a run that could not be carried out, and show why."""
    state = "refused" if isinstance(error, InputRefused) else "failed"
    summary = run(stages.give_up, request_id, str(error), state)
    presentation.tell_alert(summary)
    presentation.show_summary(kind, summary)


def told(
    kind: str, run: Run, summary: dict[str, Any], plan_ids: Sequence[str], errors: Sequence[Exception]
) -> dict[str, Any]:
    """Show the summary and the table of what needs a look, and give the summary with what stood in the way."""
    missing = [error for error in errors if isinstance(error, ApprovalMissing)]
    if missing:
        summary["needs_approval"] = str(missing[0])
    elif errors:
        summary["interrupted"] = f"{errors[0]} ; the lines wait for the next ./callwright continue, or its schedule"
    troubles = run(stages.troubles, list(plan_ids))
    presentation.tell_alert(summary)
    presentation.show_failures(kind, [presentation.Failure(*each) for each in troubles])
    presentation.show_summary(kind, summary)
    return summary


@flow(
    name=KIND,
    task_runner=AT_ONCE,
    flow_run_name="{request.called}",
    persist_result=False,
    validate_parameters=True,
)
def onboard(request: OnboardingRequest) -> dict[str, Any] | State[Any]:
    """Give the people of a feed file their numbers, licences and policies."""
    try:
        return story(request, InPrefect(), actor_of(request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
