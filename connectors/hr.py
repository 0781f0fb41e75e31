"""Feeds from an HR system: delimited text files, read as a stream of people and quarantined rows.

A file that is no feed at all is refused as a whole; a row that is wrong is told by line, column and reason, and the
others go on. What the columns mean is the site's mapping.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from config.errors import InputRefused
from config.site_mappings import FeedMapping
from connectors.hr_rows import RowReader
from connectors.hr_sets import STRANGER, SetWatch
from connectors.hr_text import Record, TextFile, inspect, records, unreadable
from datasets.feeds import BadRow, FeedContents, GoodRow

DELIMITERS = (",", ";", "\t", "|")
_LONGEST_HEADER_LINES = 50


class HrFeed:
    """A feed file whose header fits its mapping; `rows` may be read any number of times."""

    def __init__(self, text: TextFile, mapping: FeedMapping) -> None:
        self.mapping, self.path, self.digest, self.encoding = mapping, text.path, text.digest, text.encoding
        self._text, self._stamp = text, _stamp(text.path)
        self.delimiter, self.header, self._header_line = _find_header(text, mapping)
        self.warnings = [*text.warnings, *_unmapped(self.header, mapping)]
        self._reader = RowReader(mapping, self.header, self.delimiter, is_plain=text.is_plain)
        if next(self._records(), None) is None:
            raise InputRefused("the feed has a header but no rows", where=str(self.path), remedy="export it again")

    @property
    def name(self) -> str:
        """Give the name under which feeds of this kind are compared."""
        return self.mapping.name

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """Give every row in order as a stream; a row that others make wrong comes a second time at the end, as bad.

        Raises InputRefused if the file changes meanwhile.
        """
        at_key = self._reader.at[self._key]
        heeds_managers = self.mapping.kind == "snapshot"
        with SetWatch() as watch:
            see, read = watch.see, self._reader.read
            for record in self._records():
                row = read(record)
                if len(record[2]) > at_key and (key := record[2][at_key].strip()):
                    manager = row.person.manager_employee_id if heeds_managers and isinstance(row, GoodRow) else None
                    see(record[0], key, manager)
                yield row
            yield from self._withdrawn(watch)
        if _stamp(self.path) != self._stamp:
            raise self._changed()

    def read(self) -> FeedContents:
        """Read the whole feed into memory: good and bad rows, each line once."""
        good: dict[int, GoodRow] = {}
        bad: list[BadRow] = []
        for row in self.rows():
            if isinstance(row, GoodRow):
                good[row.line] = row
            else:
                good.pop(row.line, None)
                bad.append(row)
        return FeedContents(list(good.values()), sorted(bad, key=lambda row: row.line), list(self.warnings))

    def _withdrawn(self, watch: SetWatch) -> Iterator[BadRow]:
        """Give the rows that were good by themselves; what was bad already stays as it was told."""
        told: set[int] = set()
        for record, is_duplicate, reason in watch.verdicts(partial(self._records, cut=False)):
            line, text, cells, problem = record
            whole = (line, text, cells or text.split(self.delimiter), problem)
            row = self._reader.read(whole)
            if isinstance(row, BadRow) or line in told:
                continue
            if is_duplicate:
                yield self._bad(whole, self._key, row, reason)
            elif self.mapping.unknown_manager == "warn" and reason == STRANGER:
                self._warn(f"manager of line {line} {reason}")
                continue
            else:
                yield self._bad(whole, "manager_employee_id", row, reason)
            told.add(line)

    def _bad(self, record: Record, field: str, row: GoodRow, reason: str) -> BadRow:
        return self._reader.bad(record, field, reason, str(getattr(row.person, field)))

    @property
    def _key(self) -> str:
        return "employee_id" if self.mapping.kind == "snapshot" else "event_id"

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _records(self, *, cut: bool = True) -> Iterator[Record]:
        """Give the records below the header."""
        try:
            with self._text.open() as file:
                lines = islice(file, self._header_line, None)
                yield from records(lines, self.delimiter, len(self.header), self._header_line, cut=cut)
        except OSError as error:
            raise unreadable(self.path, error) from error
        except UnicodeDecodeError as error:  # it decoded when it was opened
            raise self._changed() from error

    def _changed(self) -> InputRefused:
        return InputRefused("the feed changed while it was read", where=str(self.path), remedy="read it again")


def open_feed(path: Path, mapping: FeedMapping) -> HrFeed:
    """Open a feed file; raises InputRefused with one line when it is no feed of this mapping."""
    return HrFeed(inspect(path, mapping.encoding), mapping)


def reread(raw: Mapping[str, str], mapping: FeedMapping, line: int) -> GoodRow | BadRow:
    """Read one quarantined row again by a mapping that may have been corrected; rules across rows are left out."""
    reader = RowReader(mapping, _checked_header(list(raw), mapping, "quarantined row"), ",")
    return reader.read((line, ", ".join(raw.values()), list(raw.values()), ""))


def _find_header(text: TextFile, mapping: FeedMapping) -> tuple[str, tuple[str, ...], int]:
    """Give delimiter, header and the number of lines up to its end."""
    with text.open() as file:
        start = list(islice(file, _LONGEST_HEADER_LINES))
    skipped = _first_written(start, 0)
    declared = _declared_delimiter(start[skipped]) if skipped < len(start) else None
    skipped = _first_written(start, skipped + 1) if declared else skipped
    if skipped == len(start):
        raise InputRefused("the feed is empty", where=str(text.path), remedy="export it again")
    given = mapping.delimiter or declared
    tried = [(sign, *_header_by(sign, start[skipped:])) for sign in ((given,) if given else DELIMITERS)]
    delimiter, names, lines = max(tried, key=lambda found: len(set(mapping.columns).intersection(found[1])))
    if len(names) == 1 and len(mapping.columns) > 1 and names[0] not in mapping.columns:
        remedy = "export it with one of , ; tab | or say delimiter in the mapping"
        raise InputRefused("the header is one single column: another delimiter?", where=str(text.path), remedy=remedy)
    return delimiter, _checked_header(names, mapping, str(text.path)), skipped + lines


def _first_written(lines: Sequence[str], start: int) -> int:
    return next((n for n in range(start, len(lines)) if lines[n].strip()), len(lines))


def _declared_delimiter(line: str) -> str | None:
    """Read the line `sep=;` that spreadsheets put before the header."""
    name, _, sign = line.rstrip("\r\n").partition("=")
    return sign if name.casefold() == "sep" and sign in DELIMITERS else None


def _header_by(delimiter: str, lines: Sequence[str]) -> tuple[list[str], int]:
    _, text, cells, _ = next(records(iter(lines), delimiter))
    return [_name(cell) for cell in cells], 1 + text.count("\n")


def _name(cell: str) -> str:
    """Give a column's name on one printable line, because refusals repeat it."""
    name = " ".join(unicodedata.normalize("NFC", cell).lstrip("\ufeff").split())
    return "".join(c if c.isprintable() else "·" for c in name)


def _checked_header(names: Sequence[str], mapping: FeedMapping, where: str) -> tuple[str, ...]:
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


def _unmapped(header: Sequence[str], mapping: FeedMapping) -> Iterator[str]:
    if extra := [name for name in header if name not in mapping.columns]:
        yield f"columns that are not mapped are ignored: {', '.join(extra)}"


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    return stat.st_size, stat.st_mtime_ns
