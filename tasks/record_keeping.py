"""The stages that keep the record: export its heads outside the database, and erase personal data at its date."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from engine import audit_heads, batch_alerts, requests, retention
from engine import reconcile as engine_reconcile
from engine.runtime import utc_now
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import open_work


@stage(READ)
def export_heads() -> dict[str, Any]:
    """Append the heads of the journal's chains to the file that the settings name."""
    with open_work() as work, work.database.read() as connection:
        file = work.settings.audit.heads_file
        line = audit_heads.export_heads(connection, file, utc_now())
    return {"file": str(file), "manifest": line["manifest"], "unsealed_streams": len(line["streams"])}


@stage(READ)
def erase(request_id: str, keep_days: int | None, *, dry_run: bool) -> dict[str, Any]:
    """Erase what is older than the site keeps, or count it; gives the moment and how much of each."""
    with open_work() as work:
        now = utc_now()
        days = keep_days or work.settings.audit.keep_days
        until = now - timedelta(days=days)
        if dry_run:
            with work.database.read() as connection:
                found = retention.due(connection, until)
        else:
            reason = f"personal data is kept for {days} days"
            found = retention.erase(work.database, until, request_id=request_id, reason=reason, now=now)
    return {"until": until.isoformat(), "counts": found}


@stage(READ)
def close(request_id: str, summary: dict[str, Any]) -> dict[str, Any]:
    """Close a request with what came of it; gives its summary with what was noted on the way."""
    with open_work() as work, work.database.write() as connection:
        return requests.close_request(connection, request_id, "finished", summary, utc_now())


@stage(READ)
def reconcile(request_id: str, continued: list[str]) -> dict[str, int]:
    """Bring what dead processes left behind to a truthful state, after the plans with something due were continued."""
    with open_work() as work, work.runtime() as runtime:
        found = engine_reconcile.reconcile(runtime, request_id)
        with work.database.write() as connection:
            batch_alerts.note(connection, request_id, continued)
    return found
