"""Drift on the command line: who is not as their template wants them, and the plan of what may converge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import acts, onboarding, output
from cli.acts import Act

DRIFT = Act("drift", "flows.drift", "DriftRequest")
COLUMNS = ("label", "template", "attribute", "live", "wanted", "then", "why")


def drift(
    apply: Annotated[bool, typer.Option("--apply", help="Apply the plan; without it nothing is changed.")] = False,
    file: Annotated[Path | None, typer.Option(help="Also write the report to this CSV file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Compare onboarded users with their templates; what may converge is planned, a number never is."""
    summary = acts.run(DRIFT, {"dry_run": not apply})
    if file is not None:
        _write(file, summary["found"])
        output.note(f"{len(summary['found'])} of {summary['differences']} differences are in {file}")
    if not as_json:
        output.show(summary["found"][:50], COLUMNS, json_wanted=False, empty="everybody is as their template wants")
    shown = summary if as_json else {name: value for name, value in summary.items() if name != "found"}
    onboarding.report(shown, as_json=as_json)


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import csv

    from config.errors import InputRefused
    from datasets.feeds import formula_safe

    try:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(COLUMNS)
            lines.writerows([formula_safe(output.text(row[name])) for name in COLUMNS] for row in rows)
    except OSError as error:
        raise InputRefused(f"{path} cannot be written ({error.strerror})", remedy="choose another place") from error
