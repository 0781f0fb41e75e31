"""Quarantined feed rows on the command line: list them, or try them again."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Look at the feed rows that were not understood, or try them again.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("list")
def list_rows(as_json: Json = False) -> None:
    """List the quarantined rows with line, column and reason."""
    raise NotImplementedError(as_json)


@app.command("retry")
def retry(
    ids: Annotated[list[int], typer.Argument(help="The rows' numbers, as 'quarantine list' shows them.")],
    as_json: Json = False,
) -> None:
    """Try quarantined rows again in the next run, after a mapping or a template was put right."""
    raise NotImplementedError(ids, as_json)
