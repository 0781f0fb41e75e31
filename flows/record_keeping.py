"""Record keeping: the heads of the journal are noted outside the database, and personal data goes at its date."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from pydantic import BaseModel, ConfigDict, Field

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.requests import Actor
from flows import presentation
from flows.actors import BY_CLOCK, actor_of
from flows.onboarding import give_up
from tasks import onboarding as stages
from tasks import record_keeping
from tasks.stage import InPrefect, Run

HEADS, RETENTION = "journal-heads", "retention"


class RetentionRequest(BaseModel):
    """How long personal data is kept. Who did what, when and with what result stays, and stays provable."""

    model_config = ConfigDict(extra="forbid")

    keep_days: int | None = Field(
        None, ge=1, title="Days to keep", description="Older personal data is erased. Empty: as the settings say."
    )
    dry_run: bool = Field(False, title="Dry run", description="Only count what would be erased.")
    requested_by: str = Field("schedule", title="Requested by", description="Who asks for it. Recorded as unverified.")


def story(request: RetentionRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Erase what is due, or count it. Raises InputRefused or ConnectorError."""
    asked = request.model_dump(mode="json")
    request_id = run(stages.open_request, RETENTION, actor, asked, presentation.flow_run_id())
    try:
        found = run(record_keeping.erase, request_id, request.keep_days, dry_run=request.dry_run)
    except (InputRefused, ConnectorError) as error:
        give_up(RETENTION, run, request_id, error)
        raise
    summary = {"request_id": request_id, "dry_run": request.dry_run, **found}
    run(record_keeping.close, request_id, summary)
    presentation.show_summary(RETENTION, summary)
    return summary


@flow(name=RETENTION, flow_run_name=RETENTION, persist_result=False, validate_parameters=True)
def retain(request: RetentionRequest) -> dict[str, Any] | State[Any]:
    """Erase personal data whose date has come; the proof of the record stays intact."""
    try:
        return story(request, InPrefect(), actor_of(request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))


def heads_story(run: Run, actor: Actor) -> dict[str, Any]:
    """Note the heads and record that. Raises InputRefused or ConnectorError."""
    request_id = run(stages.open_request, HEADS, actor, {}, presentation.flow_run_id())
    try:
        noted = run(record_keeping.export_heads)
    except (InputRefused, ConnectorError) as error:
        give_up(HEADS, run, request_id, error)
        raise
    summary = {"request_id": request_id, **noted}
    run(record_keeping.close, request_id, summary)
    return summary


@flow(name=HEADS, flow_run_name=HEADS, persist_result=False)
def export_heads() -> dict[str, Any] | State[Any]:
    """Note the heads of the journal in a file outside the database; a cut at the end shows only against it."""
    try:
        return heads_story(InPrefect(), actor_of(BY_CLOCK))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
