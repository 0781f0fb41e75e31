"""Sheets of rows as files: CSV and XLSX, read with the line of each row, written without formulas."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from config.errors import InputRefused
from connectors import xlsx
from connectors.xlsx_cells import text_of_number

Cell = str | float
Row = tuple[int, dict[str, Cell]]
LARGEST_FILE = 200 * 1024 * 1024
_NUMBER = re.compile(r"\+\d+(?:;ext=\d+)?", re.ASCII)


def read_sheet(path: Path, columns: Sequence[str], *, others: bool = False) -> Iterator[Row]:
    """Read the rows of a sheet by the names of its header row. Raises InputRefused for a file that is none.

    With `others`, columns that nobody asked for are left alone, as long as one is known.
    """
    rows = _rows(path)
    _, header = next(rows, (0, []))
    names = [str(cell).strip().casefold() for cell in header]
    unknown = [name for name in names if name and name not in columns]
    if others and len(unknown) < len([name for name in names if name]):
        unknown = []
    if unknown or not names or len(set(names)) != len(names):
        what = f"column {unknown[0]!r} is not known" if unknown else "the header row is missing or names a column twice"
        raise InputRefused(what, where=str(path), remedy=f"use the columns {', '.join(columns)}")
    for line, cells in rows:
        if any(cell not in ("", None) for cell in cells):
            yield line, {name: cell for name, cell in zip(names, cells, strict=False) if name}


def write_sheet(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write a new sheet, XLSX or CSV by the file's name; gives how many rows. Nothing in it is a formula."""
    if path.suffix.casefold() == ".xlsx":
        return _attempt(path, lambda: xlsx.write(path, [columns, *rows]) - 1)
    return _attempt(path, lambda: _write_csv(path, columns, rows))


def rows_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Give every row of a sheet as text, numbers as digits. Raises InputRefused for a file that is none."""
    for line, cells in _rows(path):
        yield line, [text_of_number(cell) if isinstance(cell, float) else cell for cell in cells]


def _rows(path: Path) -> Iterator[tuple[int, Sequence[Cell]]]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputRefused("the file is too large", where=str(path), remedy="split it")
        if path.suffix.casefold() == ".xlsx":
            yield from xlsx.read(path)
        else:
            yield from _read_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        remedy = "correct the path or its permissions" if isinstance(error, OSError) else "save it as CSV UTF-8 or XLSX"
        raise InputRefused(f"cannot be read: {why}", where=str(path), remedy=remedy) from error


def _read_csv(path: Path) -> Iterator[tuple[int, Sequence[Cell]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=";" if first.count(";") > first.count(",") else ",", strict=True)
        for cells in reader:
            yield reader.line_num, [cell.removeprefix("'") for cell in cells]


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for count, row in enumerate(rows, 1):  # noqa: B007 - the last count is what is given back
            writer.writerow([_safe(cell) for cell in row])
    return count


def _safe(cell: str) -> str:
    """Keep a spreadsheet from taking text for a formula; numbers like +43… cannot be one."""
    if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "'") and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _attempt(path: Path, act: Callable[[], int]) -> int:
    try:
        return act()
    except OSError as error:
        why = f"cannot be written: {error.strerror}"
        raise InputRefused(why, where=str(path), remedy="choose a folder you may write to") from error
