"""Pages of taken numbers, lowest first, by pool, state and owner; each goes on where the one before ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, literal, select, tuple_

from datasets.inventory import NumberState, Position, Run, Taken, UnknownPool
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import pools, ranges, taken
from engine import inventory_taken as numbers

PAGE = 1000
NARROW, TOGETHER = 16, 200
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
    found: list[Taken] = []
    wanted = [] if state is None else [taken.c.state == state.value]
    wanted += [] if owner is None else [taken.c.owner == owner]
    for query in page_queries(connection, pool, after):
        page = query.where(*wanted).order_by(*_KEY).limit(limit - len(found))
        found += [numbers.read(row) for row in connection.execute(page)]
        if len(found) == limit:
            break
    return found


def page_queries(
    connection: Connection, pool: str | None = None, after: PhoneNumber | None = None
) -> Iterator[Select[Any]]:
    """Give what to ask one after the other for taken numbers in order: of a pool only inside its ranges.

    A wide range is a search of its own, which ends with the page; narrow ones are asked for together by their numbers.
    Raises UnknownPool.
    """
    if pool is None:
        beyond = [] if after is None else [tuple_(*_KEY) > tuple_(*map(literal, Position.of(after)))]
        yield numbers.rows().where(*beyond)
        return
    narrow: list[Position] = []
    for run in _runs_beyond(connection, _pool_id(connection, pool), after):
        if run.size <= NARROW:
            narrow += run.positions()
        if narrow and (run.size > NARROW or len(narrow) > TOGETHER):
            yield numbers.among(narrow)
            narrow = []
        if run.size > NARROW:
            c = taken.c
            yield numbers.rows().where(c.space == run.space, c.width == run.width, c.n.between(run.first, run.last))
    if narrow:
        yield numbers.among(narrow)


def _runs_beyond(connection: Connection, pool_id: int, after: PhoneNumber | None) -> Iterator[Run]:
    c = ranges.c
    query = select(c.space, c.width, c.first, c.last).where(c.pool_id == pool_id).order_by(c.space, c.width, c.first)
    position = None if after is None else Position.of(after)
    if position is not None:
        query = query.where(tuple_(c.space, c.width, c.last) > tuple_(*map(literal, position)))
    for row in connection.execute(query):
        run = Run(*row)
        is_begun = position is not None and run[:2] == position[:2] and run.first <= position.n
        yield run._replace(first=position.n + 1) if position is not None and is_begun else run


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
