"""Onboarding on the command line: start it, or continue what waits; in this process or on a Prefect server."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import output, prefect_runs
from cli.exits import FinishedWithFailures
from config.errors import InputRefused

DEPLOYMENT, CONTINUE_DEPLOYMENT = "onboarding", "continue-waiting"
FAULTS = ("failed", "refused", "unknown")
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
File = Annotated[Path, typer.Option(help="The feed: a delimited text file from the HR system.")]
Mapping_ = Annotated[Path, typer.Option(help="The mapping file: which column is which field.")]


def onboard(
    feed: File,
    mapping: Mapping_,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Stop after the plan; nothing outside is changed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Give the people of a feed what they need to telephone; exit code 1 when some of it failed."""
    request = {
        "feed": str(_existing(feed, "--feed")),
        "mapping": str(_existing(mapping, "--mapping")),
        "dry_run": dry_run,
        "requested_by": getpass.getuser(),
    }
    here = not prefect_runs.server_url()
    report(_onboard_here(request) if here else prefect_runs.run(DEPLOYMENT, request), as_json=as_json)


def continue_waiting(as_json: Json = False) -> None:
    """Go on with every line that waits and whose moment has come."""
    request = {"requested_by": getpass.getuser()}
    here = not prefect_runs.server_url()
    report(_continue_here(request) if here else prefect_runs.run(CONTINUE_DEPLOYMENT, request), as_json=as_json)


def report(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what came of a run; raises FinishedWithFailures when lines failed, were refused or are unknown."""
    if as_json:
        output.as_json(summary)
    else:
        output.pairs(_for_people(summary), title="summary")
    counts = summary.get("counts", {})
    faults = [f"{counts[name]} {name}" for name in FAULTS if counts.get(name)]
    if faults:
        plan = summary.get("plan_id")
        raise FinishedWithFailures(
            f"{', '.join(faults)} ; see ./callwright plan show {plan}" if plan else ", ".join(faults)
        )


def _for_people(summary: Mapping[str, Any]) -> dict[str, object]:
    counts = {f"  {name.replace('_', ' ')}": number for name, number in summary.get("counts", {}).items()}
    return {name: value for name, value in summary.items() if name != "counts"} | counts


def _existing(path: Path, option: str) -> Path:
    if not path.is_file():
        raise InputRefused(f"{path} is no file", where=option, remedy="give the path of an existing file")
    return path.resolve()


def _onboard_here(request: Mapping[str, Any]) -> dict[str, Any]:
    raise NotImplementedError


def _continue_here(request: Mapping[str, Any]) -> dict[str, Any]:
    raise NotImplementedError
