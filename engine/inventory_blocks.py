"""Blocks of numbers: the lowest free ones of a pool taken at once, in a constant number of statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, select, update

from datasets.inventory import NumberState, PoolExhausted, Taken, UnknownPool
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import pools
from engine import inventory_intervals as gaps
from engine import inventory_taken as numbers
from engine.inventory_pools import counts
from engine.inventory_taken import PoolKey


def claim(
    connection: Connection,
    pool: str,
    count: int,
    *,
    plan_id: str,
    owner_ids: Sequence[str],
    until: datetime,
    now: datetime,
) -> list[PhoneNumber]:
    """Claim the lowest free numbers for these owners in order, all or none. Raises PoolExhausted, UnknownPool."""
    if count < 0 or len(owner_ids) != count:
        raise ValueError(f"{count} numbers were asked for {len(owner_ids)} owners")
    if count == 0:
        return []
    terms = {"state": NumberState.CLAIMED, "plan_id": plan_id, "until": until, "since": now, "pool": pool}
    return _take(connection, pool, owner_ids, terms, now)


def claim_up_to(
    connection: Connection, pool: str, owner_ids: Sequence[str], *, plan_id: str, until: datetime, now: datetime
) -> list[PhoneNumber]:
    """Claim as many numbers as are left, for the first of these owners. Raises UnknownPool."""
    left = connection.execute(select(pools.c.free).where(pools.c.name == pool).with_for_update()).scalar()
    if left is None:
        raise UnknownPool(pool)
    served = owner_ids[:left]
    return claim(connection, pool, len(served), plan_id=plan_id, owner_ids=served, until=until, now=now)


def reserve_next(
    connection: Connection,
    pool: str,
    count: int,
    *,
    owner: str,
    reason: str,
    until: datetime | None,
    now: datetime,
) -> list[PhoneNumber]:
    """Reserve the lowest free numbers for an owner, all or none. Raises PoolExhausted, UnknownPool."""
    if count <= 0:
        return []
    terms = {"state": NumberState.RESERVED, "reason": reason, "until": until, "since": now, "pool": pool}
    return _take(connection, pool, [owner] * count, terms, now)


def _take(
    connection: Connection, pool: str, owners: Sequence[str], terms: Mapping[str, Any], now: datetime
) -> list[PhoneNumber]:
    key = _count(connection, pool, len(owners), str(terms["state"]))
    positions = gaps.take_lowest(connection, key.id, len(owners))
    block = [Taken(number=p.number, owner=owner, **terms) for p, owner in zip(positions, owners, strict=True)]
    numbers.add(connection, key, block, now)
    return [entry.number for entry in block]


def _count(connection: Connection, pool: str, count: int, state: str) -> PoolKey:
    """Lock the pool and take the numbers off its counter in one statement, or refuse."""
    enough = and_(pools.c.name == pool, pools.c.free >= count)
    counted = update(pools).where(enough).values({"free": pools.c.free - count, state: pools.c[state] + count})
    pool_id = connection.execute(counted.returning(pools.c.id)).scalar()
    if pool_id is None:
        raise PoolExhausted(pool, asked=count, left=counts(connection, pool).free)
    return PoolKey(pool_id, pool)
