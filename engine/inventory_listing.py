"""Pages of taken numbers, lowest first, by pool, state and owner; each goes on where the one before ended."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, select, tuple_

from datasets.inventory import NumberState, Position, Taken, UnknownPool
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import pools, taken
from engine import inventory_taken as numbers

PAGE = 1000


def taken_page(
    connection: Connection,
    *,
    pool: str | None = None,
    state: NumberState | None = None,
    owner: str | None = None,
    after: PhoneNumber | None = None,
    limit: int = PAGE,
) -> list[Taken]:
    """List taken numbers that come after one, lowest first; plain numbers before extensions. Raises UnknownPool."""
    key = (taken.c.space, taken.c.width, taken.c.n)
    query = numbers.rows().order_by(*key).limit(limit)
    if pool is not None:
        query = query.where(taken.c.pool_id == _pool_id(connection, pool))
    if state is not None:
        query = query.where(taken.c.state == state.value)
    if owner is not None:
        query = query.where(taken.c.owner == owner)
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*Position.of(after)))
    return [numbers.read(row) for row in connection.execute(query)]


def every_taken(connection: Connection, pool: str | None = None) -> Iterator[Taken]:
    """Give every taken number (of a pool), in pages."""
    page = taken_page(connection, pool=pool)
    while page:
        yield from page
        page = taken_page(connection, pool=pool, after=page[-1].number) if len(page) == PAGE else []


def _pool_id(connection: Connection, name: str) -> int:
    pool_id = connection.execute(select(pools.c.id).where(pools.c.name == name)).scalar()
    if pool_id is None:
        raise UnknownPool(name)
    return int(pool_id)
