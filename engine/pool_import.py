"""Sheets of pools taken into the inventory: good rows are taken, the others are named with the reason."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from config.errors import InputRefused
from config.site_pools import Forbidden
from connectors.database import Database
from datasets.inventory import Pool, Run, Span, parts_within
from datasets.pool_files import PoolRow, RowError, attributes_of, pool_of, withheld_of
from datasets.tables.inventory import pools, ranges
from engine import inventory
from engine.site_pools import forbid


class Imported(NamedTuple):
    """What came of a sheet."""

    pools: int
    ranges: int
    withheld: int
    reserved: int
    blocked: int
    unchanged: int
    errors: list[RowError]


def take_rows(
    database: Database,
    read: Iterable[PoolRow | RowError],
    now: datetime,
    *,
    forbidden: tuple[Forbidden, ...] = (),
    dry_run: bool = False,
) -> Imported:
    """Take the good rows of a sheet, a transaction for each pool and for each row of reserved or blocked numbers."""
    rows: list[PoolRow] = []
    errors: list[RowError] = []
    for each in read:
        if isinstance(each, RowError):
            errors.append(each)
        else:
            rows.append(each)
    with database.read() as connection:
        index = _Index(connection)
    ranges_, unchanged = index.judge([row for row in rows if row.state == "range"], errors)
    done = dict.fromkeys(("pools", "ranges", "withheld", "reserved", "blocked"), 0)
    unchanged += sum(row.state == "seen" for row in rows)
    for name in dict.fromkeys(row.pool for row in rows):
        mine = [row for row in ranges_ if row.pool == name]
        kept = [row for row in rows if row.pool == name and row.state == "withheld"]
        if mine or kept:
            about = [row for row in rows if row.pool == name]
            _take_pool(database, name, (about, mine, kept), (forbidden, dry_run), done, errors)
    for row in rows:
        if row.state in ("reserved", "blocked"):
            _take_numbers(database, row, now, done, errors, dry_run=dry_run)
    return Imported(**done, unchanged=unchanged, errors=sorted(errors, key=lambda error: error.line))


class _Index:
    """Every range there is and every row taken so far, to find overlaps in the order of the sheet."""

    def __init__(self, connection: Connection) -> None:
        query = select(ranges.c.space, ranges.c.width, ranges.c.first, ranges.c.last, pools.c.name)
        rows = connection.execute(query.join(pools, pools.c.id == ranges.c.pool_id))
        self._known = sorted((Run(*row[:4]), str(row[4])) for row in rows)

    def judge(self, rows: list[PoolRow], errors: list[RowError]) -> tuple[list[PoolRow], int]:
        """Give the rows that are new and how many are there already; overlaps are named."""
        fresh, same = [], 0
        for row in rows:
            run = row.span.run
            clash = self._clash(run)
            if clash is None:
                insort(self._known, (run, row.pool))
                fresh.append(row)
            elif clash[1] == row.pool and parts_within(row.span, [clash[0]])[0].run == run:
                same += 1
            else:
                why = f"ranges {row.span} (pool {row.pool}) and {Span.of(clash[0])} (pool {clash[1]}) share numbers"
                errors.append(_error(row, "start", f"{why} ; give each number to one range only"))
        return fresh, same

    def _clash(self, run: Run) -> tuple[Run, str] | None:
        place = bisect_right(self._known, (run, "\U0010ffff"))
        for known in self._known[max(0, place - 1) : place + 1]:
            if known[0][:2] == run[:2] and known[0].first <= run.last and run.first <= known[0].last:
                return known
        return None


def _take_pool(
    database: Database,
    name: str,
    rows: tuple[list[PoolRow], list[PoolRow], list[PoolRow]],
    terms: tuple[tuple[Forbidden, ...], bool],
    done: dict[str, int],
    errors: list[RowError],
) -> None:
    (about, fresh, kept), (forbidden, dry_run) = rows, terms
    try:
        with database.write() as connection:
            known = inventory.read_pool(connection, name)
            kept = [row for row in kept if not (known and _is_withheld(known, row))]
            changed = _wanted(known, name, about, fresh, kept)
            if not dry_run:
                inventory.define_pool(connection, forbid(changed, forbidden))
    except InputRefused as error:
        errors.extend(_error(row, "pool", str(error)) for row in (*fresh, *kept))
        return
    done["pools"] += known is None
    done["ranges"] += len(fresh)
    done["withheld"] += len(kept)


def _wanted(known: Pool | None, name: str, about: list[PoolRow], fresh: list[PoolRow], kept: list[PoolRow]) -> Pool:
    spans = tuple(row.span.model_copy(update={"is_added": True}) for row in fresh)
    withheld = tuple(withheld_of(row).model_copy(update={"is_added": True}) for row in kept)
    if known is None:
        made = {"name": name, "is_policy": False, **attributes_of(about)}
        return pool_of({**made, "spans": spans, "withheld": withheld})
    told = {field: getattr(known, field) for field in type(known).model_fields}
    return Pool(**told | {"spans": (*known.spans, *spans), "withheld": (*known.withheld, *withheld)})


def _is_withheld(pool: Pool, row: PoolRow) -> bool:
    inside = parts_within(row.span, [span.run for span in pool.withheld])
    return sum(part.run.size for part in inside) == row.span.run.size


def _take_numbers(
    database: Database, row: PoolRow, now: datetime, done: dict[str, int], errors: list[RowError], *, dry_run: bool
) -> None:
    if row.until is not None and row.until <= now:
        errors.append(_error(row, "until", "it is over already ; choose a later moment"))
        return
    if dry_run:
        done[row.state] += row.span.run.size
        return
    try:
        with database.write() as connection:
            for position in row.span.run.positions():
                if row.state == "reserved":
                    inventory.reserve(
                        connection, position.number, owner=row.owner, reason=row.reason, until=row.until, now=now
                    )
                else:
                    inventory.block(connection, position.number, reason=row.reason or "blocked by import", now=now)
    except InputRefused as error:
        errors.append(_error(row, "start", str(error)))
    else:
        done[row.state] += row.span.run.size


def _error(row: PoolRow, column: str, reason: str) -> RowError:
    values = {"pool": row.pool, "start": row.span.start.e164, "until": str(row.until or "")}
    return RowError(line=row.line, column=column, value=values.get(column, ""), reason=reason)
