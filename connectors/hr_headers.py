"""The header of a feed: its names on one printable line each, and whether they fit the mapping."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator, Sequence

from config.errors import InputRefused
from config.site_mappings import FeedMapping


def name_of(cell: str) -> str:
    """Give a column's name on one printable line, because refusals repeat it."""
    name = " ".join(unicodedata.normalize("NFC", cell).lstrip("\ufeff").split())
    return "".join(c if c.isprintable() else "·" for c in name)


def checked_header(names: Sequence[str], mapping: FeedMapping, where: str) -> tuple[str, ...]:
    """Give the names once they are found to fit the mapping. Raises InputRefused."""
    folded = [name.casefold() for name in names]
    for place, name in enumerate(names):
        if not name:
            raise InputRefused(f"column {place + 1} has no name", where=where, remedy="correct the header")
        if folded.count(folded[place]) > 1:
            raise InputRefused(f"the header has {name} twice", where=where, remedy="remove one of them")
    for column in mapping.required_columns:
        if column not in names:
            raise _missing(column, names, where)
    needed = ("employee_id",) if mapping.kind == "snapshot" else ("employee_id", "event_id", "effective_at")
    for key in [mapping.column_of(field) for field in needed]:
        if key not in names:
            raise _missing(str(key), names, where)
    if mapping.extra_columns == "refuse" and (extra := [name for name in names if name not in mapping.columns]):
        raise InputRefused(
            f"column {extra[0]} is not in the mapping", where=where, remedy="map it, or allow extra columns"
        )
    return tuple(names)


def _missing(column: str, names: Sequence[str], where: str) -> InputRefused:
    close = difflib.get_close_matches(column, names, n=1)
    found = f"the header has {close[0]}" if close else f"the header has {', '.join(names[:6])} …"
    remedy = f"correct the header or the mapping: {found[:200]}"
    return InputRefused(f"column {column} is missing", where=where, remedy=remedy)


def unmapped(header: Sequence[str], mapping: FeedMapping) -> Iterator[str]:
    """Warn of columns that nobody mapped."""
    if extra := [name for name in header if name not in mapping.columns]:
        yield f"columns that are not mapped are ignored: {', '.join(extra)}"
