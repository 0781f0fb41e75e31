"""The nightly audit of numbers: read every side, refuse answers that cannot be whole, compare, plan what is safe.

The comparison itself is pure and in `datasets/number_audit.py`. Nothing is ever deleted: fixed are our own record, a
block or location in Teams, and a directory attribute that shows a number of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pydantic import JsonValue
from sqlalchemy import Connection, select

from config.errors import InputRefused
from config.site_policy import SitePolicy
from connectors.errors import Incomplete
from datasets import number_audit, number_doubts
from datasets.inventory import Run
from datasets.number_audit import Difference, Estate, Owned
from datasets.tables.inventory import pools, ranges
from datasets.tables.plans import plans
from datasets.tables.requests import requests
from datasets.unassigned_ranges import range_differences
from engine import inventory_taken, number_fixes, plan_store
from engine.locations import Locations
from engine.overlay import longest_lag, recent_effects
from engine.plan import Plan
from engine.pool_terms import pool_terms
from engine.requests import new_id
from engine.runtime import Runtime

KIND = "number-sync"
SHOWN = 500
_DIRECTORY_DEADLINE_S = 3600.0


@dataclass(frozen=True)
class Rules:
    """How far one run may go: fixes at most, how much an answer may shrink before it is doubted, and days of rest."""

    most_fixes: int = 100
    shrink_percent: float = 20.0
    grace_days: int = 30


def plan_sync(runtime: Runtime, site: SitePolicy, request_id: str, rules: Rules) -> tuple[str, dict[str, JsonValue]]:
    """Store the plan of what is safe to fix; gives its id and the report. Raises Incomplete for a doubtful answer."""
    estate = read_estate(runtime, site)
    ranges = None if runtime.systems.skype is None else runtime.systems.skype.unassigned_ranges()
    estate = replace(estate, ranges_read=None if ranges is None else len(ranges))
    with runtime.database.read() as connection:
        last = _last_counts(connection)
    doubts = number_doubts.doubts(estate, last, rules.shrink_percent)
    if doubts:
        message = f"the answers are not believed: {'; '.join(doubts)} ; nothing was changed, run number-sync again"
        raise Incomplete(message, system="Teams")
    found = _settled(runtime, [*number_audit.differences(estate), *range_differences(ranges, estate.owned)])
    fixable = [difference for difference in found if difference.fix]
    is_too_much = len(fixable) > rules.most_fixes
    lines = () if is_too_much else number_fixes.lines(fixable, grace_days=rules.grace_days)
    plan = Plan(id=new_id("p"), request_id=request_id, lines=lines)
    with runtime.database.write() as connection:
        plan_store.save(connection, plan, runtime.now())
    held_back = len(fixable) if is_too_much else 0
    return plan.id, _report(estate, found, held_back)


def read_estate(runtime: Runtime, site: SitePolicy) -> Estate:
    """Read every side: Teams by Graph, its blocks by PowerShell, the directory, and then the inventory."""
    systems = runtime.systems
    rows = list(systems.teams.numbers())
    users = {user.id: user for user in systems.teams.voice_users()}
    deleted = {user.id: user.user_principal_name for user in systems.graph.deleted_users()}
    directory = systems.directory
    people = None if directory is None else list(directory.everybody(deadline_s=_DIRECTORY_DEADLINE_S))
    with runtime.database.read() as connection:
        taken = {row.number: row for row in map(inventory_taken.read, connection.execute(inventory_taken.rows()))}
        owned = tuple(_owned(connection))
        live = connection.execute(select(plans.c.id).where(plans.c.state.in_(("planned", "applying")))).scalars().all()
    return Estate(
        now=runtime.now(),
        rows=rows,
        users=users,
        deleted=deleted,
        directory=people,
        blocks=_blocks(runtime),
        taken=taken,
        owned=owned,
        live_plans=frozenset(live),
        locations=_locations(runtime, site),
        lag=longest_lag(runtime.limits),
    )


def _blocks(runtime: Runtime) -> dict[str, str] | None:
    numbering = runtime.systems.numbering
    return None if numbering is None or not numbering.has_blocks() else dict(numbering.blocks())


def _owned(connection: Connection) -> Iterator[Owned]:
    query = select(ranges, pools.c.name, pools.c.kind, pools.c.base_beside_extensions).join(pools)
    for row in connection.execute(query):
        run = Run(row.space, row.width, row.first, row.last)
        yield Owned(run, row.name, row.kind, row.base_beside_extensions)


def _locations(runtime: Runtime, site: SitePolicy) -> dict[str, str]:
    """Give the emergency location of each pool that names one which exists."""
    with runtime.database.read() as connection:
        known = pool_terms(connection, site)
    locations, found = Locations(runtime.systems, site, known), dict[str, str]()
    for name, terms in known.items():
        if terms.emergency_location:
            try:
                found[name] = locations.id_of(terms.emergency_location)
            except InputRefused:
                continue  # reported where a number of that pool needs it
    return found


def _settled(runtime: Runtime, found: Sequence[Difference]) -> list[Difference]:
    """Leave out what our own writes of the last moments explain: a list may not show them yet."""
    objects = [f"number:{difference.number}" for difference in found]
    with runtime.database.read() as connection:
        recent = {
            obj
            for obj, attribute in recent_effects(connection, objects, now=runtime.now(), limits=runtime.limits)
            if attribute in ("owner", "block")
        }
    return [difference for difference in found if f"number:{difference.number}" not in recent]


def _last_counts(connection: Connection) -> dict[str, int]:
    """Give what the last run that was believed had read."""
    c = requests.c
    done = select(c.summary).where(c.kind == KIND, c.summary.is_not(None), c.state.in_(("finished", "waiting")))
    summary = connection.execute(done.order_by(c.created_at.desc(), c.id).limit(1)).scalar_one_or_none()
    return cast("dict[str, int]", (summary or {}).get("read") or {})


def _report(estate: Estate, found: Sequence[Difference], held_back: int) -> dict[str, JsonValue]:
    counts = cast("dict[str, JsonValue]", number_audit.by_class(found))
    shown: list[JsonValue] = [difference.model_dump(mode="json", exclude={"details"}) for difference in found[:SHOWN]]
    read = cast("dict[str, JsonValue]", number_doubts.read_counts(estate))
    return {"read": read, "differences": len(found), "classes": counts, "held_back": held_back, "found": shown}
