"""The audit on the command line: who changed what, and the proof that the record is as it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli import opened, output
from cli.exits import FinishedWithFailures

app = typer.Typer(help="Read the record of every change, or prove that it was not altered.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
COLUMNS = ("at", "user", "does", "result", "changes", "who asked")


@app.command("log")
def log(
    user: Annotated[str, typer.Option(help="Object id, UPN or part of the name.")] = "",
    run: Annotated[str, typer.Option(help="Request id, plan id or Prefect flow run id.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many entries, newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """Show journal entries, newest first: who, when, what, before and after."""
    from engine.audit import AuditFilter
    from engine.audit import log as read_log

    with opened.database() as database, database.read() as connection:
        entries = read_log(connection, AuditFilter(user=user, run=run, limit=limit))
    rows = entries if as_json else [_as_row(entry) for entry in settled(entries)]
    output.show(rows, COLUMNS, json_wanted=as_json, title="audit, newest first", empty="no entry matches")


@app.command("verify")
def verify(as_json: Json = False) -> None:
    """Recompute every link of the journal; exit code 1 and a line for each fault when it was altered."""
    from dataclasses import asdict

    from engine import audit

    with opened.database() as database, database.read() as connection:
        proof = audit.verify(connection)
    if as_json:
        output.as_json(asdict(proof))
    else:
        output.pairs({name: value for name, value in asdict(proof).items() if name != "faults"})
        for fault in proof.faults:
            output.say(f"FAULT  {fault}")
    if proof.faults:
        raise FinishedWithFailures(f"{len(proof.faults)} faults: the journal is not as it was written")


def settled(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the intents whose outcome is known: for a person they are the same line twice."""
    known = {_change(entry) for entry in entries if entry["phase"] == "outcome"}
    return [entry for entry in entries if entry["phase"] == "outcome" or _change(entry) not in known]


def _change(entry: Mapping[str, Any]) -> tuple[object, ...]:
    return entry["plan_id"], entry["line"], entry["change"]


def _as_row(entry: Mapping[str, Any]) -> Mapping[str, object]:
    actor = entry["actor"]
    return {
        "at": entry["at"],
        "user": entry["label"] or entry["target"],
        "does": (entry["kind"] or "?").replace("_", " "),
        "result": entry["result"] or "sent, no outcome yet",
        "changes": "\n".join(changed(effect) for effect in entry["effects"]),
        "who asked": f"{actor['name'] or '?'}{'' if actor['verified'] else ' (unverified)'}",
    }


def changed(effect: Mapping[str, Any]) -> str:
    """Put an effect as a person reads it."""
    before, after = (output.text(effect[name]) or "–" for name in ("before", "after"))
    return f"{effect['attribute']}: {before} → {after}"
