"""A feed as an XLSX sheet: its cells become the text that a delimited file would hold, and nothing is guessed.

A formula, an error, or a day where none belongs costs its row; a number where text belongs is taken with a warning,
because leading zeros are lost in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path

from config.errors import InputRefused
from config.site_mappings import FeedMapping
from connectors import xlsx
from connectors.hr_cells import DATES, IDS, PHONES
from connectors.hr_headers import checked_header, name_of
from connectors.hr_text import Record, unreadable
from connectors.hr_text_feed import changed, stamp
from connectors.xlsx_cells import Found, Strange, text_of_number

MARK = b"PK\x03\x04"
DELIMITER = ","
_DAYS = DATES | {"effective_at"}
_ZEROS_MATTER = IDS | PHONES | {"cost_center", "upn"}
_IMPRECISE = {"H", "M", "S", "f", "z"}


def is_sheet(path: Path) -> bool:
    """Tell from its first bytes whether a file is a zip archive, as XLSX files are."""
    try:
        with path.open("rb") as file:
            return file.read(len(MARK)) == MARK
    except OSError as error:
        raise unreadable(path, error) from error


class SheetFeed:
    """The first visible sheet of a file whose header fits its mapping. Raises InputRefused when there is none."""

    encoding, is_plain, delimiter = "xlsx", False, DELIMITER

    def __init__(self, path: Path, mapping: FeedMapping) -> None:
        self.where, self._path, self._stamp = str(path), path, stamp(path)
        with path.open("rb") as file:
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        sheet = xlsx.sheet(path)
        left = f"sheet {sheet.name!r} was read, not {', '.join(map(repr, sheet.others[:5]))}"
        self.warnings = [left] if sheet.others else []
        self.header, self._header_line = self._find_header(mapping)
        self._fields = [mapping.columns.get(name, "") for name in self.header]
        self._day_format = _day_format(mapping)

    def records(self, *, cut: bool = True) -> Iterator[Record]:  # noqa: ARG002 - cells of a sheet are always cut
        """Give the records below the header; a row without any text is left out."""
        width = len(self.header)
        for line, held in xlsx.rows(self._path):
            if line > self._header_line and any(cell != "" for cell in held):
                cells = [*held, *[""] * (width - len(held))]
                while len(cells) > width and cells[-1] == "":
                    cells.pop()
                texts = [self._text(place, cell) for place, cell in enumerate(cells)]
                yield line, DELIMITER.join(texts), texts, self._problem(cells)

    def check_unchanged(self) -> None:
        """Raise InputRefused when the file changed since it was opened."""
        if stamp(self._path) != self._stamp:
            raise changed(self.where)

    def _find_header(self, mapping: FeedMapping) -> tuple[tuple[str, ...], int]:
        for line, cells in xlsx.rows(self._path):
            if any(isinstance(cell, Strange) for cell in cells):
                raise InputRefused("the header holds a formula", where=self.where, remedy="save the sheet as values")
            names = [name_of(_plain(cell)) for cell in cells]
            while names and not names[-1]:
                names.pop()
            if names:
                return checked_header(names, mapping, self.where), line
        raise InputRefused("the feed is empty", where=self.where, remedy="export it again")

    def _text(self, place: int, cell: Found) -> str:
        if isinstance(cell, datetime):
            has_time = bool(cell.hour or cell.minute or cell.second)
            return cell.isoformat() if has_time else cell.strftime(self._day_format)
        if isinstance(cell, float) and self._field(place) in _ZEROS_MATTER:
            self._warn_of_numbers(place)
        return _plain(cell)

    def _problem(self, cells: Sequence[Found]) -> str:
        """Say what makes a row useless, whatever its other cells hold; columns that nobody mapped do not matter."""
        places = range(min(len(cells), len(self.header)))
        return next(filter(None, (self._strangeness(place, cells[place]) for place in places)), "")

    def _strangeness(self, place: int, cell: Found) -> str:
        field = self._field(place)
        if field and isinstance(cell, Strange):
            return f"{self.header[place]} {cell.what} (cell {cell.place}): save the sheet as values"
        if field and field not in _DAYS and isinstance(cell, datetime):
            return f"{self.header[place]} became a date in the spreadsheet: format the column as text"
        return ""

    def _field(self, place: int) -> str:
        return self._fields[place] if place < len(self._fields) else ""

    def _warn_of_numbers(self, place: int) -> None:
        warning = f"column {self.header[place]} holds numbers: leading zeros are lost in them, format it as text"
        if warning not in self.warnings:
            self.warnings.append(warning)


def _plain(cell: Found) -> str:
    if isinstance(cell, Strange):
        return f"={cell.shown}"  # what is tried again from quarantine stays a formula
    if isinstance(cell, float):
        return text_of_number(cell)
    return cell.isoformat() if isinstance(cell, datetime) else cell


def _day_format(mapping: FeedMapping) -> str:
    """Choose the mapping's own form for days, so that they are read like those of a text file."""
    fits = (form for form in mapping.date_formats if not _IMPRECISE & {part[:1] for part in form.split("%")[1:]})
    return next(chain((form for form in fits if "%Y" in form), mapping.date_formats))
