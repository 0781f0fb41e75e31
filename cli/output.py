"""What commands print: tables for people, one JSON value for programs. Rich is imported only when it prints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, object]


def say(line: str = "") -> None:
    """Print one plain line on standard output."""
    sys.stdout.write(line + "\n")


def note(line: str) -> None:
    """Print one line for a person on standard error, so that it never mixes with JSON."""
    sys.stderr.write(line + "\n")


def as_json(value: object) -> None:
    """Print a value as one line of JSON."""
    say(json.dumps(value, default=_plain, ensure_ascii=False))


def show(rows: Iterable[Row], columns: Sequence[str], *, json_wanted: bool, title: str = "", empty: str = "") -> None:
    """Print rows as a table, or as a JSON list with every field; say `empty` when there are none."""
    found = list(rows)
    if json_wanted:
        as_json(found)
    elif found:
        table(found, columns, title=title)
    else:
        say(empty or "nothing to show")


def table(rows: Sequence[Row], columns: Sequence[str], *, title: str = "") -> None:
    """Print rows as a table with the given columns."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        grid.add_column(column.replace("_", " "), overflow="fold", no_wrap=column == "at")
    for row in rows:
        grid.add_row(*(Text(text(row.get(column))) for column in columns))
    _console().print(grid)


def pairs(values: Row, *, title: str = "") -> None:
    """Print names and values below each other."""
    table([{"name": name, "value": value} for name, value in values.items()], ["name", "value"], title=title)


def text(value: object) -> str:
    """Put a value as a person reads it: no Python notation, moments to the second."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case list() | tuple():
            return ", ".join(text(item) for item in value)
        case dict():
            return " · ".join(f"{name} {text(item)}" for name, item in value.items())
    return str(value)


def confirmed(question: str, *, yes: bool) -> bool:
    """Ask before a destructive act unless `--yes` was given; without a terminal the answer is no."""
    if yes:
        return True
    if not sys.stdin.isatty():
        note(f"{question} ; nothing was done: repeat with --yes to do it")
        return False
    import typer

    return typer.confirm(question)


def _plain(value: object) -> object:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def _console() -> Console:
    from rich.console import Console

    # A pipe has no width; rich would cut at 80 columns what a script wants whole.
    return Console(
        highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    )
