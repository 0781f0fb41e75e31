"""The stages of the number flows: each plans one act and gives the plan's id; applying and recording are shared."""

from __future__ import annotations

from datasets.inventory import NumberState
from engine import number_acts, number_endings
from engine.site_pools import define_pools
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
            define_pools(connection, work.site.pools)
        asked = number_acts.Asked(user=user, number=number, pool=pool)
        return number_acts.plan_assignment(runtime, work.site, request_id, asked, claim=work.waits.claim)


@stage(READ)
def plan_release(request_id: str, user: str, number: str | None, grace_days: int | None) -> str:
    """Plan to take a user's number away and let it rest."""
    with open_work() as work, work.runtime() as runtime:
        days = work.settings.wait.grace_days if grace_days is None else grace_days
        return number_acts.plan_release(runtime, request_id, user, number, grace_days=days)
