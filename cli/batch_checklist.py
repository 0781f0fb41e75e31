"""Checklists on the command line: user by user what was checked, what was done, how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import opened, output

SHOWN = 50
SHORT = ("user", "end", "checked", "moved", "line cleared", "numbered", "policies set")


def checklist(
    batch: Annotated[str, typer.Argument(help="Name or id of the batch.")],
    user: Annotated[str, typer.Option(help="Only users whose name has this, or the one with this id.")] = "",
    file: Annotated[Path | None, typer.Option(help="CSV or XLSX file for the checklists of everybody.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many users.")] = SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show user by user what was checked before the move, how far each step is, and how it ended."""
    from connectors import sheets
    from datasets.checklists import short
    from engine import batches, checklists

    with opened.database() as database, database.read() as connection:
        found = batches.find(connection, batch)
        rows = checklists.of_batch(connection, found.id, limit=None if file else limit, user=user)
    if file is not None:
        written = sheets.write_sheet(
            file, checklists.COLUMNS, [[row[name] for name in checklists.COLUMNS] for row in rows]
        )
        output.say(f"{written} checklists are in {file}")
        return
    if as_json:
        output.as_json(rows)
    elif user:
        for row in rows or [{"user": f"nobody of the batch is {user}"}]:
            output.pairs(row, title="checklist")
    else:
        output.show([short(row) for row in rows], SHORT, json_wanted=False, title="checklists", empty="nobody")
