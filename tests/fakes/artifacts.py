"""What a flow run shows on the Prefect pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def artifacts_of(client: SyncPrefectClient, run_id: str) -> dict[str, Any]:
    """Give the artifacts of a run by their keys."""
    which = {"artifacts": {"flow_run_id": {"any_": [run_id]}}}
    return {each["key"]: each for each in client.request("POST", "/artifacts/filter", json=which).json()}
