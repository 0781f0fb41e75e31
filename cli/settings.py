"""The settings as they are read, and every key there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from cli import output

app = typer.Typer(help="Look at the settings.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("show")
def show(as_json: Json = False) -> None:
    """Show every setting in force; secrets are references, and passwords in addresses are masked."""
    from config.settings import read_settings, settings_file

    values = read_settings().masked()
    if as_json:
        output.as_json(values)
        return
    output.say(f"settings file: {settings_file() or 'none; environment and defaults'}")
    output.pairs(dict(flat(values)))


@app.command("keys")
def keys(as_json: Json = False) -> None:
    """List every key with its environment name, its default and what it means."""
    from config.settings import keys as read_keys

    rows = [key._asdict() for key in read_keys()]
    output.show(rows, ("name", "environment", "default", "help"), json_wanted=as_json, title="settings")


def flat(values: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Give nested values under dotted names."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
