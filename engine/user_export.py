"""Write users to a file for spreadsheets or programs; nothing in it is a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import orjson

from config.errors import InputRefused
from connectors import xlsx
from datasets.feeds import formula_safe
from engine.user_search import Found


def write(path: Path, people: Iterable[Found], columns: Sequence[str]) -> int:
    """Write a file that replaces an older one when it is whole; gives how many users. Raises InputRefused."""
    writers = {".csv": _write_csv, ".json": _write_json, ".xlsx": _write_xlsx}
    if path.suffix not in writers:
        raise InputRefused(f"{path} is no .csv, .xlsx or .json file", remedy="name the file by what it shall be")
    beginning = path.with_name(f"{path.name}.part")
    try:
        written = writers[path.suffix](beginning, people, columns)
        beginning.replace(path)
    except OSError as error:
        raise InputRefused(f"{path} cannot be written ({error.strerror})", remedy="choose another place") from error
    return written


def _write_csv(path: Path, people: Iterable[Found], columns: Sequence[str]) -> int:
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # the mark tells spreadsheets the encoding
        lines = csv.writer(file)
        lines.writerow(["id", *columns])
        return sum(bool(lines.writerow(map(formula_safe, _cells(each, columns)))) for each in people)


def _write_xlsx(path: Path, people: Iterable[Found], columns: Sequence[str]) -> int:
    rows = (_cells(each, columns) for each in people)
    return xlsx.write(path, chain([["id", *columns]], rows), title="users") - 1


def _cells(each: Found, columns: Sequence[str]) -> list[str]:
    return [each.key, *(each.columns.get(name, "") for name in columns)]


def _write_json(path: Path, people: Iterable[Found], columns: Sequence[str]) -> int:
    with path.open("wb") as file:
        return sum(bool(file.write(_json_line(each, columns))) for each in people)


def _json_line(each: Found, columns: Sequence[str]) -> bytes:
    shown = {name: value for name, value in each.columns.items() if name in columns}
    return orjson.dumps({"id": each.key, **shown}) + b"\n"
