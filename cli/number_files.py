"""Pools and numbers as sheets: `numbers import`, `numbers export`, `numbers template`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import opened, output
from cli.exits import FinishedWithFailures
from cli.number_options import Json, actor, forbidden

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.pool_import import Imported

Sheet = Annotated[Path, typer.Argument(help="The file, .csv or .xlsx.")]


def import_file(
    file: Sheet,
    errors: Annotated[
        Path | None, typer.Option(help="Where rows that were not taken go; else beside the file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would come of it.")] = False,
    as_json: Json = False,
) -> None:
    """Take pools, ranges, reservations and blocks from a sheet; rows that will not do go to an error file."""
    from datetime import UTC, datetime

    from connectors.sheets import read_sheet
    from datasets.pool_files import COLUMNS, read_row
    from engine import inventory, pool_import

    rows = (read_row(line, cells) for line, cells in read_sheet(file, COLUMNS))
    with opened.database() as database, inventory.acting_as(actor()):
        done = pool_import.take_rows(database, rows, datetime.now(UTC), forbidden=forbidden(), dry_run=dry_run)
    place = errors or file.with_name(f"{file.name}.errors.csv")
    if done.errors:
        _write_errors(place, done)
    told = {name: value for name, value in done._asdict().items() if name != "errors"}
    facts = told | {"refused": len({error.line for error in done.errors}), "dry_run": dry_run}
    output.as_json(facts | {"errors": [each.model_dump() for each in done.errors]}) if as_json else output.pairs(facts)
    if done.errors:
        raise FinishedWithFailures(f"{facts['refused']} rows of {file} were not taken ; see {place}")


def export_file(
    file: Sheet,
    pool: Annotated[str, typer.Option(help="Only this pool.")] = "",
    as_json: Json = False,
) -> None:
    """Write pools with ranges, withheld parts and taken numbers into a sheet that 'numbers import' reads."""
    from connectors.sheets import write_sheet
    from datasets.pool_files import COLUMNS

    with opened.database() as database, database.read() as connection:
        count = write_sheet(file, COLUMNS, _rows(connection, pool))
    output.as_json({"file": str(file), "rows": count}) if as_json else output.say(f"{count} rows are in {file}")


def template(file: Sheet, as_json: Json = False) -> None:
    """Write a sheet with the columns and examples that 'numbers import' understands."""
    from connectors.sheets import write_sheet
    from datasets.pool_files import COLUMNS, TEMPLATE

    count = write_sheet(file, COLUMNS, TEMPLATE)
    output.as_json({"file": str(file), "rows": count}) if as_json else output.say(f"a template is in {file}")


def _rows(connection: Connection, pool: str) -> Iterator[tuple[str, ...]]:
    from datasets.inventory import UnknownPool
    from datasets.pool_files import rows_of
    from engine import inventory, inventory_listing

    for name in [pool] if pool else inventory.pool_names(connection):
        found = inventory.read_pool(connection, name)
        if found is None:
            raise UnknownPool(name)
        yield from rows_of(found, inventory_listing.every_taken(connection, name))


def _write_errors(place: Path, done: Imported) -> None:
    from connectors.sheets import write_sheet

    columns = ("line", "column", "value", "reason")
    write_sheet(place, columns, [(str(e.line), e.column, e.value, e.reason) for e in done.errors])
