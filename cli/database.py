"""The schema of our database: where it stands, and the one command that changes it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import opened, output
from cli.exits import FinishedWithFailures

app = typer.Typer(help="Look at the schema of our database, or bring it up to date.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("status")
def status(as_json: Json = False) -> None:
    """Show which schema the database has and which one this program needs; exit code 1 when they differ."""
    from connectors import schema

    with opened.any_database() as database:
        found = schema.revision(database)
        where = database.url.render_as_string(hide_password=True)
    facts = {"database": where, "schema": found.found, "needed": found.needed, "current": found.is_current}
    output.as_json(facts) if as_json else output.pairs(facts)
    if not found.is_current:
        raise FinishedWithFailures("" if as_json else "the schema is not current ; run: ./callwright database upgrade")


@app.command("upgrade")
def upgrade(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; there is a backup.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the schema up to date; a database that holds something is changed only after a yes."""
    from connectors import schema

    with opened.any_database() as database:
        found = schema.revision(database)
        old = not found.is_current and not found.is_empty
        question = f"change the schema from {found.found} to {found.needed}? There is no way back but a backup"
        if old and not output.confirmed(question, yes=yes):
            raise typer.Exit(1)
        schema.upgrade(database)
        after = schema.revision(database)
    facts = {"before": found.found, "after": after.found}
    said = f"schema is {after.found}" + ("" if found.found else " ; the database is new")
    output.as_json(facts) if as_json else output.say(said)
