"""Onboarding on the command line: start it, or continue what waits; in this process or on a Prefect server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import acts, opened, output
from cli.acts import Act
from cli.exits import DependencyMissing, FinishedWithFailures
from config.errors import InputRefused

ONBOARD = Act("onboarding", "flows.onboarding", "OnboardingRequest")
CONTINUE = Act("continue-waiting", "flows.continue_waiting", "ContinueRequest")
RECONCILE = Act("reconcile", "flows.reconcile", "ReconcileRequest")
FAULTS = ("failed", "refused", "unknown")
SHOWN = 20
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
File = Annotated[Path, typer.Option(help="The feed: a delimited text file or an XLSX sheet from the HR system.")]
Mapping_ = Annotated[Path, typer.Option(help="The mapping: a file, or the name of one of the site's.")]


def onboard(
    feed: File,
    mapping: Mapping_,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Stop after the plan; nothing outside is changed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Give the people of a feed what they need to telephone; exit code 1 when some of it failed."""
    if not feed.is_file():
        raise InputRefused(f"{feed} is no file", where="--feed", remedy="give the path of an existing file")
    files = {"feed": whole_path(feed), "mapping": whole_path(mapping)}
    report(acts.run(ONBOARD, {**files, "dry_run": dry_run}), as_json=as_json)


def continue_waiting(as_json: Json = False) -> None:
    """Go on with every line that waits and whose moment has come."""
    report(acts.run(CONTINUE, {}), as_json=as_json)


def reconcile(as_json: Json = False) -> None:
    """Settle what died with its process: intents without an outcome, claims, leases, streams and requests."""
    report(acts.run(RECONCILE, {}), as_json=as_json)


def report(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what came of a run, then end as it deserves: FinishedWithFailures, DependencyMissing or well."""
    if as_json:
        output.as_json(summary)
    else:
        output.pairs(_for_people(summary), title="summary")
        plan_id = summary.get("plan_id")
        for step in next_steps(summary, _show_troubles(plan_id) if plan_id else ""):
            output.say(f"next: {step}")
    counts = summary.get("counts", {})
    faults = [f"{counts[name]} {name}" for name in FAULTS if counts.get(name)]
    if faults:
        raise FinishedWithFailures(f"{', '.join(faults)} ; see ./callwright plan show {summary.get('plan_id')}")
    if summary.get("interrupted"):
        raise DependencyMissing(str(summary["interrupted"]))


def next_steps(summary: Mapping[str, Any], plan_state: str) -> list[str]:
    """Say what to do after a run whose plan is in this state; nothing when all is done."""
    counts, plan_id = summary.get("counts", {}), summary.get("plan_id")
    steps = []
    if plan_state == "planned":
        act = "approve" if summary.get("needs_approval") else "apply"
        steps.append(f"./callwright plan {act} {plan_id} ; nothing was changed so far")
    if counts.get("quarantined"):
        steps.append(f"./callwright quarantine list ; {counts['quarantined']} rows were not understood")
    waiting = sum(counts.get(state, 0) for state in ("waiting", "unknown"))
    if waiting and plan_state == "applying":
        steps.append(f"./callwright continue ; {waiting} wait, the schedule does it by itself where one runs")
    return steps


def _show_troubles(plan_id: str) -> str:
    """Show the first lines of a plan that are not done, with the reason of each; gives the plan's state."""
    from engine import outcomes, plan_store

    with opened.database() as database, database.read() as connection:
        found = outcomes.troubles(connection, [plan_id])
        state = str(plan_store.header(connection, plan_id).state)
    if found:
        rows = [{"user": each.who, "state": each.state, "reason": each.reason} for each in found[:SHOWN]]
        output.table(rows, ("user", "state", "reason"), title="not done yet")
    if len(found) > SHOWN:
        output.say(f"… and {len(found) - SHOWN} more ; see ./callwright plan show {plan_id}")
    return state


def whole_path(path: Path) -> str:
    """Give a file as a path that holds in any folder: a run on a server starts in another; leave a name as it is."""
    return str(path.resolve()) if path.is_file() else str(path)


def _for_people(summary: Mapping[str, Any]) -> dict[str, object]:
    facts = {name: value for name, value in summary.items() if name not in ("counts", "people")}
    counted = {**summary.get("people", {}), **summary.get("counts", {})}
    return facts | {f"  {name.replace('_', ' ')}": number for name, number in counted.items() if number}
