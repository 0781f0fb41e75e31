"""Batches: who moves to Teams and how, made from one form; paused, resumed, cancelled, tried again where it failed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.errors import InputRefused
from config.site_names import LICENCE, LOCATION, POOL, policy_choice
from config.site_pools import PoolType
from config.toml_files import refusal
from connectors.errors import ConnectorError
from datasets.batches import BatchNumbers, BatchOptions, EmergencyGate, PolicyBatches
from engine.batch_sources import Source, SourceKind
from engine.requests import Actor
from flows import acting, batch_views, migration, presentation
from flows.choices import choice
from flows.migration import ASKED_BY, AT_ONCE, BATCH
from flows.onboarding import give_up
from tasks import batches as stages
from tasks import onboarding
from tasks.stage import Run

CREATE, CONTROL, RETRY = "batch-create", "batch-control", "batch-retry"


class Then(StrEnum):
    """What happens once the batch is made."""

    PREFLIGHT = "preflight"
    PLAN = "plan the first wave"
    LAUNCH = "launch"
    NOTHING = "nothing"


def _policy(kind: str, title: str, description: str) -> Any:
    return Field("", title=title, description=description, json_schema_extra=choice(policy_choice(kind)))


class Policies(BaseModel):
    """Policies by name. Empty leaves a policy as it is, `Global` gives the user back to the group's or global one."""

    model_config = ConfigDict(extra="forbid")

    dial_plan: str = _policy("TenantDialPlan", "Dial plan", "Name of a tenant dial plan.")
    voice_routing: str = _policy("OnlineVoiceRoutingPolicy", "Voice routing", "Name of a voice routing policy.")
    calling: str = _policy("TeamsCallingPolicy", "Calling", "Name of a calling policy.")
    caller_id: str = _policy("CallingLineIdentity", "Caller id", "Name of a caller id policy.")
    emergency_calling: str = _policy(
        "TeamsEmergencyCallingPolicy", "Emergency calling", "Name of an emergency calling policy."
    )
    emergency_routing: str = _policy(
        "TeamsEmergencyCallRoutingPolicy", "Emergency routing", "Name of an emergency call routing policy."
    )


TYPES = {
    "dial_plan": "TenantDialPlan",
    "voice_routing": "OnlineVoiceRoutingPolicy",
    "calling": "TeamsCallingPolicy",
    "caller_id": "CallingLineIdentity",
    "emergency_calling": "TeamsEmergencyCallingPolicy",
    "emergency_routing": "TeamsEmergencyCallRoutingPolicy",
}


class CreateRequest(BaseModel):
    """Who moves to Teams, with which number and policies, and in which waves."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(title="Name", description="A name for the batch, used wherever it is meant.", min_length=1)
    users_from: SourceKind = Field(SourceKind.FILTER, title="Users from", description="What the next field names.")
    users: str = Field(
        title="Users",
        description="A text to search for, a saved filter, a CSV or XLSX file, a group, or up to 500 users.",
        min_length=1,
    )
    then: Then = Field(Then.PREFLIGHT, title="Then", description="What happens once the batch is made.")
    numbers: BatchNumbers = Field(BatchNumbers.KEEP, title="Numbers", description="Where the numbers come from.")
    pool: str = Field(
        "",
        title="Pool",
        description="Where NumberRange takes from; other sources must lie in it.",
        json_schema_extra=choice(POOL),
    )
    number_type: PoolType = Field("directRouting", title="Number type", description="Of numbers that are in no pool.")
    licences: list[str] = Field(
        [],
        title="Licences",
        description="SKU part numbers to assign where they are missing.",
        json_schema_extra=choice(LICENCE),
    )
    policies: Policies = Field(Policies(), title="Policies", description="Policies that every user of the batch gets.")
    other_policies: list[str] = Field(
        [], title="Other policies", description="TYPE=NAME, such as TeamsCallParkPolicy=Reception."
    )
    policy_batches: PolicyBatches = Field(
        PolicyBatches.AUTO,
        title="Policies together",
        description="auto: one operation gives a policy to many users; never: user by user.",
    )
    emergency_location: str = Field(
        "",
        title="Emergency location",
        description="Id or description of a location.",
        json_schema_extra=choice(LOCATION),
    )
    emergency_gate: EmergencyGate = Field(
        EmergencyGate.BLOCK,
        title="Emergency readiness",
        description="block: nobody moves without emergency location or routing policy; warn: they are told.",
    )
    write_back: list[Literal["telephoneNumber", "ipPhone"]] = Field(
        [], title="Write back", description="Directory attributes that receive the number."
    )
    wave_size: int = Field(500, ge=1, le=5000, title="Wave size", description="Users in a wave.")
    canary_size: int = Field(10, ge=0, le=5000, title="Canary", description="Users of a first wave that goes alone.")
    error_budget_percent: float = Field(
        5.0,
        gt=0,
        le=100,
        title="Error budget",
        description="The batch pauses when more of a wave than this fails, in %.",
    )
    concurrency: int = Field(3, ge=1, le=20, title="At once", description="Sessions of the servers to be kept busy.")
    window_start: str = Field("", title="Window opens", description="Such as 2026-03-07T20:00:00+01:00; empty: now.")
    window_end: str = Field("", title="Window ends", description="Nothing is begun afterwards. Empty: it never does.")
    requested_by: str = ASKED_BY

    def options(self) -> BatchOptions:
        """Give the options that were chosen. Raises InputRefused for those that do not fit together."""
        chosen = {kind: getattr(self.policies, field) for field, kind in TYPES.items() if getattr(self.policies, field)}
        chosen |= dict(map(policy, self.other_policies))
        return options_of(
            {
                **self.model_dump(include=set(BatchOptions.model_fields) - {"policies"}),
                "pool": self.pool or None,
                "emergency_location": self.emergency_location or None,
                "policies": chosen,
                "window_start": moment(self.window_start),
                "window_end": moment(self.window_end),
            }
        )


def options_of(values: dict[str, Any]) -> BatchOptions:
    """Make options of values; `Global` as a policy's name means the group's or the global one. Raises InputRefused."""
    policies = {kind: None if name.casefold() == "global" else name for kind, name in values["policies"].items()}
    try:
        return BatchOptions.model_validate(values | {"policies": policies})
    except ValidationError as error:
        said = refusal(error, BatchOptions, where="batch")
        raise InputRefused(said.what, where="batch", remedy=said.remedy or "correct the options") from error


def policy(text: str) -> tuple[str, str]:
    """Read a policy as people write it. Raises InputRefused."""
    kind, _, name = (part.strip() for part in text.partition("="))
    if not kind or not name:
        raise InputRefused(f"{text} is no policy", where="policy", remedy="write it like TenantDialPlan=AT")
    return kind, name


def moment(text: str) -> datetime | None:
    """Read a moment with a time zone; None for nothing. Raises InputRefused."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputRefused(f"{text} is no moment", remedy="write it like 2026-03-07T20:00:00+01:00") from error
    if found.tzinfo is None:
        raise InputRefused(f"{text} has no time zone", remedy="add one, such as +01:00 or Z")
    return found


class ControlAct(StrEnum):
    """What to do with a batch."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


class ControlRequest(BaseModel):
    """Pause: nothing begins any more, what has begun is finished. Resume: it goes on. Cancel: it ends."""

    model_config = ConfigDict(extra="forbid")

    batch: str = BATCH
    act: ControlAct = Field(ControlAct.PAUSE, title="Act", description="Pause, resume or cancel.")
    reason: str = Field("", title="Reason", description="Why; shown with the batch.")
    window_start: str = Field("", title="Window opens", description="On resume: another window. A new batch stays new.")
    window_end: str = Field("", title="Window ends", description="On resume: another end. Empty: as it is.")
    requested_by: str = ASKED_BY


class RetryRequest(acting.ActRequest):
    """Who failed or was refused is tried again, canary first; everybody else is left alone, and paused if they were."""

    batch: str = BATCH
    wave: int = Field(0, ge=0, title="Wave", description="Only those of this wave; 0: of all.")
    requested_by: str = ASKED_BY


def create_story(request: CreateRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Make a batch, then examine, plan or launch it. Raises InputRefused or ConnectorError."""
    asked = request.model_dump(mode="json") | {"users": request.users[:200]}
    request_id = run(onboarding.open_request, CREATE, actor, asked, presentation.flow_run_id())
    try:
        source, options = Source(request.users_from, request.users), request.options().model_dump(mode="json")
        batch_id = run(stages.create, request_id, request.name, source, options, actor.name)
        return _go_on(request_id, batch_id, request.then, run)
    except (InputRefused, ConnectorError) as error:
        give_up(CREATE, run, request_id, error)
        raise


def _go_on(request_id: str, batch_id: str, then: Then, run: Run) -> dict[str, Any]:
    """Do what is wanted with a new batch."""
    match then:
        case Then.NOTHING:
            return told(request_id, batch_id, run, CREATE)
        case Then.PREFLIGHT:
            return migration.examine(request_id, batch_id, "", run)
        case Then.LAUNCH:
            run(stages.begin, batch_id)
    return migration.advance(request_id, batch_id, run, dry_run=then is Then.PLAN)


def told(request_id: str, batch_id: str, run: Run, kind: str) -> dict[str, Any]:
    """Record and show how a batch stands."""
    summary = run(stages.record, request_id, batch_id, [], {})
    batch_views.show_standing(kind, summary, run(stages.troubles, batch_id))
    return summary


def control_story(request: ControlRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Pause, resume or cancel a batch; a resumed one goes on at once. Raises InputRefused or ConnectorError."""
    asked = request.model_dump(mode="json")
    request_id = run(onboarding.open_request, CONTROL, actor, asked, presentation.flow_run_id())
    try:
        window = moment(request.window_start), moment(request.window_end)
        done = run(stages.control, request_id, request.batch, request.act.value, request.reason, *window)
        if request.act is ControlAct.RESUME:
            return migration.advance(request_id, done["batch_id"], run)
        return told(request_id, done["batch_id"], run, CONTROL)
    except (InputRefused, ConnectorError) as error:
        give_up(CONTROL, run, request_id, error)
        raise


def retry_story(request: RetryRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Give those who failed waves of their own and move these. Raises InputRefused or ConnectorError."""
    asked = request.model_dump(mode="json")
    request_id = run(onboarding.open_request, RETRY, actor, asked, presentation.flow_run_id())
    try:
        batch_id = run(stages.retry, request.batch, request.wave or None, dry_run=request.dry_run)
        return migration.advance(request_id, batch_id, run, dry_run=request.dry_run, retried_only=True)
    except (InputRefused, ConnectorError) as error:
        give_up(RETRY, run, request_id, error)
        raise


@flow(name=CREATE, task_runner=AT_ONCE, flow_run_name="{request.name}", persist_result=False, validate_parameters=True)
def create_batch(request: CreateRequest) -> dict[str, Any] | State[Any]:
    """Make a batch of users who move to Teams, and examine, plan or launch it."""
    return acting.in_prefect(create_story, request)


@flow(
    name=CONTROL,
    task_runner=AT_ONCE,
    flow_run_name="{request.act} {request.batch}",
    persist_result=False,
    validate_parameters=True,
)
def control_batch(request: ControlRequest) -> dict[str, Any] | State[Any]:
    """Pause, resume or cancel a batch."""
    return acting.in_prefect(control_story, request)


@flow(name=RETRY, task_runner=AT_ONCE, flow_run_name="{request.batch}", persist_result=False, validate_parameters=True)
def retry_batch(request: RetryRequest) -> dict[str, Any] | State[Any]:
    """Try again for those of a batch for whom it failed, and for nobody else."""
    return acting.in_prefect(retry_story, request)
