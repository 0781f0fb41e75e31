"""Journal rows to and from the database in bulk, with as little as possible between the driver and the digests.

SQL only. Values that are hashed are stored as the very text that is hashed; PostgreSQL normalises JSON, so there the
text is made anew when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, CursorResult

from datasets.tables.journal import journal, journal_effects
from engine.digests import canonical

_PAGE = 2000
ENTRY = tuple(str(column.name) for column in journal.columns)
EFFECT = tuple(str(column.name) for column in journal_effects.columns)


class EntryRow(NamedTuple):
    """An entry as it is stored; `payload` is canonical JSON, None when there is none."""

    stream_id: str
    seq: int
    at: str
    plan_id: str
    line: int
    change: int
    target: str
    phase: str
    result: str
    payload: str | None
    salt: str
    payload_digest: str
    previous: str
    digest: str


class EffectRow(NamedTuple):
    """An effect as it is stored; values are canonical JSON."""

    stream_id: str
    seq: int
    object: str
    attribute: str
    at: str
    before: str
    after: str


EntryValues = tuple[str, int, str, str, int, int, str, str, str, str | None, str, str, str, str]
EffectValues = tuple[str, int, str, str, str, str, str]


def moment_text(at: datetime) -> str:
    """Give a moment as the fixed-width text that is hashed."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    text = orjson.dumps(at, option=orjson.OPT_UTC_Z).decode()
    return text[1:-1] if at.microsecond else f"{text[1:20]}.000000Z"


def insert_entries(connection: Connection, rows: Sequence[EntryValues]) -> None:
    """Append entries in one statement."""
    _insert(connection, "journal", ENTRY, rows)


def insert_effects(connection: Connection, rows: Sequence[EffectValues]) -> None:
    """Append effects in one statement."""
    _insert(connection, "journal_effects", EFFECT, rows)


def _insert(connection: Connection, table: str, columns: Sequence[str], values: Sequence[tuple[Any, ...]]) -> None:
    if values:
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        names = ", ".join(f'"{name}"' for name in columns)
        marks = ", ".join([mark] * len(columns))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - names of our own tables
        connection.exec_driver_sql(statement, list(values))


def entries(connection: Connection, stream: str = "") -> Iterator[EntryRow]:
    """Read every entry, or those of one stream, stream by stream in order."""
    yield from _read(connection, "journal", ENTRY, "stream_id, seq", make=_entry_of(connection), stream=stream)


def effects(connection: Connection, stream: str = "") -> Iterator[EffectRow]:
    """Read every effect, or those of one stream, in the order of the entries, then by object and attribute."""
    order = 'stream_id, seq, "object", attribute'
    if connection.dialect.name != "sqlite":
        order = 'stream_id COLLATE "C", seq, "object" COLLATE "C", attribute COLLATE "C"'
    yield from _read(connection, "journal_effects", EFFECT, order, make=_effect_of(connection), stream=stream)


def _read(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    order: str,
    *,
    make: Callable[[Any], Any],
    stream: str,
) -> Iterator[Any]:
    names = ", ".join(f'"{name}"' for name in columns)
    if connection.dialect.name == "sqlite":
        # SQLite keeps JSON that is a number as one; what was hashed is its text.
        for name in ("payload", "before", "after"):
            names = names.replace(f'"{name}"', f'CAST("{name}" AS text)')
    elif table == "journal":
        # As text, because the driver gives None both for JSON's null and for a payload that was erased.
        names, order = names.replace('"payload"', 'CAST("payload" AS text)'), 'stream_id COLLATE "C", seq'
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    where = f" WHERE stream_id = {mark}" if stream else ""
    statement = f"SELECT {names} FROM {table}{where} ORDER BY {order}"  # noqa: S608 - names of our own tables
    parameters = (stream,) if stream else ()
    result = connection.exec_driver_sql(statement, parameters, execution_options={"stream_results": True})
    with result:
        for page in _pages(connection, result):
            yield from map(make, page)


def _pages(connection: Connection, result: CursorResult[Any]) -> Iterator[Sequence[Any]]:
    """Give pages of plain tuples; on SQLite straight from the driver, because a million rows pass here."""
    if connection.dialect.name != "sqlite":
        yield from result.partitions(_PAGE)
        return
    assert result.cursor is not None
    while page := result.cursor.fetchmany(_PAGE):
        yield page


def _entry_of(connection: Connection) -> Callable[[Any], Any]:
    if connection.dialect.name == "sqlite":
        return tuple
    return lambda row: (*row[:2], moment_text(row[2]), *row[3:9], _canonical(row[9]), *row[10:])


def _effect_of(connection: Connection) -> Callable[[Any], Any]:
    if connection.dialect.name == "sqlite":
        return tuple
    return lambda row: (*row[:4], moment_text(row[4]), canonical(row[5]), canonical(row[6]))


def _canonical(value: str | None) -> str | None:
    return None if value is None else canonical(orjson.loads(value))
