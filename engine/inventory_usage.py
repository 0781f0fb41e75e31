"""How full pools are, which run low, and when they will be empty; costs the pools, not their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, func, select

from datasets.inventory import NumberState, UnknownPool
from datasets.number_usage import Forecast, Usage, forecast
from datasets.tables.inventory import pools, taken
from datasets.tables.number_history import number_history
from engine import requests

By = Literal["pool", "site", "country"]
LOOK_BACK_DAYS = 90
_STATES = ("free", "withheld", "claimed", "assigned", "reserved", "grace", "blocked")
_GROUPS = {"pool": pools.c.name, "site": pools.c.site, "country": pools.c.country}


def usage(connection: Connection, by: By = "pool") -> list[Usage]:
    """Count the numbers of every pool, site or country by state."""
    group = _GROUPS[by]
    sums = [func.sum(pools.c[state]).label(state) for state in _STATES]
    rows = connection.execute(select(group.label("group"), *sums).group_by(group).order_by(group))
    return [Usage(by=by, group=row.group, **{state: int(getattr(row, state)) for state in _STATES}) for row in rows]


def check_stock(
    connection: Connection, *, low_percent: float, low_count: int, now: datetime, request_id: str | None = None
) -> list[Usage]:
    """Raise an alert for every pool that runs low, clear those that do not any more; gives the low ones."""
    low = []
    for pool in usage(connection):
        cause = f"low stock: pool {pool.group}"
        if pool.is_low(low_percent, low_count):
            message = f"pool {pool.group} has {pool.free} of {pool.size} numbers left ; add a range to it"
            requests.raise_alert(connection, cause, message, request_id, now)
            low.append(pool)
        else:
            requests.clear_alert(connection, cause, now)
    return low


def foresee(
    connection: Connection, pool: str, *, now: datetime, days: int, hires: Mapping[date, int], per_day: float | None
) -> Forecast:
    """Say how many numbers a pool will have each day, and when none; `per_day` None takes the pace of the last months.

    What is claimed or rests comes back at its time; what is reserved is for somebody and does not. Raises UnknownPool.
    """
    row = connection.execute(select(pools.c.id, pools.c.free).where(pools.c.name == pool)).first()
    if row is None:
        raise UnknownPool(pool)
    returning = (NumberState.GRACE.value, NumberState.CLAIMED.value)
    horizon = now + timedelta(days=days)
    query = select(taken.c.until, taken.c.state, taken.c.kept_state).where(
        taken.c.pool_id == row.id, taken.c.until <= horizon, taken.c.state.in_(returning)
    )
    back = Counter(max(until, now).date() for until, _, kept in connection.execute(query) if kept != "reserved")
    pace = _pace(connection, pool, now) if per_day is None else per_day
    return forecast(pool, int(row.free), now.date(), days=days, returns=back, hires=hires, per_day=pace)


def _pace(connection: Connection, pool: str, now: datetime) -> float:
    """Give how many numbers of a pool were newly assigned a day, less those released, in the last months."""
    c = number_history.c
    recent = select(func.min(c.at)).where(c.pool == pool, c.at > now - timedelta(days=LOOK_BACK_DAYS), c.at <= now)
    first = connection.execute(recent).scalar()
    if first is None:
        return 0.0
    of_pool = (c.pool == pool) & (c.at >= first) & (c.at <= now)
    given = select(func.count()).where(of_pool, c.state == "assigned", c.state_before != "assigned")
    ended = select(func.count()).where(of_pool, c.state_before == "assigned", c.state != "assigned")
    net = connection.execute(given).scalar_one() - connection.execute(ended).scalar_one()
    return float(max(0, net) / max(1.0, (now - first) / timedelta(days=1)))
