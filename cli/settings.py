"""The settings as they are read, and every key there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from cli import output

app = typer.Typer(help="Look at the settings, or make them for a lab.", no_args_is_help=True)
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


@app.command("lab")
def lab(
    folder: Annotated[Path, typer.Argument(help="The folder of a lab that runs: ./callwright lab --folder FOLDER.")],
    output_file: Annotated[Path, typer.Option("--output", help="Where to write them; a file there is replaced.")],
    site: Annotated[Path, typer.Option(help="Folder of the site policy to rehearse with.")] = Path("config/sample"),
) -> None:
    """Write the settings for a lab that runs on this machine; use them with CALLWRIGHT_SETTINGS."""
    from config.errors import InputRefused
    from config.lab_site import as_toml, read_endpoints, sections_of

    sections = sections_of(read_endpoints(folder))
    database = f"sqlite:///{(folder / 'callwright.db').resolve()}"
    text = as_toml(sections, database_url=database, site=str(site.resolve()))
    try:
        output_file.write_text(text, encoding="utf-8")
    except OSError as error:
        remedy = "choose another --output"
        raise InputRefused(f"cannot be written ({error.strerror})", where=str(output_file), remedy=remedy) from error
    output.say(f"written: export CALLWRIGHT_SETTINGS={output_file}")


def flat(values: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Give nested values under dotted names."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
