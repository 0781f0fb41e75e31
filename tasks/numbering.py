"""The stages of the number flows: each plans one act and gives the plan's id; applying and recording are shared."""

from __future__ import annotations

from typing import Any

from datasets.inventory import NumberState
from datasets.number_orders import OrderKind
from engine import number_acts, number_endings, number_orders, number_sync, requests
from engine.runtime import utc_now
from engine.site_pools import define_site
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import open_work


@stage(READ)
def plan_endings(request_id: str, state: NumberState) -> str:
    """Plan the end of reservations or grace periods that are over."""
    with open_work() as work, work.runtime() as runtime:
        return number_endings.plan_endings(runtime, request_id, state)


@stage(READ)
def plan_assignment(request_id: str, user: str, number: str | None, pool: str | None) -> str:
    """Plan to give a user a named number or the next free one of a pool."""
    with open_work() as work, work.runtime() as runtime:
        with work.database.write() as connection:
            define_site(connection, work.site)
        asked = number_acts.Asked(user=user, number=number, pool=pool)
        return number_acts.plan_assignment(runtime, work.site, request_id, asked, claim=work.waits.claim)


@stage(READ)
def plan_release(request_id: str, user: str, number: str | None, grace_days: int | None) -> str:
    """Plan to take a user's number away and let it rest."""
    with open_work() as work, work.runtime() as runtime:
        days = work.settings.wait.grace_days if grace_days is None else grace_days
        return number_acts.plan_release(runtime, work.site, request_id, user, number, grace_days=days)


@stage(READ)
def plan_order(request_id: str, kind: OrderKind, pool: str | None, start: str | None, end: str | None) -> str:
    """Plan the orders that upload or release the numbers of a pool or a range."""
    with open_work() as work, work.runtime() as runtime:
        with work.database.write() as connection:
            define_site(connection, work.site)
        return number_orders.plan_order(runtime, request_id, number_orders.Ordered(kind, pool, start, end))


@stage(READ)
def plan_sync(request_id: str, most_fixes: int, shrink_percent: float) -> tuple[str, dict[str, Any]]:
    """Compare every side and plan what is safe to fix; gives the plan's id and the report."""
    with open_work() as work, work.runtime() as runtime:
        with work.database.write() as connection:
            define_site(connection, work.site)
        rules = number_sync.Rules(most_fixes, shrink_percent, work.settings.wait.grace_days)
        plan_id, report = number_sync.plan_sync(runtime, work.site, request_id, rules)
    return plan_id, dict(report)


@stage(READ)
def add_to_summary(request_id: str, facts: dict[str, Any], alert: str | None = None) -> dict[str, Any]:
    """Add facts to the summary of a request, and raise or clear the alert of a sync that was held back."""
    with open_work() as work, work.database.write() as connection:
        row, cause = requests.load(connection, request_id), "number-sync held back"
        summary = dict(row.summary or {}) | facts
        requests.close_request(connection, request_id, row.state, summary, utc_now())
        if alert:
            requests.raise_alert(connection, cause, alert, request_id, utc_now())
        else:
            requests.clear_alert(connection, cause, utc_now())
    return summary
