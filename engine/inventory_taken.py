"""Rows of taken numbers: finding them under lock, and changing them with intervals and counters in step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    column,
    delete,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
    values,
)

from connectors.upserts import insert_new
from datasets.inventory import NumberUnavailable, Position, Run, Taken
from datasets.tables.inventory import pools, ranges, taken
from engine import inventory_history
from engine import inventory_intervals as gaps

_KEY = (taken.c.space, taken.c.width, taken.c.n)
_SAME_NAME = ("state", "owner", "reason", "plan_id", "until", "since", "kept_state", "kept_reason", "kept_until")


class PoolKey(NamedTuple):
    """A pool as rows and people know it."""

    id: int
    name: str


class Spot(NamedTuple):
    """A number as found under lock: where it is, the pool it belongs to, and its row if it is taken."""

    position: Position
    pool: PoolKey | None
    row: Taken | None


class Move(NamedTuple):
    """A number on its way from what was found to what shall be; None means nobody has it any more."""

    spot: Spot
    after: Taken | None


def rows() -> Select[Any]:
    """Select taken numbers with the name of their pool; `read` makes records of the rows."""
    return select(taken, pools.c.name.label("pool")).join(pools, taken.c.pool_id == pools.c.id, isouter=True)


def read(row: Row[Any]) -> Taken:
    """Make a record of a selected row."""
    same = {name: getattr(row, name) for name in _SAME_NAME}
    return Taken(number=Position(row.space, row.width, row.n).number, pool=row.pool, **same)


def at(position: Position) -> ColumnElement[bool]:
    """Match the row of a number."""
    return and_(taken.c.space == position.space, taken.c.width == position.width, taken.c.n == position.n)


def pool_at(connection: Connection, position: Position, *, is_locking: bool = False) -> PoolKey | None:
    """Find (and lock) the pool whose range contains the number."""
    c = ranges.c
    nearest = select(c.pool_id, c.last).where(c.space == position.space, c.width == position.width)
    found = nearest.where(c.first <= position.n).order_by(c.first.desc()).limit(1).subquery()
    query = select(pools.c.id, pools.c.name).join(found, found.c.pool_id == pools.c.id)
    query = query.where(found.c.last >= position.n)
    row = connection.execute(query.with_for_update(of=pools) if is_locking else query).first()
    return PoolKey(*row) if row else None


def among(positions: Sequence[Position]) -> Select[Any]:
    """Select those of these numbers that are taken."""
    # Joined, not compared: SQLite reads a whole table for a row value IN a list.
    columns = (column(name, BigInteger) for name in Position._fields)
    wanted = values(*columns, name="wanted").data(list(positions)).cte()
    same = and_(taken.c.space == wanted.c.space, taken.c.width == wanted.c.width, taken.c.n == wanted.c.n)
    return rows().join(wanted, same)


def find_row(connection: Connection, position: Position) -> Taken | None:
    """Read what is known about a taken number, without a lock."""
    row = connection.execute(rows().where(at(position))).first()
    return read(row) if row else None


def expired(connection: Connection, now: datetime) -> Iterator[Taken]:
    """Read numbers whose time is over, longest over first, in pages."""
    key = (taken.c.until, *_KEY)
    query = rows().where(taken.c.until <= now).order_by(*key).limit(gaps.SLICE)
    page = connection.execute(query).all()
    while page:
        yield from (read(row) for row in page)
        last = page[-1]
        beyond = tuple_(*key) > tuple_(*(literal(getattr(last, c.name), c.type) for c in key))
        page = connection.execute(query.where(beyond)).all() if len(page) == gaps.SLICE else []


def has_kin(connection: Connection, position: Position) -> bool:
    """Tell whether the base of an extension, or an extension of a base, is taken."""
    if position.space:
        return find_row(connection, Position(0, 0, position.space)) is not None
    return connection.execute(select(taken.c.n).where(taken.c.space == position.n).limit(1)).first() is not None


def hold(connection: Connection, position: Position) -> Spot:
    """Lock the number's pool and row, then read them."""
    _hold_definitions(connection)
    pool = pool_at(connection, position, is_locking=True)
    row = connection.execute(rows().where(at(position)).with_for_update(of=taken)).first()
    return Spot(position, pool, read(row) if row else None)


def hold_many(connection: Connection, query: Select[Any]) -> list[Spot]:
    """Lock every pool of the selected numbers, lowest id first, then the numbers; soonest end first."""
    _hold_definitions(connection)
    pool_ids = connection.execute(
        query.with_only_columns(taken.c.pool_id, maintain_column_froms=True).distinct()
    ).scalars()
    known = sorted(pool_id for pool_id in pool_ids if pool_id is not None)
    connection.execute(select(pools.c.id).where(pools.c.id.in_(known)).order_by(pools.c.id).with_for_update()).all()
    locked = taken.c.pool_id.is_(None) | taken.c.pool_id.in_(known)
    found = connection.execute(query.where(locked).order_by(taken.c.until, *_KEY).with_for_update(of=taken))
    return [_spot(row) for row in found]


def move(connection: Connection, moves: Sequence[Move], now: datetime, reason: str = "") -> None:
    """Carry numbers from what was found to what shall be: rows, intervals, counters and history together."""
    deltas: dict[int, Counter[str]] = {}
    for spot, after in moves:
        if spot.pool is not None:
            delta = deltas.setdefault(spot.pool.id, Counter())
            delta.update([after.state] if after else [])
            delta.subtract([spot.row.state] if spot.row else [])
    fresh = [m for m in moves if m.spot.row is None and m.after is not None]
    gone = [m for m in moves if m.spot.row is not None and m.after is None]
    for m in fresh:
        _take(connection, m, deltas)
    for m in moves:
        if m.spot.row is not None and m.after is not None:
            connection.execute(update(taken).where(at(m.spot.position)).values(_values(m.spot, m.after)))
    _free(connection, gone, deltas)
    for pool_id, delta in sorted(deltas.items()):
        count(connection, pool_id, delta)
    settle_kin(connection, [m.spot.position for m in (*fresh, *gone)])
    told = [(spot.position, spot.pool.name if spot.pool else None, spot.row, after) for spot, after in moves]
    inventory_history.note(connection, told, now, reason)


def add(connection: Connection, pool: PoolKey, fresh: Sequence[Taken], now: datetime) -> None:
    """Write rows for numbers just taken out of the pool's free intervals and counters."""
    spots = [Spot(Position.of(row.number), pool, None) for row in fresh]
    connection.execute(insert(taken), [_values(spot, row) for spot, row in zip(spots, fresh, strict=True)])
    settle_kin(connection, [spot.position for spot in spots])
    told = [(spot.position, pool.name, None, row) for spot, row in zip(spots, fresh, strict=True)]
    inventory_history.note(connection, told, now)


def count(connection: Connection, pool_id: int, delta: Counter[str]) -> None:
    """Add to the counters of a pool."""
    changes = {str(state): pools.c[state] + amount for state, amount in delta.items() if amount}
    if changes:
        connection.execute(update(pools).where(pools.c.id == pool_id).values(changes))


def settle_kin(connection: Connection, positions: Sequence[Position]) -> None:
    """Withhold or offer what these numbers decide: a base by its extensions, extensions by their base."""
    plain = sorted({p.n for p in positions if p.space == 0})
    for start in range(0, len(plain), gaps.SLICE):
        for pool_id, space in sorted(_extension_ranges(connection, plain[start : start + gaps.SLICE])):
            settle_extensions(connection, pool_id, space)
    for base in sorted({p.space for p in positions if p.space}):
        settle_base(connection, Position(0, 0, base))


def settle_extensions(connection: Connection, pool_id: int, base: int) -> None:
    """Offer or withhold the untaken extensions of a base in a pool, as the base now is."""
    connection.execute(select(pools.c.id).where(pools.c.id == pool_id).with_for_update()).all()
    free, withheld = gaps.rebuild(connection, pool_id, base)
    count(connection, pool_id, Counter(free=free, withheld=withheld))


def settle_base(connection: Connection, position: Position) -> None:
    """Offer or withhold an untaken plain number, as its extensions now are."""
    pool = pool_at(connection, position, is_locking=True)
    if pool is None or connection.execute(select(taken.c.n).where(at(position))).first():
        return
    is_free = not gaps.withheld_within(connection, pool.id, Run(*position, position.n))
    if not gaps.holds(connection, pool.id, position, is_free=is_free):
        was_free = gaps.take_out(connection, pool.id, position)
        free, withheld = gaps.put_back(connection, pool.id, [position])
        count(connection, pool.id, Counter(free=free - was_free, withheld=withheld - (not was_free)))


def _extension_ranges(connection: Connection, bases: Sequence[int]) -> set[tuple[int, int]]:
    query = select(ranges.c.pool_id, ranges.c.space).where(ranges.c.space.in_(bases))
    return {(row[0], row[1]) for row in connection.execute(query)}


def _hold_definitions(connection: Connection) -> None:
    # Shared with everyone but a change of pools, so that a number cannot join a pool behind our back.
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE pools IN ROW SHARE MODE"))


def _spot(row: Row[Any]) -> Spot:
    pool = PoolKey(row.pool_id, row.pool) if row.pool_id is not None else None
    return Spot(Position(row.space, row.width, row.n), pool, read(row))


def _values(spot: Spot, row: Taken) -> dict[str, object]:
    same = {name: getattr(row, name) for name in _SAME_NAME}
    return {**spot.position._asdict(), "pool_id": spot.pool.id if spot.pool else None, **same}


def _take(connection: Connection, fresh: Move, deltas: dict[int, Counter[str]]) -> None:
    spot, after = fresh
    if after is None:
        return
    if spot.pool is not None:
        was_free = gaps.take_out(connection, spot.pool.id, spot.position)
        deltas[spot.pool.id].subtract(["free" if was_free else "withheld"])
    # A number of no pool has no lock: somebody else may have been first.
    if not insert_new(connection, taken, _values(spot, after)):
        raise NumberUnavailable(after.number, "was taken by somebody else a moment ago")


def _free(connection: Connection, gone: Sequence[Move], deltas: dict[int, Counter[str]]) -> None:
    if gone:
        same = and_(*(c == bindparam(f"the_{c.name}") for c in _KEY))
        keys = [{f"the_{name}": value for name, value in m.spot.position._asdict().items()} for m in gone]
        connection.execute(delete(taken).where(same), keys)
    for pool_id in sorted({m.spot.pool.id for m in gone if m.spot.pool}):
        positions = [m.spot.position for m in gone if m.spot.pool and m.spot.pool.id == pool_id]
        free, withheld = gaps.put_back(connection, pool_id, positions)
        deltas[pool_id].update(free=free, withheld=withheld)
