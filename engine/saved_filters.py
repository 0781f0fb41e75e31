"""Searches that operators saved under a name: they stay until somebody deletes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from config.errors import InputRefused
from datasets.tables.cache import saved_filters

LONGEST_NAME = 80


class SavedFilter(NamedTuple):
    """A text to look for and the columns to show."""

    name: str
    query: str
    columns: tuple[str, ...]
    saved_by: str
    saved_at: datetime


def save(connection: Connection, wanted: SavedFilter) -> None:
    """Keep a search in place of one's own of this name. Raises InputRefused for a bad name or another's filter."""
    if not wanted.name.strip() or len(wanted.name) > LONGEST_NAME:
        raise InputRefused("the name of a filter is empty or too long", remedy=f"use 1 to {LONGEST_NAME} letters")
    saved_by = select(saved_filters.c.saved_by).where(saved_filters.c.name == wanted.name)
    owner = connection.execute(saved_by).scalar_one_or_none()
    if owner not in (None, wanted.saved_by):
        remedy = f"choose another name, or delete it first: ./callwright users delete-filter {wanted.name!r}"
        raise InputRefused(f"filter {wanted.name!r} was saved by {owner}", remedy=remedy)
    delete_filter(connection, wanted.name)
    connection.execute(insert(saved_filters).values(**wanted._asdict() | {"columns": list(wanted.columns)}))


def load(connection: Connection, name: str) -> SavedFilter:
    """Give a saved search. Raises InputRefused when there is none of that name."""
    found = next((each for each in names(connection) if each.name == name), None)
    if found is None:
        raise InputRefused(f"no filter is saved as {name!r}", remedy="./callwright users filters lists them")
    return found


def names(connection: Connection) -> Sequence[SavedFilter]:
    """Give every saved search, by name."""
    rows = connection.execute(select(saved_filters).order_by(saved_filters.c.name))
    return [SavedFilter(row.name, row.query, tuple(row.columns), row.saved_by, row.saved_at) for row in rows]


def delete_filter(connection: Connection, name: str) -> bool:
    """Forget a saved search; tells whether there was one."""
    return bool(connection.execute(delete(saved_filters).where(saved_filters.c.name == name)).rowcount)
