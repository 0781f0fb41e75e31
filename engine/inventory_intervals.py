"""Intervals of numbers nobody has: taking numbers out, putting them back, and where an untaken number belongs.

Callers hold the lock of the pool (its row on PostgreSQL, the write transaction on SQLite).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, literal, select, tuple_, union

from datasets.inventory import Position, Run, joined, runs_of
from datasets.tables.inventory import intervals, pools, ranges, taken, withheld_spans

SLICE = 1000
Interval = tuple[Run, bool]
"""A run of untaken numbers, and whether it is free (else withheld)."""

_KEY = (intervals.c.space, intervals.c.width, intervals.c.first)


def take_lowest(connection: Connection, pool_id: int, count: int) -> list[Position]:
    """Take the lowest free numbers out of the pool; fewer when it has fewer."""
    lowest = select(*_KEY, intervals.c.last).where(_of(pool_id, is_free=True)).order_by(*_KEY).limit(count)
    positions: list[Position] = []
    rest: Run | None = None
    emptied: Run | None = None
    for run in (Run(*row) for row in connection.execute(lowest)):
        positions += run.positions(count - len(positions))
        emptied = run
        if positions[-1].n < run.last:
            rest = run._replace(first=positions[-1].n + 1)
        if len(positions) == count:
            break
    if emptied is not None:
        # Lowest first: what was emptied is everything up to here, one statement however fragmented the pool is.
        upto = tuple_(*_KEY) <= tuple_(*map(literal, emptied[:3]))
        connection.execute(delete(intervals).where(_of(pool_id, is_free=True), upto))
    if rest is not None:
        _add(connection, pool_id, [(rest, True)])
    return positions


def take_out(connection: Connection, pool_id: int, position: Position) -> bool:
    """Take one untaken number out of its interval; tells whether it was free. Raises LookupError."""
    for is_free in (True, False):
        run = _run_at(connection, pool_id, position, is_free=is_free)
        if run is None or run.last < position.n:
            continue
        _remove(connection, pool_id, run, is_free=is_free)
        low, high = run._replace(last=position.n - 1), run._replace(first=position.n + 1)
        _add(connection, pool_id, [(part, is_free) for part in (low, high) if part.size])
        return is_free
    raise LookupError(f"{position} is neither taken nor in an interval of pool {pool_id}")


def put_back(connection: Connection, pool_id: int, positions: Iterable[Position]) -> tuple[int, int]:
    """Put untaken numbers back where they belong; gives how many became free and how many withheld."""
    amounts = {True: 0, False: 0}
    for run in runs_of(positions):
        for part, is_free in split(run, withheld_within(connection, pool_id, run)):
            _merge(connection, pool_id, part, is_free=is_free)
            amounts[is_free] += part.size
    return amounts[True], amounts[False]


def holds(connection: Connection, pool_id: int, position: Position, *, is_free: bool) -> bool:
    """Tell whether the number lies in a free (or withheld) interval of the pool."""
    run = _run_at(connection, pool_id, position, is_free=is_free)
    return run is not None and position.n <= run.last


def free_after(connection: Connection, pool_id: int, position: Position, limit: int) -> list[Position]:
    """Give free numbers after this one in the interval that contains it."""
    run = _run_at(connection, pool_id, position, is_free=True)
    return run._replace(first=position.n + 1).positions(limit) if run else []


def expected(connection: Connection, pool_id: int, space: int | None = None) -> Iterator[Interval]:
    """Compute the pool's intervals anew from its ranges, what is taken and what is withheld, lowest first."""
    in_range = and_(taken.c.space == ranges.c.space, taken.c.width == ranges.c.width)
    in_range = and_(in_range, taken.c.n.between(ranges.c.first, ranges.c.last))
    key = (ranges.c.space, ranges.c.width, ranges.c.first)
    rows = select(*key, ranges.c.last, taken.c.n).join(taken, in_range, isouter=True)
    rows = rows.where(ranges.c.pool_id == pool_id).order_by(*key, taken.c.n)
    if space is not None:
        rows = rows.where(ranges.c.space == space)
    for _, group in groupby(joined(_gaps(connection.execute(rows))), key=lambda run: run[:2]):
        gaps = list(group)
        withheld = withheld_within(connection, pool_id, gaps[0]._replace(last=gaps[-1].last))
        for gap in gaps:
            yield from split(gap, withheld)


def rebuild(connection: Connection, pool_id: int, space: int | None = None) -> tuple[int, int]:
    """Write the pool's intervals (or those of one space) anew; gives by how much free and withheld grew."""
    of_pool = [intervals.c.pool_id == pool_id, *([intervals.c.space == space] if space is not None else [])]
    size = func.coalesce(func.sum(intervals.c.last - intervals.c.first + 1), 0)
    before = {
        free: int(connection.execute(select(size).where(*of_pool, _is(free))).scalar_one()) for free in (True, False)
    }
    fresh = list(expected(connection, pool_id, space))
    connection.execute(delete(intervals).where(*of_pool))
    for start in range(0, len(fresh), SLICE):
        _add(connection, pool_id, fresh[start : start + SLICE])
    after = {free: sum(run.size for run, is_free in fresh if is_free == free) for free in (True, False)}
    return after[True] - before[True], after[False] - before[False]


def stored(connection: Connection, pool_id: int) -> list[Interval]:
    """Read the pool's intervals, lowest first."""
    rows = select(*_KEY, intervals.c.last, intervals.c.is_free).where(intervals.c.pool_id == pool_id).order_by(*_KEY)
    return [(Run(*row[:4]), bool(row[4])) for row in connection.execute(rows)]


def withheld_within(connection: Connection, pool_id: int, run: Run) -> list[Run]:
    """Give the parts of a run that are not offered: by site policy, or because of a base and its extensions."""
    c = withheld_spans.c
    same_space = and_(c.pool_id == pool_id, c.space == run.space, c.width == run.width)
    rows = select(c.first, c.last).where(same_space, c.first <= run.last, c.last >= run.first)
    parts = [
        run._replace(first=max(row.first, run.first), last=min(row.last, run.last)) for row in connection.execute(rows)
    ]
    if not connection.execute(select(pools.c.base_beside_extensions).where(pools.c.id == pool_id)).scalar_one():
        parts += _kin_within(connection, run)
    return list(joined(sorted(parts)))


def split(run: Run, withheld: list[Run]) -> Iterator[Interval]:
    """Cut a run at the withheld runs, which are sorted and do not touch."""
    low = run.first
    for part in withheld[bisect_left(withheld, run.first, key=lambda part: part.last) :]:
        if part.first > run.last:
            break
        first, last = max(part.first, run.first), min(part.last, run.last)
        if low < first:
            yield run._replace(first=low, last=first - 1), True
        yield run._replace(first=first, last=last), False
        low = last + 1
    if low <= run.last:
        yield run._replace(first=low), True


def _kin_within(connection: Connection, run: Run) -> list[Run]:
    """Give the plain numbers of the run that are bases of extensions, or all extensions when their base is taken."""
    if run.space:
        base_is_taken = select(taken.c.n).where(taken.c.space == 0, taken.c.width == 0, taken.c.n == run.space)
        return [run] if connection.execute(base_is_taken).first() else []
    bases = union(*(select(t.c.space).where(t.c.space.between(run.first, run.last)) for t in (ranges, taken)))
    return [run._replace(first=base, last=base) for base in connection.execute(bases).scalars()]


def _gaps(rows: Iterable[Row[Any]]) -> Iterator[Run]:
    """Give the untaken runs of ranges joined with their taken numbers, one row for each, in order."""
    for key, group in groupby(rows, key=lambda row: Run(*row[:4])):
        low = key.first
        for n in (row[4] for row in group if row[4] is not None):
            if low < n:
                yield key._replace(first=low, last=n - 1)
            low = n + 1
        if low <= key.last:
            yield key._replace(first=low)


def _merge(connection: Connection, pool_id: int, run: Run, *, is_free: bool) -> None:
    """Add a run to the intervals, joining it with the neighbours it touches."""
    before = _run_at(connection, pool_id, Position(*run[:3]), is_free=is_free)
    after = connection.execute(
        select(intervals.c.last).where(
            _of(pool_id, is_free=is_free),
            and_(intervals.c.space == run.space, intervals.c.width == run.width, intervals.c.first == run.last + 1),
        )
    ).scalar()
    if after is not None:
        _remove(connection, pool_id, run._replace(first=run.last + 1), is_free=is_free)
        run = run._replace(last=after)
    if before is not None and before.last == run.first - 1:
        _remove(connection, pool_id, before, is_free=is_free)
        run = run._replace(first=before.first)
    _add(connection, pool_id, [(run, is_free)])


def _run_at(connection: Connection, pool_id: int, position: Position, *, is_free: bool) -> Run | None:
    """Read the interval that starts at the position or nearest below it in its space."""
    c = intervals.c
    below = and_(c.space == position.space, c.width == position.width, c.first <= position.n)
    row = connection.execute(
        select(*_KEY, c.last).where(_of(pool_id, is_free=is_free), below).order_by(c.first.desc()).limit(1)
    ).first()
    return Run(*row) if row else None


def _of(pool_id: int, *, is_free: bool) -> ColumnElement[bool]:
    return and_(intervals.c.pool_id == pool_id, _is(is_free))


def _is(is_free: bool) -> ColumnElement[bool]:
    # Written out instead of bound, so that both databases see an index condition when they plan.
    return intervals.c.is_free if is_free else ~intervals.c.is_free


def _add(connection: Connection, pool_id: int, parts: list[Interval]) -> None:
    rows = [{**run._asdict(), "pool_id": pool_id, "is_free": is_free} for run, is_free in parts]
    if rows:
        connection.execute(insert(intervals), rows)


def _remove(connection: Connection, pool_id: int, run: Run, *, is_free: bool) -> None:
    c = intervals.c
    here = and_(c.space == run.space, c.width == run.width, c.first == run.first)
    connection.execute(delete(intervals).where(_of(pool_id, is_free=is_free), here))
