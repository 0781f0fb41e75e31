"""Migration: the waves of a batch move to Teams, a plan each; a batch is examined before, a wave can be taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from config.errors import InputRefused
from connectors.errors import ConnectorError, Retryable
from datasets.batch_steps import Act, spoken
from engine.approvals import ApprovalMissing
from engine.leases import LeaseHeld
from engine.requests import Actor
from flows import acting, batch_views, presentation
from flows.onboarding import give_up
from tasks import batch_preflight, onboarding
from tasks import batches as stages
from tasks.policy_waves import policies_are_due
from tasks.stage import Run
from tasks.work import systems_open

RUN, ADVANCE, PREFLIGHT, UNDO = "batch-run", "batch-advance", "batch-preflight", "batch-undo"
# As many chunks at once as a batch may want; each batch has its own, smaller, concurrency.
AT_ONCE: Any = ThreadPoolTaskRunner(max_workers=40)
_MORE_VISITS = 2  # one to start operations for the last users, one for those who then get policies on their own
BATCH = Field(title="Batch", description="Name or id of the batch.", min_length=1)
ASKED_BY = Field(acting.BY_HAND, title="Requested by", description="Who asks for it. Recorded as unverified.")


class BatchRequest(acting.ActRequest):
    """Which batch, and whether to stop after the plan of its next wave."""

    batch: str = BATCH
    requested_by: str = ASKED_BY


class PreflightRequest(acting.ActRequest):
    """Which batch is examined. Nothing outside is changed, so that *dry run* makes no difference."""

    batch: str = BATCH
    file: str = Field("", title="File", description="CSV or XLSX file for the whole list. Empty: one in reports.")
    requested_by: str = ASKED_BY


class AdvanceRequest(acting.ActRequest):
    """Nothing has to be chosen: every batch that was started, and is not paused, goes on."""


class UndoRequest(acting.ActRequest):
    """Which wave goes back to Skype for Business."""

    batch: str = BATCH
    wave: int = Field(1, ge=1, title="Wave", description="Which wave; `batch show` lists them.")
    dry_run: bool = Field(True, title="Dry run", description="Stop after the plan; nothing outside is changed.")
    requested_by: str = ASKED_BY


def run_story(request: BatchRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Move the waves that may be moved now. Raises InputRefused or ConnectorError once the request says why."""
    asked = request.model_dump(mode="json")
    request_id = run(onboarding.open_request, RUN, actor, asked, presentation.flow_run_id())
    try:
        known = stages.known if request.dry_run else stages.begin
        return advance(request_id, run(known, request.batch), run, dry_run=request.dry_run)
    except (InputRefused, ConnectorError) as error:
        give_up(RUN, run, request_id, error)
        raise


def advance(
    request_id: str, batch_id: str, run: Run, *, dry_run: bool = False, retried_only: bool = False
) -> dict[str, Any]:
    """Plan and apply wave after wave until there is nothing to do now, and tell how the batch stands.

    With `retried_only` these are the waves of those who are tried again, and no others.
    """
    errors: list[Exception] = []
    with systems_open():
        if dry_run:
            tried = _plan_only(request_id, batch_id, run, errors, retried_only=retried_only)
        else:
            tried = _go_on(request_id, batch_id, run, errors, retried_only=retried_only)
    stopped = _stopped(errors)
    if dry_run and tried and (waits_for := run(stages.approval_missing, tried[0])):
        stopped = {"needs_approval": waits_for}
    summary = run(stages.record, request_id, batch_id, tried, stopped)
    batch_views.show_standing(RUN, summary, run(stages.troubles, batch_id))
    batch_views.show_checklists(RUN, summary["batch"], run(stages.checklist, batch_id))
    return summary


def _stopped(errors: Sequence[Exception]) -> dict[str, str]:
    """Say what stood in the way of a run."""
    missing = next((error for error in errors if isinstance(error, ApprovalMissing)), None)
    if missing is not None:
        return {"needs_approval": str(missing)}
    more = "the batch goes on with the next ./callwright batch run, or its schedule"
    return {"interrupted": f"{errors[0]} ; {more}"} if errors else {}


def _go_on(request_id: str, batch_id: str, run: Run, errors: list[Exception], *, retried_only: bool) -> list[str]:
    tried: list[str] = []
    while not errors:
        step = run(stages.next_step, batch_id, tried, retried_only=retried_only)
        if step.act is Act.PLAN and step.wave is not None:
            errors += _plan_on(request_id, batch_id, step.wave, run, is_first=not tried)
        elif step.act is Act.APPLY and step.plan_id is not None:
            tried.append(step.plan_id)
            errors += apply_wave(batch_id, step.plan_id, run)
        else:
            break
    return tried


def _plan_on(request_id: str, batch_id: str, wave: int, run: Run, *, is_first: bool) -> list[Exception]:
    """Plan a wave of a run; what the run did before is recorded, whatever keeps it from planning."""
    try:
        _plan(request_id, batch_id, wave, run)
    except (InputRefused, ConnectorError) as error:
        if is_first and not isinstance(error, Retryable):
            raise
        return [error]
    return []


def _plan_only(request_id: str, batch_id: str, run: Run, errors: list[Exception], *, retried_only: bool) -> list[str]:
    """Plan the next wave that has no plan, so that it can be read and approved before it is its turn.

    A run that is planning it already is no failure: this one gives way, and says so.
    """
    wave = run(stages.wave_to_plan, batch_id, retried_only=retried_only)
    try:
        return [] if wave is None else [_plan(request_id, batch_id, wave, run)]
    except LeaseHeld as held:
        errors.append(held)
        return []


def _plan(request_id: str, batch_id: str, wave: int, run: Run) -> str:
    plan_id = run(stages.plan, request_id, batch_id, wave)
    batch_views.show_plan(run(stages.name_of, batch_id), wave, plan_id, run(stages.show_plan, plan_id))
    return plan_id


def apply_wave(batch_id: str, plan_id: str, run: Run) -> list[Exception]:
    """Apply what is due of a wave, then what users who were moved get together; operations are not waited for."""
    errors = _apply_due(batch_id, plan_id, run)
    for _ in range(_MORE_VISITS):
        if errors or not run(policies_are_due, plan_id):
            break
        errors = _apply_due(batch_id, plan_id, run)
    return errors


def _apply_due(batch_id: str, plan_id: str, run: Run) -> list[Exception]:
    """Apply what is due, chunk by chunk without barriers; stops at once when the batch is held."""
    try:
        chunks = run(stages.cut, batch_id, plan_id)
    except ApprovalMissing as missing:
        return [missing]
    if not chunks:
        return []
    counts = run(stages.counted, batch_id)
    progress, errors = batch_views.BatchProgress(RUN, counts), list[Exception]()
    for result in run.some(stages.move, _until_error(chunks, errors), run(stages.at_once, batch_id)):
        if isinstance(result, Exception):
            errors.append(result)
            continue
        presentation.tell_chunk_applied(plan_id, "", result["states"])
        progress.show(result["counts"])
        if result["held"]:
            chunks.clear()
    return errors


def _until_error(
    chunks: list[tuple[str, str, int, int]], errors: list[Exception]
) -> Iterator[tuple[str, str, int, int]]:
    """Give chunk after chunk, none once the batch is held or a system failed."""
    while chunks and not errors:
        yield chunks.pop(0)


def advance_story(request: AdvanceRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Go on with every batch that was started. Raises InputRefused or ConnectorError."""
    asked = request.model_dump(mode="json")
    of_all = run(onboarding.open_request, ADVANCE, actor, asked, presentation.flow_run_id())
    told = []
    try:
        going = run(stages.in_progress)
    except (InputRefused, ConnectorError) as error:
        give_up(ADVANCE, run, of_all, error)
        raise
    for batch_id in going:
        parameters = asked | {"batch": batch_id}
        request_id = run(onboarding.open_request, ADVANCE, actor, parameters, None)  # each batch is one of its own
        try:
            told.append(advance(request_id, batch_id, run, dry_run=request.dry_run))
        except (InputRefused, ConnectorError) as error:
            give_up(ADVANCE, run, request_id, error)
            told.append({"request_id": request_id, "batch": batch_id, "state": "interrupted", "why": str(error)})
    return run(stages.close, of_all, {"request_id": of_all, "batches": told})


def preflight_story(request: PreflightRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Examine a batch and report. Raises InputRefused or ConnectorError once the request says why."""
    asked = request.model_dump(mode="json")
    request_id = run(onboarding.open_request, PREFLIGHT, actor, asked, presentation.flow_run_id())
    try:
        return examine(request_id, request.batch, request.file, run)
    except (InputRefused, ConnectorError) as error:
        give_up(PREFLIGHT, run, request_id, error)
        raise


def examine(request_id: str, batch: str, file: str, run: Run) -> dict[str, Any]:
    """Examine a batch and show what was found."""
    found = run(batch_preflight.preflight, batch, file)
    summary = run(stages.close, request_id, found)
    batch_views.show_preflight(summary)
    told = f"Batch {found['batch']}: about {spoken(found['eta_s'])} with {found['sessions']} sessions."
    presentation.show_summary(PREFLIGHT, {"request_id": request_id, "counts": found["counts"], "message": told})
    return summary


def undo_story(request: UndoRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Plan to take a wave back and, unless it is a dry run, do it. Raises InputRefused or ConnectorError."""

    def plan(request_id: str) -> str:
        plan_id = run(stages.undo, request_id, request.batch, request.wave)
        batch_views.show_undo(request.batch, request.wave, plan_id, run(stages.show_plan, plan_id))
        return plan_id

    return acting.act(UNDO, request, run, actor, plan)[0]


@flow(name=RUN, task_runner=AT_ONCE, flow_run_name="{request.batch}", persist_result=False, validate_parameters=True)
def run_batch(request: BatchRequest) -> dict[str, Any] | State[Any]:
    """Move a batch of users to Teams, wave by wave."""
    return acting.in_prefect(run_story, request)


@flow(name=ADVANCE, task_runner=AT_ONCE, flow_run_name=ADVANCE, persist_result=False, validate_parameters=True)
def advance_batches(request: AdvanceRequest) -> dict[str, Any] | State[Any]:
    """Go on with every batch that was started: what waited, the next wave, the window that opened."""
    return acting.in_prefect(advance_story, request)


@flow(name=PREFLIGHT, flow_run_name="{request.batch}", persist_result=False, validate_parameters=True)
def examine_batch(request: PreflightRequest) -> dict[str, Any] | State[Any]:
    """Find out what stands in the way of each user of a batch."""
    return acting.in_prefect(preflight_story, request)


@flow(name=UNDO, task_runner=AT_ONCE, flow_run_name="{request.batch}", persist_result=False, validate_parameters=True)
def undo_wave(request: UndoRequest) -> dict[str, Any] | State[Any]:
    """Take a wave back to Skype for Business, with numbers and policies."""
    return acting.in_prefect(undo_story, request)
