"""Pages of taken numbers, lowest first, by pool, state and owner; each goes on where the one before ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, and_, select, tuple_

from datasets.inventory import NumberState, Position, Taken, UnknownPool
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import pools, ranges, taken
from engine import inventory_taken as numbers

PAGE = 1000
_KEY: tuple[Any, ...] = (taken.c.space, taken.c.width, taken.c.n)


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
    query = page_query(None if pool is None else _pool_id(connection, pool), after).limit(limit)
    if state is not None:
        query = query.where(taken.c.state == state.value)
    if owner is not None:
        query = query.where(taken.c.owner == owner)
    return [numbers.read(row) for row in connection.execute(query)]


def page_query(pool_id: int | None = None, after: PhoneNumber | None = None) -> Select[Any]:
    """Select taken numbers in order; those of a pool through its ranges, so that only they are looked at."""
    key, query = _KEY, numbers.rows()
    if pool_id is not None:
        inside = taken.c.n.between(ranges.c.first, ranges.c.last)
        same = and_(ranges.c.space == taken.c.space, ranges.c.width == taken.c.width, inside)
        query = query.join(ranges, same).where(ranges.c.pool_id == pool_id)
        key = (ranges.c.space, ranges.c.width, ranges.c.first, taken.c.n)
    if after is not None:
        position = Position.of(after)
        query = query.where(tuple_(*_KEY) > tuple_(*position))
        if pool_id is not None:
            query = query.where(tuple_(ranges.c.space, ranges.c.width, ranges.c.last) > tuple_(*position))
    return query.order_by(*key)


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
