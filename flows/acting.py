"""What flows that plan and apply have in common: a request that always says why it ended, a dry run that stops in time.

No flow of its own; `flows/onboarding.py` has the parts that it builds on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from prefect.client.schemas.objects import State
from prefect.states import Failed
from pydantic import BaseModel, ConfigDict, Field

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.requests import Actor
from flows import presentation
from flows.actors import BY_CLOCK, BY_HAND, actor_of
from flows.onboarding import apply_plan, give_up, told
from tasks import onboarding as stages
from tasks.stage import InPrefect, Run

__all__ = ["BY_CLOCK", "BY_HAND", "ActRequest", "act", "in_prefect"]


class ActRequest(BaseModel):
    """What every act is told."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(False, title="Dry run", description="Stop after the plan; nothing is changed.")
    requested_by: str = Field(BY_CLOCK, title="Requested by", description="Who asks for it. Recorded as unverified.")


class Story(Protocol):
    """The page an administrator would read: from a request to its summary."""

    def __call__(self, request: Any, run: Run, actor: Actor) -> dict[str, Any]:
        """Raises InputRefused or ConnectorError once the request says why."""


def act(
    kind: str, request: ActRequest, run: Run, actor: Actor, plan: Callable[[str], str]
) -> tuple[dict[str, Any], str]:
    """Open the request, plan, apply unless it is a dry run, record; gives the summary and the plan's id.

    Raises InputRefused or ConnectorError once the request says why.
    """
    asked = request.model_dump(mode="json")
    request_id = run(stages.open_request, kind, actor, asked, presentation.flow_run_id())
    try:
        plan_id = plan(request_id)
        errors = [] if request.dry_run else apply_plan(plan_id, run, kind)
        summary = run(stages.record, request_id, None, [plan_id])
    except (InputRefused, ConnectorError) as error:
        give_up(kind, run, request_id, error)
        raise
    return told(kind, run, summary, [plan_id], errors), plan_id


class Asked(Protocol):
    """A request that says who asks."""

    @property
    def requested_by(self) -> str:
        """Give the name."""


def in_prefect(story: Story, request: Asked) -> dict[str, Any] | State[Any]:
    """Tell a story as a flow run; an error that is understood ends it in one line."""
    try:
        return story(request, InPrefect(), actor_of(request.requested_by))
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
