"""Cache sync: what the outside systems show is kept, so that people can be found at once and changes seen at night."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import BaseModel, ConfigDict, Field

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.requests import Actor
from flows import presentation
from flows.actors import actor_of
from flows.onboarding import give_up
from tasks import cache as stages
from tasks import onboarding
from tasks.stage import InPrefect, Run

KIND = "cache-sync"


class CacheSyncRequest(BaseModel):
    """What to read: everything that changed, everything there is, or only whom Callwright changed itself."""

    model_config = ConfigDict(extra="forbid")

    full: bool = Field(
        False, title="Full", description="Read every user again instead of those that changed since the last sync."
    )
    only_touched: bool = Field(
        False, title="Only touched", description="Read only the users whom Callwright changed since the last look."
    )
    requested_by: str = Field(
        "prefect-ui", title="Requested by", description="Who asks for it. Recorded as unverified."
    )


def story(request: CacheSyncRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Read, compare, write what differs, record. Raises InputRefused or ConnectorError once the request says why."""
    asked = request.model_dump(mode="json")
    request_id = run(onboarding.open_request, KIND, actor, asked, presentation.flow_run_id())
    try:
        if request.only_touched:
            return run(stages.sync_touched, request_id)
        return run(stages.sync_everything, request_id, full=request.full)
    except (InputRefused, ConnectorError) as error:
        give_up(KIND, run, request_id, error)
        raise


def degraded(summary: dict[str, Any]) -> str:
    """Say in one line which sources could not be read or were not believed; empty when all were."""
    sources = summary["sources"]
    return " ; ".join(f"{name}: {sources[name]['trouble']}" for name in summary["degraded"])


@flow(name=KIND, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def sync_cache(request: CacheSyncRequest) -> dict[str, Any] | State[Any]:
    """Bring the cache of users, licences, numbers, policies and directory accounts up to date."""
    try:
        summary = story(request, InPrefect(), actor_of(request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
    presentation.show_sources(KIND, summary)
    return Completed(name="Degraded", message=degraded(summary)) if summary["degraded"] else summary
