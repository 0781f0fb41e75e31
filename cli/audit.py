"""The audit on the command line: who changed what, and the proof that the record is as it was written."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import acts, opened, output
from cli.acts import Act, quietly
from cli.exits import FinishedWithFailures

if TYPE_CHECKING:
    from engine.audit import AuditFilter

RETENTION = Act("retention", "flows.record_keeping", "RetentionRequest")
app = typer.Typer(help="Read the record of every change, or prove that it was not altered.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="How many entries, newest first.")]
RunId = Annotated[str, typer.Option("--run", help="Request id, plan id or Prefect flow run id.")]
User = Annotated[str, typer.Option("--user", help="Object id, UPN or part of the name.")]
COLUMNS = ("at", "user", "does", "result", "changes", "why", "who asked")


@app.command("log")
def log(user: User = "", run: RunId = "", limit: Limit = 100, as_json: Json = False) -> None:
    """Show journal entries, newest first: who, when, what, before and after; refused and failed ones too."""
    _show(_filter(user=user, run=run, limit=limit), as_json=as_json)


@app.command("user")
def user(
    user: Annotated[str, typer.Argument(help="Object id, UPN or part of the name, of today or of earlier.")],
    limit: Limit = 1000,
    as_json: Json = False,
) -> None:
    """Show the history of a user, through every rename."""
    _show(_filter(user=user, limit=limit), as_json=as_json)


@app.command("number")
def number(
    number: Annotated[str, typer.Argument(help="The number, with its country code.")],
    limit: Limit = 1000,
    as_json: Json = False,
) -> None:
    """Show the history of a number: who had it, since when, and who gave or took it."""
    from datasets.numbering import parse_number

    _show(_filter(number=parse_number(number).e164, limit=limit), as_json=as_json)


@app.command("run")
def run(
    run: Annotated[str, typer.Argument(help="Request id, plan id or Prefect flow run id.")],
    limit: Limit = 100_000,
    as_json: Json = False,
) -> None:
    """Show one run: who asked for it, what came of it, and every change it made."""
    from config.errors import InputRefused
    from engine.audit import log as read_log
    from engine.audit import request_of_run

    with opened.database() as database, database.read() as connection:
        request = request_of_run(connection, run)
        if request is None:
            raise InputRefused(f"no run {run}", remedy="see ./callwright audit log")
        entries = read_log(connection, _filter(run=str(request["id"]), limit=limit))
    if as_json:
        output.as_json(request | {"entries": entries})
        return
    names = ("id", "kind", "state", "actor_name", "actor_verified", "created_at", "finished_at", "flow_run_id")
    output.pairs({name: request[name] for name in names}, title="request")
    output.show([_as_row(entry) for entry in settled(entries)], COLUMNS, json_wanted=False, empty="no entry")


@app.command("verify")
def verify(
    heads: Annotated[
        Path | None, typer.Option(help="File of exported heads; default: the one of the settings, if it exists.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recompute every link of the journal; exit code 1 and a line for each fault when it was altered."""
    from dataclasses import asdict

    from engine import proof as proofs

    with opened.database() as database, database.read() as connection:
        proof = proofs.verify(connection, _exported(heads))
    if as_json:
        output.as_json(asdict(proof))
    else:
        output.pairs({name: value for name, value in asdict(proof).items() if name != "faults"})
        for fault in proof.faults:
            output.say(f"FAULT  {fault}")
        if not proof.heads:
            output.say("no exported heads to compare with: a cut at the very end would not show ; see audit heads")
    if proof.faults:
        raise FinishedWithFailures(f"{len(proof.faults)} faults: the journal is not as it was written")


@app.command("heads")
def heads(as_json: Json = False) -> None:
    """Note the heads of the journal in the file that the settings name; a schedule does it every 15 minutes."""
    from tasks.record_keeping import export_heads

    with quietly():
        told = export_heads.plain()
    output.as_json(told) if as_json else output.pairs(told)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="File to write: .jsonl, or .csv for a spreadsheet.")],
    user: User = "",
    run: RunId = "",
    limit: Limit = 1_000_000,
) -> None:
    """Write journal entries to a file, newest first; a spreadsheet gets no formulas."""
    from engine.audit import log as read_log
    from engine.audit_export import write

    with opened.database() as database, database.read() as connection:
        entries = read_log(connection, _filter(user=user, run=run, limit=limit))
    write(file, entries)
    output.say(f"{len(entries)} entries are in {file}")


@app.command("pack")
def pack(
    run: Annotated[str, typer.Argument(help="Request id, plan id or Prefect flow run id.")],
    file: Annotated[Path, typer.Argument(help="The zip file to write.")],
    as_json: Json = False,
) -> None:
    """Write the evidence of a run into one file that can be checked elsewhere: plans, approvals, changes, the chain."""
    from datetime import UTC, datetime

    from engine import evidence

    with opened.database() as database, database.read() as connection:
        told = evidence.pack(connection, run, file, datetime.now(UTC))
    output.as_json(told) if as_json else output.pairs(told)


@app.command("erase")
def erase(
    keep_days: Annotated[int | None, typer.Option(min=1, help="Days to keep; default: the setting.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be erased.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase personal data whose date has come; the proof stays. A schedule does it every night."""
    if not dry_run and not output.confirmed("erase personal data whose date has come? It cannot be undone", yes=yes):
        raise typer.Exit(1)
    request = {"keep_days": keep_days, "dry_run": dry_run, "requested_by": getpass.getuser()}
    summary = acts.run_here(RETENTION, request)
    output.as_json(summary) if as_json else output.pairs(summary)


def _filter(*, user: str = "", run: str = "", number: str = "", limit: int = 100) -> AuditFilter:
    from engine.audit import AuditFilter

    return AuditFilter(user=user, run=run, number=number, limit=limit)


def _show(wanted: AuditFilter, *, as_json: bool) -> None:
    from engine.audit import log as read_log

    # For people an intent and its outcome are one line, so twice as many entries are read as are shown.
    asked = wanted if as_json else replace(wanted, limit=2 * wanted.limit)
    with opened.database() as database, database.read() as connection:
        entries = read_log(connection, asked)
    rows = entries if as_json else [_as_row(entry) for entry in settled(entries)[: wanted.limit]]
    output.show(rows, COLUMNS, json_wanted=as_json, title="audit, newest first", empty="no entry matches")


def _exported(file: Path | None) -> list[dict[str, Any]]:
    from config.settings import read_settings
    from engine.audit_heads import read_heads

    own = read_settings().audit.heads_file
    if file is None and not own.is_file():
        return []
    return read_heads(file or own)


def settled(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the intents whose outcome is known: for a person they are the same line twice."""
    known = {_change(entry) for entry in entries if entry["phase"] == "outcome"}
    return [entry for entry in entries if entry["phase"] == "outcome" or _change(entry) not in known]


def _change(entry: Mapping[str, Any]) -> tuple[object, ...]:
    return entry["plan_id"], entry["line"], entry["change"]


def _as_row(entry: Mapping[str, Any]) -> Mapping[str, object]:
    actor, final = entry["actor"], entry["irreversible"]
    return {
        "at": entry["at"],
        "user": entry["label"] or entry["target"],
        "does": (entry["kind"] or "–").replace("_", " ") + (f" (irreversible: {final})" if final else ""),
        "result": entry["result"] or "sent, no outcome yet",
        "changes": "\n".join(changed(effect) for effect in entry["effects"]),
        "why": entry["message"] or entry["reason"],
        "who asked": f"{actor['name'] or '?'}{'' if actor['verified'] else ' (unverified)'}",
    }


def changed(effect: Mapping[str, Any]) -> str:
    """Put an effect as a person reads it."""
    before, after = (output.text(effect[name]) or "–" for name in ("before", "after"))
    return f"{effect['attribute']}: {before} → {after}"
