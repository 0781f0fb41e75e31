"""Pools: taking them over from site policy, looking into them, and proving that their numbers add up."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)

from datasets.inventory import (
    Counts,
    NumberState,
    Pool,
    Position,
    Run,
    Span,
    UnknownPool,
    WithheldSpan,
    refuse_overlap,
)
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import intervals, pools, ranges, taken, withheld_spans
from engine import inventory_intervals as gaps
from engine.inventory_taken import PoolKey, pool_at, settle_base

_ATTRIBUTES = (
    "name",
    "site",
    "kind",
    "number_class",
    "country",
    "carrier",
    "tags",
    "is_policy",
    "base_beside_extensions",
)
_TAKEN_STATES = tuple(state.value for state in NumberState if state not in ("free", "withheld", "outside"))
_COUNTERS = ("free", "withheld", *_TAKEN_STATES)
# Written out: building this statement anew would take longer than the database takes to answer it.
_NEXT_FREE = text(
    "SELECT i.space, i.width, i.first FROM intervals AS i"
    " WHERE i.pool_id = (SELECT id FROM pools WHERE name = :pool) AND i.is_free = true"
    " ORDER BY i.space, i.width, i.first LIMIT 1"
)
_AnySpan = TypeVar("_AnySpan", bound=Span)
_KEY = (intervals.c.space, intervals.c.width, intervals.c.first)


def define_pool(connection: Connection, pool: Pool) -> bool:
    """Take a pool over from site policy; tells whether anything changed. Raises RangesOverlap naming both pools.

    Numbers already taken stay taken: in a new range they join the pool, in a dropped one they leave it.
    """
    spans, withheld = (tuple(sorted(part, key=lambda span: span.run)) for part in (pool.spans, pool.withheld))
    if read_pool(connection, pool.name) == pool.model_copy(update={"spans": spans, "withheld": withheld}):
        return False
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE pools IN EXCLUSIVE MODE"))
    pool_id = _write_attributes(connection, pool)
    bases = _bases(connection, pool_id)
    _write_ranges(connection, pool_id, pool)
    gaps.rebuild(connection, pool_id)
    connection.execute(update(pools).where(pools.c.id == pool_id).values(_true_counts(connection, pool_id)))
    for base in sorted(bases | _bases(connection, pool_id)):
        settle_base(connection, Position(0, 0, base))
    return True


def read_pool(connection: Connection, name: str) -> Pool | None:
    """Read a pool as it was defined, spans lowest first."""
    row = connection.execute(select(pools).where(pools.c.name == name)).first()
    if row is None:
        return None
    attributes = {name: getattr(row, name) for name in _ATTRIBUTES}
    return Pool(
        spans=tuple(_spans(connection, ranges, Span, row.id)),
        withheld=tuple(_spans(connection, withheld_spans, WithheldSpan, row.id)),
        **attributes | {"tags": tuple(row.tags)},
    )


def pool_names(connection: Connection) -> list[str]:
    """Name every pool."""
    return list(connection.execute(select(pools.c.name).order_by(pools.c.name)).scalars())


def pool_of(connection: Connection, number: PhoneNumber) -> str | None:
    """Name the pool a number belongs to."""
    key = pool_at(connection, Position.of(number))
    return key.name if key else None


def counts(connection: Connection, pool: str) -> Counts:
    """Give how many numbers of the pool are in each state. Raises UnknownPool."""
    row = connection.execute(select(*(pools.c[name] for name in _COUNTERS)).where(pools.c.name == pool)).first()
    if row is None:
        raise UnknownPool(pool)
    return Counts(pool=pool, **row._mapping)


def free_page(connection: Connection, pool: str, after: PhoneNumber | None, limit: int) -> list[PhoneNumber]:
    """List free numbers of a pool that come after one, lowest first. Raises UnknownPool."""
    pool_id = _id(connection, pool)
    of_pool = and_(intervals.c.pool_id == pool_id, intervals.c.is_free)
    query = select(*_KEY, intervals.c.last).where(of_pool).order_by(*_KEY).limit(limit)
    found: list[Position] = []
    if after is not None:
        position = Position.of(after)
        found = gaps.free_after(connection, pool_id, position, limit)
        query = query.where(tuple_(*_KEY) > tuple_(*map(literal, position)))
    for row in connection.execute(query):
        found += Run(*row).positions(limit - len(found)) if len(found) < limit else []
    return [position.number for position in found]


def next_free(connection: Connection, pool: str) -> PhoneNumber | None:
    """Give the lowest free number of a pool, in one statement."""
    row = connection.execute(_NEXT_FREE, {"pool": pool}).first()
    return Position(*row).number if row else None


def violations(connection: Connection) -> list[str]:
    """Prove the inventory: every number of every pool is free, withheld or taken, once; give what is wrong."""
    wrong = list(_wrong_members(connection))
    for key in [PoolKey(*row) for row in connection.execute(select(pools.c.id, pools.c.name).order_by(pools.c.id))]:
        expected, stored = list(gaps.expected(connection, key.id)), gaps.stored(connection, key.id)
        for run, is_free in sorted(set(expected) ^ set(stored)):
            said = "missing" if (run, is_free) in expected else "wrong"
            wrong.append(f"pool {key.name}: {'free' if is_free else 'withheld'} interval {Span.of(run)} is {said}")
        counted, true = counts(connection, key.name).model_dump(exclude={"pool"}), _true_counts(connection, key.id)
        wrong += [f"pool {key.name}: counts {counted[s]} {s}, has {n}" for s, n in true.items() if counted[s] != n]
    return wrong


def _id(connection: Connection, pool: str) -> int:
    pool_id = connection.execute(select(pools.c.id).where(pools.c.name == pool)).scalar()
    if pool_id is None:
        raise UnknownPool(pool)
    return int(pool_id)


def _write_attributes(connection: Connection, pool: Pool) -> int:
    values = pool.model_dump(include=set(_ATTRIBUTES)) | {"tags": list(pool.tags)}
    pool_id = connection.execute(update(pools).where(pools.c.name == pool.name).values(values).returning(pools.c.id))
    known = pool_id.scalar()
    return int(known or connection.execute(insert(pools).values(values).returning(pools.c.id)).scalar_one())


def _write_ranges(connection: Connection, pool_id: int, pool: Pool) -> None:
    query = select(pools.c.name, ranges.c.space, ranges.c.width, ranges.c.first, ranges.c.last)
    query = query.join(pools, pools.c.id == ranges.c.pool_id).where(ranges.c.pool_id != pool_id)
    others = [(row[0], Run(*row[1:])) for row in connection.execute(query)]
    refuse_overlap([*others, *((pool.name, span.run) for span in pool.spans)])
    _join(connection, list(_runs(connection, ranges, pool_id)), None)
    for table, rows in (
        (ranges, [{**span.run._asdict(), "is_added": span.is_added} for span in pool.spans]),
        (
            withheld_spans,
            [{**s.run._asdict(), "reason": s.reason, "is_added": s.is_added} for s in pool.withheld],
        ),
    ):
        connection.execute(delete(table).where(table.c.pool_id == pool_id))
        if rows:
            connection.execute(insert(table), [{**row, "pool_id": pool_id} for row in rows])
    _join(connection, [span.run for span in pool.spans], pool_id)


def _join(connection: Connection, runs: list[Run], pool_id: int | None) -> None:
    """Make the taken numbers of these runs numbers of a pool, or of none."""
    for run in runs:
        connection.execute(update(taken).where(_inside(run)).values(pool_id=pool_id))


def _inside(run: Run) -> ColumnElement[bool]:
    c = taken.c
    return and_(c.space == run.space, c.width == run.width, c.n.between(run.first, run.last))


def _runs(connection: Connection, table: Table, pool_id: int) -> Iterator[Run]:
    c = table.c
    query = select(c.space, c.width, c.first, c.last).where(c.pool_id == pool_id)
    for row in connection.execute(query.order_by(c.space, c.width, c.first)).all():
        yield Run(*row)


def _spans(connection: Connection, table: Table, kind: type[_AnySpan], pool_id: int) -> Iterator[_AnySpan]:
    query = select(table).where(table.c.pool_id == pool_id)
    for row in connection.execute(query.order_by(table.c.space, table.c.width, table.c.first)).all():
        told = {name: getattr(row, name) for name in ("reason", "is_added") if name in table.c}
        yield kind.of(Run(row.space, row.width, row.first, row.last)).model_copy(update=told)


def _bases(connection: Connection, pool_id: int) -> set[int]:
    query = select(ranges.c.space).where(ranges.c.pool_id == pool_id, ranges.c.space > 0)
    return set(connection.execute(query).scalars())


def _true_counts(connection: Connection, pool_id: int) -> dict[str, int]:
    size = func.sum(intervals.c.last - intervals.c.first + 1)
    query = select(intervals.c.is_free, size).where(intervals.c.pool_id == pool_id).group_by(intervals.c.is_free)
    untaken = {"free" if is_free else "withheld": int(n) for is_free, n in connection.execute(query)}
    by_state = select(taken.c.state, func.count()).where(taken.c.pool_id == pool_id).group_by(taken.c.state)
    return dict.fromkeys(_COUNTERS, 0) | untaken | {row[0]: row[1] for row in connection.execute(by_state)}


def _wrong_members(connection: Connection) -> Iterator[str]:
    """Find ranges that share numbers and taken numbers whose pool is not that of their range."""
    query = select(ranges.c.space, ranges.c.width, ranges.c.first, ranges.c.last, ranges.c.pool_id)
    known = [(Run(*row[:4]), row[4]) for row in connection.execute(query.order_by(*ranges.primary_key.columns))]
    for (low, _), (high, _) in pairwise(known):
        if low[:2] == high[:2] and high.first <= low.last:
            yield f"ranges {Span.of(low)} and {Span.of(high)} share numbers"
    key = (taken.c.space, taken.c.width, taken.c.n)
    left = iter(known)
    here = next(left, None)
    for row in connection.execute(select(*key, taken.c.pool_id).order_by(*key)):
        position = Position(*row[:3])
        while here is not None and (*here[0][:2], here[0].last) < position:
            here = next(left, None)
        owner = here[1] if here and here[0][:3] <= position else None
        if owner != row.pool_id:
            yield f"number {position.number} says pool {row.pool_id}, its range says {owner}"
