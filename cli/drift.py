"""Drift on the command line: who is not as their template wants them, and the plan of what may converge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import acts, onboarding, output
from cli.acts import Act

DRIFT = Act("drift", "flows.drift", "DriftRequest")
SHOWN = 50
COLUMNS = ("label", "template", "attribute", "live", "wanted", "then", "why")


def drift(
    apply: Annotated[bool, typer.Option("--apply", help="Apply the plan; without it nothing is changed.")] = False,
    file: Annotated[Path | None, typer.Option(help="Write every difference to this file, .csv or .xlsx.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Compare onboarded users with their templates; what may converge is planned, a number never is."""
    where = "" if file is None else str(file.resolve())
    summary = acts.run(DRIFT, {"dry_run": not apply, "file": where})
    if not as_json:
        output.show(summary["found"][:SHOWN], COLUMNS, json_wanted=False, empty="everybody is as their template wants")
    if summary["differences"] > SHOWN or file is not None:
        output.note(f"all {summary['differences']} differences are in {summary['file']}")
    shown = summary if as_json else {name: value for name, value in summary.items() if name != "found"}
    onboarding.report(shown, as_json=as_json)
