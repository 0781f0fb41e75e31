"""The stages of drift: compare and plan, ask what the site allows, and keep the report."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from pydantic import JsonValue

from config.errors import InputRefused
from connectors import sheets
from engine import drift, requests
from engine.drift import Difference
from engine.drift_run import plan_drift
from engine.runtime import utc_now
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import open_work

_CAUSE = "drift"
COLUMNS = ("label", "template", "attribute", "live", "wanted", "then", "why")


@stage(READ)
def may_apply() -> bool:
    """Tell whether the site lets the nightly run apply its plan."""
    with open_work() as work:
        return work.settings.drift.apply


@stage(READ)
def plan(request_id: str, file: str) -> tuple[str, dict[str, Any]]:
    """Compare templates with users and plan what may converge; gives the plan's id and the report.

    Every difference goes into the file: the one that was asked for, or `drift.csv` among the site's reports.
    """
    with open_work() as work, work.runtime() as runtime:
        limits = work.settings.drift
        rules = drift.Rules(limits.most_users, limits.most_percent, limits.shrink_percent)
        path = Path(file) if file else work.settings.drop_folder.parent / "reports" / "drift.csv"
        plan_id, report = plan_drift(runtime, work.site, request_id, rules, lambda found: _write(path, found))
    return plan_id, {**report, "file": str(path)}


def _write(path: Path, found: Iterable[Difference]) -> None:
    """Write a sheet of everything that differs; one that is there stays until the new one is whole."""
    part = path.with_name(f".part-{uuid.uuid4().hex[:8]}-{path.name}")  # two runs may write at the same time
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheets.write_sheet(part, COLUMNS, ([_text(getattr(each, name)) for name in COLUMNS] for each in found))
        part.replace(path)
    except OSError as error:
        raise InputRefused(f"{path} cannot be written ({error.strerror})", remedy="choose another place") from error
    finally:
        part.unlink(missing_ok=True)


def _text(value: JsonValue) -> str:
    return "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()


@stage(READ)
def keep_report(request_id: str, report: dict[str, Any]) -> dict[str, Any]:
    """Put the report into the summary of the request; raise or clear the alert."""
    with open_work() as work, work.database.write() as connection:
        row = requests.load(connection, request_id)
        summary = dict(row.summary or {}) | report
        requests.close_request(connection, request_id, row.state, summary, utc_now())
        if said := _alert(report, work.settings.drift.alert_users):
            requests.raise_alert(connection, _CAUSE, said, request_id, utc_now())
        else:
            requests.clear_alert(connection, _CAUSE, utc_now())
    return summary


def _alert(report: dict[str, Any], most: int) -> str:
    if report["held_back"]:
        return f"{report['held_back']} users would be changed at once: nothing was planned"
    if report["users_differ"] > most:
        return f"{report['users_differ']} users are not as their templates want them"
    return ""
