"""Versions, so that a report of trouble names what was running."""

from __future__ import annotations

import platform
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from cli import output

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("prefect", "great-expectations", "sqlalchemy", "httpx", "msal", "pypsrp")


def about(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the version of Callwright, of Python and of the libraries that matter."""
    facts = versions()
    if as_json:
        output.as_json(facts)
    else:
        output.pairs(facts)


def versions() -> dict[str, str]:
    """Collect the versions."""
    facts = {"callwright": own_version(), "python": platform.python_version(), "system": platform.platform()}
    return facts | {name: _installed(name) for name in SHOWN}


def own_version() -> str:
    """Read the version from the project file: the application is never installed, so there is no metadata."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
