"""The whole life of people: joiners, movers and leavers of one feed in one run, and the steps that fall due later."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from pydantic import Field

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.requests import Actor
from flows import acting, onboarding, presentation
from flows.actors import actor_of
from flows.onboarding import AT_ONCE, apply_plan, give_up, told
from tasks import lifecycle
from tasks import onboarding as stages
from tasks.stage import InPrefect, Run

KIND, STEPS, DELETION = lifecycle.KIND, "leaver-steps", "user-deletion"


class LifecycleRequest(onboarding.OnboardingRequest):
    """The feed whose people join, move, go on leave, come back and leave."""

    @property
    def called(self) -> str:
        """Give the name of the run on the Prefect pages."""
        return f"{'dry run' if self.dry_run else KIND} of {Path(self.feed).name}"


class StepsRequest(acting.ActRequest):
    """Nothing has to be chosen: everything that is due today is done."""


class DeletionRequest(acting.ActRequest):
    """Whom to delete from which systems. Disabled now, deleted after the days; the form opens as a dry run."""

    user: str = Field(title="User", description="User principal name or object id.")
    targets: list[Literal["skype", "ad", "entra", "all"]] = Field(
        title="From", description="Systems to delete from; what is not named keeps the user.", min_length=1
    )
    after_days: int = Field(30, ge=1, le=365, title="Days", description="Days between disabling and deleting.")
    confirm: str = Field(title="Confirm", description="Type the user's name again.")
    dry_run: bool = Field(True, title="Dry run", description="Stop after the plan; nothing is changed.")
    requested_by: str = Field(acting.BY_HAND, title="Requested by", description="Who asks for it; unverified.")


def story(request: LifecycleRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Read, check, plan, apply, record. Raises InputRefused or ConnectorError once the request says why."""
    return onboarding.of_feed(KIND, request, run, actor, lifecycle.plan_lifecycle)


def steps_story(request: StepsRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Plan what is due, apply, record. Raises InputRefused or ConnectorError once the request says why."""
    asked = request.model_dump(mode="json")
    request_id = run(stages.open_request, STEPS, actor, asked, presentation.flow_run_id())
    try:
        plan_ids = run(lifecycle.plan_steps, request_id)
        errors = [] if request.dry_run else [error for each in plan_ids for error in apply_plan(each, run, STEPS)]
        summary = run(stages.record, request_id, None, plan_ids)
    except (InputRefused, ConnectorError) as error:
        give_up(STEPS, run, request_id, error)
        raise
    return told(STEPS, run, summary, plan_ids, errors)


def deletion_story(request: DeletionRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Plan the first step, apply, record. Raises InputRefused or ConnectorError."""

    def plan(request_id: str) -> str:
        if request.confirm.casefold() != request.user.casefold():
            what = f"{request.confirm!r} is not {request.user}"
            raise InputRefused(what, where="confirm", remedy="type the user's name again")
        targets, dry_run = [str(each) for each in request.targets], request.dry_run
        return run(lifecycle.plan_deletion, request_id, request.user, targets, request.after_days, dry_run=dry_run)

    return acting.act(DELETION, request, run, actor, plan)[0]


@flow(
    name=KIND,
    task_runner=AT_ONCE,
    flow_run_name="{request.called}",
    persist_result=False,
    validate_parameters=True,
)
def live(request: LifecycleRequest) -> dict[str, Any] | State[Any]:
    """Carry out what a feed says of joiners, movers and leavers."""
    try:
        return story(request, InPrefect(), actor_of(request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))


@flow(name=STEPS, task_runner=AT_ONCE, flow_run_name=STEPS, persist_result=False, validate_parameters=True)
def take_steps(request: StepsRequest) -> dict[str, Any] | State[Any]:
    """Take the steps that are due today for everybody who leaves or is being deleted."""
    return acting.in_prefect(steps_story, request)


@flow(name=DELETION, task_runner=AT_ONCE, flow_run_name=DELETION, persist_result=False, validate_parameters=True)
def delete(request: DeletionRequest) -> dict[str, Any] | State[Any]:
    """Disable a user now, and delete them from the named systems after some days."""
    return acting.in_prefect(deletion_story, request)
