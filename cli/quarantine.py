"""Quarantined feed rows on the command line: list them, or try them again."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import opened, output
from cli.acts import actor, quietly
from cli.onboarding import Mapping_, report, whole_path

app = typer.Typer(help="Look at the feed rows that were not understood, or try them again.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
COLUMNS = ("id", "feed_name", "line", "column", "reason", "at")


@app.command("list")
def list_rows(
    state: Annotated[str, typer.Option(help="open, retried, superseded or dismissed.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, oldest first.")] = 100,
    as_json: Json = False,
) -> None:
    """List the quarantined rows with line, column and reason."""
    from config.errors import InputRefused
    from datasets.feeds import QuarantineState
    from engine import feeds

    if state not in list(QuarantineState):
        known = ", ".join(each.value for each in QuarantineState)
        raise InputRefused(f"no row can be '{state}'", where="--state", remedy=f"choose one of: {known}")
    with opened.database() as database, database.read() as connection:
        rows = [dict(row._mapping) for row in feeds.list_quarantine(connection, state, limit)]
    title = f"quarantine: {state} rows, oldest first"
    output.show(rows, COLUMNS, json_wanted=as_json, title=title, empty=f"no row is {state}")


@app.command("retry")
def retry(
    ids: Annotated[list[int], typer.Argument(help="The rows' ids, as 'quarantine list' shows them.")],
    mapping: Mapping_,
    as_json: Json = False,
) -> None:
    """Try quarantined rows again, after their mapping or the site policy was put right."""
    from flows.quarantine_retry import story
    from tasks.stage import InProcess

    with quietly():
        summary = story(whole_path(mapping), sorted(set(ids)), InProcess(), actor())
    report(summary, as_json=as_json)
