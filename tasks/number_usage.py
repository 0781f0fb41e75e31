"""The stage that looks how full the pools are and raises or clears the alerts of those that run low."""

from __future__ import annotations

from typing import Any

from datasets.number_usage import markdown
from engine import inventory_usage
from engine.runtime import utc_now
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import open_work


@stage(READ)
def look(request_id: str) -> dict[str, Any]:
    """Count every pool, keep the alerts of low stock true, and draw what was found; gives rows and drawing."""
    with open_work() as work, work.database.write() as connection:
        limits = work.settings.stock
        low = inventory_usage.check_stock(
            connection,
            low_percent=limits.low_percent,
            low_count=limits.low_count,
            now=utc_now(),
            request_id=request_id,
        )
        rows = inventory_usage.usage(connection)
    return {"pools": len(rows), "low": [row.group for row in low], "drawing": markdown(rows)}
