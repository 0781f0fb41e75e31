"""Bulk edits on the command line: plan one, and list, look at, cancel or delete such jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import acts, opened, output, plan_acts, plans
from cli.acts import Act
from cli.onboarding import whole_path
from cli.users import as_of
from config.errors import InputRefused

if TYPE_CHECKING:
    from engine.jobs import Job

EDIT = Act("bulk-edit", "flows.bulk_edit", "BulkEditRequest")
LISTED = ("id", "at", "by", "asked", "state", "users", "counts", "plan_id")
app = typer.Typer(help="Look at bulk edits, cancel or delete one.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
JobId = Annotated[str, typer.Argument(help="The job's id (its request), or its plan's.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def edit(
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="What they get: attribute=value; - clears; may be repeated.")
    ] = None,
    saved: Annotated[str, typer.Option("--filter", help="Users whom this saved filter finds.")] = "",
    text: Annotated[str, typer.Option(help="Users with this text in any column.")] = "",
    user: Annotated[list[str] | None, typer.Option(help="This user; may be repeated.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A sheet, .csv or .xlsx: a column user, others by attribute.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop after the plan.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Set policies, licences, location, numbers or phone attributes of many users: see the plan, then apply it."""
    if file is not None and not file.is_file():
        raise InputRefused(f"{file} is no file", where="--file", remedy="give the path of an existing file")
    who = {"filter": saved, "text": text, "file": whole_path(file) if file else "", "users": user or []}
    summary = acts.run(EDIT, {**who, "set": assignments or [], "dry_run": True})
    if summary.get("chosen_as_of"):
        output.note(f"users were chosen {as_of(summary['chosen_as_of'])}")
    plan_acts.preview_and_apply(summary, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List bulk edits, newest first: who asked for what, how it stands, for how many users."""
    from engine import jobs

    with opened.database() as database, database.read() as connection:
        rows = [each._asdict() for each in jobs.latest(connection, limit)]
    output.show(rows, LISTED, json_wanted=as_json, empty="no job yet ; start with: ./callwright users edit")


@app.command("show")
def show(job: JobId, as_json: Json = False) -> None:
    """Show one bulk edit and its plan, line by line."""
    found = _load(job)
    if as_json:
        output.as_json(found._asdict())
        return
    output.pairs(found._asdict())
    if found.plan_id:
        plans.show_plan(found.plan_id)


@app.command("cancel")
def cancel(job: JobId, yes: Yes = False, as_json: Json = False) -> None:
    """Give up a bulk edit: one not applied whole, of one being applied whoever has not begun."""
    from datasets.batch_steps import OPEN

    found = _load(job)
    if found.state not in ("planned", "applying"):
        raise InputRefused(f"job {found.id} is {found.state} and cannot be cancelled", remedy=_remedy(found))
    if not output.confirmed(f"cancel job {found.id}: {_what(found)}?", yes=yes):
        raise typer.Exit(1)
    _give_up(found)
    counts = _load(job).counts
    told = {"job": found.id, "given_up": counts.get("discarded", 0), "in_flight": sum(counts.get(s, 0) for s in OPEN)}
    said = f"{told['given_up']} users are given up, and their numbers are free ; {told['in_flight']} had begun"
    output.as_json(told) if as_json else output.say(f"job {found.id} is cancelled: {said}")


@app.command("delete")
def delete(job: JobId, yes: Yes = False, as_json: Json = False) -> None:
    """Take a bulk edit off the list; what it changed stays, and so does its record."""
    from engine import jobs

    found = _load(job)
    if found.state == "applying":
        remedy = "cancel it first, or wait for its end"
        raise InputRefused(f"job {found.id} is {found.state} and cannot be deleted", remedy=remedy)
    if not output.confirmed(f"delete job {found.id}: {_what(found)}? {_consequence(found)}", yes=yes):
        raise typer.Exit(1)
    if found.state == "planned":
        _give_up(found)
    with opened.database() as database, database.write() as connection:
        jobs.hide(connection, found.id)
    told = {"job": found.id, "state": "deleted"}
    output.as_json(told) if as_json else output.say(f"job {found.id} is deleted")


def _load(job: str) -> Job:
    from engine import jobs

    with opened.database() as database, database.read() as connection:
        return jobs.load(connection, job)


def _give_up(found: Job) -> None:
    from engine.cache import DatabaseOnly
    from engine.giving_up import give_up_plan
    from tasks.work import open_work

    with open_work() as work:
        give_up_plan(DatabaseOnly(work.database, work.limits), found.plan_id, "the job was cancelled")


def _what(found: Job) -> str:
    return f"{found.asked} for {found.users} users, by {found.by}, {found.state}"


def _consequence(found: Job) -> str:
    if found.state == "planned":
        return "It was not applied: it is given up, and the numbers it claimed are free again"
    changed = found.counts.get("edited", 0)
    stays = f"It changed {changed} users: that stays, as does its record" if changed else "It changed nobody"
    return f"{stays} ; {_remedy(found)}"


def _remedy(found: Job) -> str:
    """Say what may be done about a job that is over."""
    if found.counts.get("edited"):
        return f"take it back with ./callwright undo {found.plan_id}"
    return "there is nothing to take back"
