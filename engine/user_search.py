"""Search the cached users: any text in any shown column, whatever its case, one page and the count apart.

Three letters and more use the trigram index of the database; shorter ones scan. Both give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Integer, Select, bindparam, column, func, select, table, text

from config.errors import InputRefused
from datasets.cached import COLUMNS, folded
from datasets.tables.cache import cache_state, user_views
from engine import cache

PAGE = 50
_TRIGRAM = 3
_SLICE = 1000
_SPECIAL, _ESCAPE = r"([%_\\])", r"\\\1"

# Built once: building a statement takes longer than the database does.
_INDEX = table("user_search", column("rowid", Integer))
_ROW = (user_views.c.id, user_views.c.key, user_views.c.columns)
_VISIBLE = cache.visible(user_views, select(cache_state.c.generation).scalar_subquery())
_MATCH = text("user_search MATCH :wanted")
_LIKE = user_views.c.text.like(bindparam("wanted"), escape="\\")
_JOINED = _INDEX.join(user_views, user_views.c.id == _INDEX.c.rowid)  # the index leads, and is in order
_COUNT_INDEX = select(func.count()).select_from(_INDEX).where(_MATCH)
_COUNT_BY_INDEX = select(func.count()).select_from(_JOINED).where(_MATCH, _VISIBLE)
_COUNT_BY_SCAN = select(func.count()).select_from(user_views).where(_LIKE, _VISIBLE)


def _paged(statement: Select[Any], place: ColumnElement[int]) -> Select[Any]:
    return statement.where(_VISIBLE, place > bindparam("after")).order_by(place).limit(bindparam("size"))


_BY_INDEX = _paged(select(*_ROW).select_from(_JOINED).where(_MATCH), _INDEX.c.rowid)
_BY_SCAN = _paged(select(*_ROW).where(_LIKE), user_views.c.id)


class Found(NamedTuple):
    """One user: the place in the list from which a next page goes on, the key, and the columns as text."""

    place: int
    key: str
    columns: dict[str, str]


def check_columns(names: Collection[str]) -> tuple[str, ...]:
    """Give the columns in their order; all of them when none is named. Raises InputRefused for an unknown one."""
    unknown = sorted(set(names) - set(COLUMNS))
    if unknown:
        raise InputRefused(f"there is no column {unknown[0]!r}", remedy=f"choose from {', '.join(COLUMNS)}")
    return tuple(name for name in COLUMNS if name in names) if names else tuple(COLUMNS)


def page(
    connection: Connection, query: str, *, shown: Collection[str] = (), after: int = 0, limit: int = PAGE
) -> list[Found]:
    """Give the next users who have the text in one of the shown columns. Raises InputRefused."""
    columns = check_columns(shown)
    if len(columns) == len(COLUMNS):
        return list(islice(_candidates(connection, query, after, limit), limit))
    candidates = _candidates(connection, query, after, _SLICE)
    return list(islice((each for each in candidates if _is_shown(each, query, columns)), limit))


def everybody(connection: Connection, query: str, *, shown: Collection[str] = ()) -> Iterator[Found]:
    """Give all users who have the text in one of the shown columns, in little memory. Raises InputRefused."""
    columns = check_columns(shown)
    candidates = _candidates(connection, query, 0, _SLICE)
    return (each for each in candidates if len(columns) == len(COLUMNS) or _is_shown(each, query, columns))


def count(connection: Connection, query: str, *, shown: Collection[str] = ()) -> int:
    """Count the users who have the text in one of the shown columns. Raises InputRefused."""
    columns = check_columns(shown)
    if len(columns) < len(COLUMNS):
        return sum(_is_shown(each, query, columns) for each in _candidates(connection, query, 0, _SLICE))
    wanted = folded(query)
    if not _has_index(connection, wanted):
        return int(connection.execute(_COUNT_BY_SCAN, {"wanted": _pattern(wanted)}).scalar_one())
    counted = _COUNT_INDEX if cache.is_clean(connection) else _COUNT_BY_INDEX
    return int(connection.execute(counted, {"wanted": _phrase(wanted)}).scalar_one())


def user(connection: Connection, name: str) -> Found | None:
    """Find one user by key or by address; None when there is none."""
    by_key = connection.execute(select(*_ROW).where(_VISIBLE, user_views.c.key == name)).first()
    if by_key is not None:
        return Found(*by_key)
    wanted = name.casefold()
    return next((each for each in _candidates(connection, name, 0, _SLICE) if _address(each) == wanted), None)


def _address(each: Found) -> str:
    return each.columns.get("address", "").casefold()


def _is_shown(each: Found, query: str, columns: Sequence[str]) -> bool:
    wanted = folded(query)
    return any(wanted in folded(each.columns.get(name, "")) for name in columns)


def _candidates(connection: Connection, query: str, after: int, size: int) -> Iterator[Found]:
    """Give everybody with the text in any column, in order, reading as many at a time."""
    wanted = folded(query)
    is_indexed = _has_index(connection, wanted)
    statement, sought = (_BY_INDEX, _phrase(wanted)) if is_indexed else (_BY_SCAN, _pattern(wanted))
    while True:
        rows = connection.execute(statement, {"wanted": sought, "after": after, "size": size}).all()
        yield from (Found(*row) for row in rows)
        if len(rows) < size:
            return
        after = rows[-1].id


def has_index(connection: Connection) -> bool:
    """Tell whether the database has a trigram index; without one every search scans."""
    if connection.dialect.name == "sqlite":
        return True
    found = select(func.count()).select_from(table("pg_indexes")).where(column("indexname") == "ix_user_search")
    return bool(connection.execute(found.where(column("schemaname") == func.current_schema())).scalar_one())


def _has_index(connection: Connection, wanted: str) -> bool:
    """Tell whether SQLite's own index answers this; PostgreSQL chooses by itself."""
    return connection.dialect.name == "sqlite" and len(wanted) >= _TRIGRAM


def _phrase(wanted: str) -> str:
    return '"' + wanted.replace('"', '""') + '"'


def _pattern(wanted: str) -> str:
    return f"%{re.sub(_SPECIAL, _ESCAPE, wanted)}%"
