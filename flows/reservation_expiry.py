"""Reservation expiry: numbers that were kept back until a moment are free again from that moment on."""

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

KIND = "reservation-expiry"


class ExpiryRequest(acting.ActRequest):
    """Nothing has to be chosen: exactly the reservations whose time is over end."""


def story(request: ExpiryRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Read what is over, plan, apply, record. Raises InputRefused or ConnectorError."""
    summary, _ = acting.act(
        KIND, request, run, actor, lambda request_id: run(numbering.plan_endings, request_id, NumberState.RESERVED)
    )
    return summary


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def release_expired(request: ExpiryRequest) -> dict[str, Any] | State[Any]:
    """Give back every reserved number whose time ran out."""
    return acting.in_prefect(story, request)
