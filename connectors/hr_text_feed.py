"""A feed as a delimited text file: where its header is, which delimiter it has, and its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from config.errors import InputRefused
from config.site_mappings import FeedMapping
from connectors.hr_headers import checked_header, name_of
from connectors.hr_text import Record, TextFile, inspect, records, unreadable

DELIMITERS = (",", ";", "\t", "|")
_LONGEST_HEADER_LINES = 50


class TextFeed:
    """A text file whose header fits its mapping. Raises InputRefused when it is none."""

    def __init__(self, path: Path, mapping: FeedMapping) -> None:
        self._text = inspect(path, mapping.encoding)
        self.where, self.digest, self.encoding = str(path), self._text.digest, self._text.encoding
        self.is_plain, self.warnings, self._stamp = self._text.is_plain, self._text.warnings, stamp(path)
        self.delimiter, self.header, self._header_line = _find_header(self._text, mapping)

    def records(self, *, cut: bool = True) -> Iterator[Record]:
        """Give the records below the header."""
        try:
            with self._text.open() as file:
                lines = islice(file, self._header_line, None)
                yield from records(lines, self.delimiter, len(self.header), self._header_line, cut=cut)
        except OSError as error:
            raise unreadable(self._text.path, error) from error
        except UnicodeDecodeError as error:  # it decoded when it was opened
            raise changed(self.where) from error

    def check_unchanged(self) -> None:
        """Raise InputRefused when the file changed since it was opened."""
        if stamp(self._text.path) != self._stamp:
            raise changed(self.where)


def changed(where: str) -> InputRefused:
    """Say that a feed changed while it was read."""
    return InputRefused("the feed changed while it was read", where=where, remedy="read it again")


def stamp(path: Path) -> tuple[int, int]:
    """Give size and time of a file, by which a change is seen. Raises InputRefused when it cannot be read."""
    try:
        stat = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    return stat.st_size, stat.st_mtime_ns


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
    return delimiter, checked_header(names, mapping, str(text.path)), skipped + lines


def _first_written(lines: Sequence[str], start: int) -> int:
    return next((n for n in range(start, len(lines)) if lines[n].strip()), len(lines))


def _declared_delimiter(line: str) -> str | None:
    """Read the line `sep=;` that spreadsheets put before the header."""
    name, _, sign = line.rstrip("\r\n").partition("=")
    return sign if name.casefold() == "sep" and sign in DELIMITERS else None


def _header_by(delimiter: str, lines: Sequence[str]) -> tuple[list[str], int]:
    _, text, cells, _ = next(records(iter(lines), delimiter))
    return [name_of(cell) for cell in cells], 1 + text.count("\n")
