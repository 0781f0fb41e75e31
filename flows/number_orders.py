"""Bulk orders: Direct Routing numbers are uploaded into Teams' inventory, or released from it."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from datasets.number_orders import OrderKind
from engine.requests import Actor
from flows import acting
from flows.onboarding import AT_ONCE
from tasks import numbering
from tasks.stage import Run

KIND = "number-orders"


class OrderRequest(acting.ActRequest):
    """What is ordered: every number of a pool, or a part of its range. Orders are planned first."""

    kind: OrderKind = Field("upload", title="Order", description="Upload into Teams' inventory, or release from it.")
    pool: str | None = Field(None, title="Pool", description="Every number of this pool.")
    start: str | None = Field(None, title="First number", description="Or a part: from this number …")
    end: str | None = Field(None, title="Last number", description="… to this one.")
    dry_run: bool = Field(True, title="Dry run", description="Plan the orders only; nothing is sent.")
    requested_by: str = Field(acting.BY_HAND, title="Requested by", description="Who asks for it; unverified.")


def story(request: OrderRequest, run: Run, actor: Actor) -> dict[str, Any]:
    """Plan the orders, place them, wait for their end, record. Raises InputRefused or ConnectorError."""

    def plan(request_id: str) -> str:
        return run(numbering.plan_order, request_id, request.kind, request.pool, request.start, request.end)

    return acting.act(KIND, request, run, actor, plan)[0]


@flow(name=KIND, task_runner=AT_ONCE, flow_run_name=KIND, persist_result=False, validate_parameters=True)
def order(request: OrderRequest) -> dict[str, Any] | State[Any]:
    """Upload Direct Routing numbers into Teams' inventory, or release them from it."""
    return acting.in_prefect(story, request)
