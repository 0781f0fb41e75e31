"""Feeds from an HR system, read as a stream of people and quarantined rows: delimited text, XLSX sheets, or JSON.

What is no feed at all is refused as a whole; a row that is wrong is told by line, column and reason, and the others go
on. What the columns mean is the site's mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from config.errors import InputRefused
from config.site_mappings import FeedMapping
from connectors.hr_headers import checked_header, unmapped
from connectors.hr_rows import RowReader
from connectors.hr_sets import STRANGER, SetWatch
from connectors.hr_sheets import SheetFeed, is_sheet
from connectors.hr_text import Record
from connectors.hr_text_feed import TextFeed
from datasets.feeds import BadRow, FeedContents, GoodRow


class Source(Protocol):
    """Where a feed's records come from: a text file, a sheet, or the body of an event."""

    @property
    def where(self) -> str:
        """Name it for people."""

    @property
    def digest(self) -> str:
        """Give the SHA-256 of what was sent."""

    @property
    def encoding(self) -> str:
        """Tell how it was read."""

    @property
    def is_plain(self) -> bool:
        """Tell whether no cell needs a look for control characters and composed letters."""

    @property
    def warnings(self) -> Sequence[str]:
        """Give what its reader was unsure of; there may be more once it was read."""

    @property
    def delimiter(self) -> str:
        """Give what stands between the cells of a record's text."""

    @property
    def header(self) -> tuple[str, ...]:
        """Give the names of the columns."""

    def records(self, *, cut: bool = True) -> Iterator[Record]:
        """Give the records below the header; without `cut`, cells may be left out."""

    def check_unchanged(self) -> None:
        """Raise InputRefused when it changed since it was opened."""


class HrFeed:
    """A feed whose header fits its mapping; `rows` may be read any number of times."""

    def __init__(self, source: Source, mapping: FeedMapping) -> None:
        self.mapping, self._source = mapping, source
        self.digest, self.encoding, self.delimiter, self.header = (
            source.digest,
            source.encoding,
            source.delimiter,
            source.header,
        )
        self.warnings = [*source.warnings, *unmapped(self.header, mapping)]
        self._reader = RowReader(mapping, self.header, self.delimiter, is_plain=source.is_plain)
        if next(source.records(), None) is None:
            raise InputRefused("the feed has a header but no rows", where=source.where, remedy="export it again")

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
            for record in self._source.records():
                row = read(record)
                if len(record[2]) > at_key and (key := record[2][at_key].strip()):
                    manager = row.person.manager_employee_id if heeds_managers and isinstance(row, GoodRow) else None
                    see(record[0], key, manager)
                yield row
            yield from self._withdrawn(watch)
        self._source.check_unchanged()
        for warning in self._source.warnings:
            self._warn(warning)

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
        for record, is_duplicate, reason in watch.verdicts(partial(self._source.records, cut=False)):
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


def open_feed(path: Path, mapping: FeedMapping) -> HrFeed:
    """Open a feed file; raises InputRefused with one line when it is no feed of this mapping."""
    return HrFeed(SheetFeed(path, mapping) if is_sheet(path) else TextFeed(path, mapping), mapping)


def reread(raw: Mapping[str, str], mapping: FeedMapping, line: int) -> GoodRow | BadRow:
    """Read one quarantined row again by a mapping that may have been corrected; rules across rows are left out."""
    reader = RowReader(mapping, checked_header(list(raw), mapping, "quarantined row"), ",")
    return reader.read((line, ", ".join(raw.values()), list(raw.values()), ""))
