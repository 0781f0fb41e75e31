"""How full the pools are, on the Prefect page every morning, with an alert for each pool that runs low."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from config.errors import InputRefused
from connectors.errors import ConnectorError
from flows import presentation
from tasks import number_usage
from tasks.stage import InPrefect, Run

USAGE = "number-usage"


def story(run: Run) -> dict[str, Any]:
    """Look, keep the alerts true, and show. Raises InputRefused or ConnectorError."""
    found = run(number_usage.look)
    presentation.show_drawing(USAGE, found["drawing"], f"{found['pools']} pools, {len(found['low'])} run low.")
    return {name: found[name] for name in ("pools", "low")}


@flow(name=USAGE, flow_run_name=USAGE, persist_result=False)
def show_usage() -> dict[str, Any] | State[Any]:
    """Show how full every pool is, and raise or clear the alert of those that run low."""
    try:
        return story(InPrefect())
    except (InputRefused, ConnectorError) as error:
        return Failed(message=str(error))
