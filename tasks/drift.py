"""The stages of drift: compare and plan, ask what the site allows, and keep the report."""

from __future__ import annotations

from typing import Any

from engine import drift, requests
from engine.runtime import utc_now
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import open_work

_CAUSE = "drift"


@stage(READ)
def may_apply() -> bool:
    """Tell whether the site lets the nightly run apply its plan."""
    with open_work() as work:
        return work.settings.drift.apply


@stage(READ)
def plan(request_id: str) -> tuple[str, dict[str, Any]]:
    """Compare templates with users and plan what may converge; gives the plan's id and the report."""
    with open_work() as work, work.runtime() as runtime:
        limits = work.settings.drift
        rules = drift.Rules(limits.most_users, limits.most_percent, limits.shrink_percent)
        plan_id, report = drift.plan_drift(runtime, work.site, request_id, rules)
    return plan_id, dict(report)


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
