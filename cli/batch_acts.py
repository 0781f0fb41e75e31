"""What is done with a batch on the command line: examine, plan, run, pause, resume, cancel, retry, undo a wave."""

from __future__ import annotations

import getpass
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import acts, onboarding, opened, output
from cli.acts import Act
from cli.exits import DependencyMissing, FinishedWithFailures

CREATE = Act("batch-create", "flows.batches", "CreateRequest", "create_story")
CONTROL = Act("batch-control", "flows.batches", "ControlRequest", "control_story")
RETRY = Act("batch-retry", "flows.batches", "RetryRequest", "retry_story")
RUN = Act("batch-run", "flows.migration", "BatchRequest", "run_story")
PREFLIGHT = Act("batch-preflight", "flows.migration", "PreflightRequest", "preflight_story")
UNDO = Act("batch-undo", "flows.migration", "UndoRequest", "undo_story")
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
Name = Annotated[str, typer.Argument(help="Name or id of the batch.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Stop after the plan; nothing outside is changed.")]
Window = Annotated[str, typer.Option(help="Another window, such as 2026-03-07T20:00:00+01:00.")]
REASONS = ("check", "users", "blocks", "for example", "remedy")
TROUBLES = ("user", "wave", "state", "reason")
EMERGENCY = ("site", "users", "location", "policy", "operator", "neither")
SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to the group of batch commands."""
    app.command("preflight")(preflight)
    app.command("plan")(plan)
    app.command("run")(run)
    app.command("pause")(pause)
    app.command("resume")(resume)
    app.command("cancel")(cancel)
    app.command("retry")(retry)
    app.command("undo")(undo)


def create(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Make a batch as its form would, and tell what came of it. Raises InputRefused."""
    from config.toml_files import validated
    from flows.batches import CreateRequest

    asked = {**values, "requested_by": getpass.getuser()}
    checked = validated(CreateRequest, asked, where="batch create").model_dump(mode="json")
    found = acts.run(CREATE, checked)
    if "reasons" in found:
        _tell_preflight(found, as_json=as_json)
    else:
        report(found, as_json=as_json)


def preflight(
    batch: Name,
    file: Annotated[Path | None, typer.Option(help="CSV or XLSX file for the whole list.")] = None,
    as_json: Json = False,
) -> None:
    """Find out what stands in the way of each user; exit code 1 when somebody is blocked."""
    request = {"batch": batch, "file": str(file.resolve()) if file else ""}
    _tell_preflight(acts.run(PREFLIGHT, request), as_json=as_json)


def _tell_preflight(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.as_json(found)
    else:
        from datasets.batch_steps import spoken

        facts = {name: found[name] for name in ("batch", "counts", "calls", "sessions")}
        output.pairs(facts | {"takes about": spoken(found["eta_s"]), "file": found["file"]})
        output.show(found["reasons"], REASONS, json_wanted=False, title="reasons", empty="nothing stands in the way")
        output.show(
            found["emergency"], EMERGENCY, json_wanted=False, title="emergency calls", empty="nobody has a number"
        )
        for sentence in found["unchecked"]:
            output.say(sentence)
    names = {"blocked": "blocked", "not_in_tenant": "rows of nobody"}
    faults = [f"{found['counts'][name]} {word}" for name, word in names.items() if found["counts"][name]]
    if faults:
        raise FinishedWithFailures(f"{', '.join(faults)} ; the others can go; see {found['file']}")


def plan(batch: Name, as_json: Json = False) -> None:
    """Plan the next wave, so that it can be read and approved before; nothing outside is changed."""
    report(acts.run(RUN, {"batch": batch, "dry_run": True}), as_json=as_json)


def run(batch: Name, as_json: Json = False) -> None:
    """Move the waves that may be moved now; start it again to go on. Exit code 1 when somebody failed."""
    report(acts.run(RUN, {"batch": batch}), as_json=as_json)


def pause(
    batch: Name, reason: Annotated[str, typer.Option(help="Why; shown with the batch.")] = "", as_json: Json = False
) -> None:
    """Let nothing of a batch begin any more; what has begun is finished."""
    _control(batch, "pause", as_json=as_json, reason=reason)


def resume(batch: Name, window_start: Window = "", window_end: Window = "", as_json: Json = False) -> None:
    """Go on with a paused batch, perhaps in another window; a batch that was not started only gets the window."""
    _control(batch, "resume", as_json=as_json, window_start=window_start, window_end=window_end)


def cancel(
    batch: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """End a batch: who has begun is finished, the others stay as they are and their numbers are free again."""
    if not output.confirmed(f"cancel batch {batch}?", yes=yes):
        raise typer.Exit(1)
    _control(batch, "cancel", as_json=as_json)


def retry(
    batch: Name,
    wave: Annotated[int, typer.Option(min=0, help="Only those of this wave; 0: of all.")] = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Try again for those who failed or were refused, and for nobody else."""
    report(acts.run(RETRY, {"batch": batch, "wave": wave, "dry_run": dry_run}), as_json=as_json)


def undo(
    batch: Name,
    wave: Annotated[int, typer.Option(min=1, help="Which wave goes back to Skype for Business.")],
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Take a wave back to Skype for Business with numbers and policies; what cannot come back is named."""
    from cli import plan_acts

    planned = acts.run(UNDO, {"batch": batch, "wave": wave, "dry_run": True})
    plan_acts.preview_and_apply(planned, dry_run=dry_run, yes=yes, as_json=as_json)


def report(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print how a batch stands, then end as it deserves: FinishedWithFailures, DependencyMissing or well."""
    if as_json:
        output.as_json(summary)
    else:
        _show(summary)
    counts = summary["counts"]
    faults = [f"{counts[name]} {name}" for name in onboarding.FAULTS if counts.get(name)]
    if summary["state"] == "paused" and summary.get("alert", {}).get("state") == "raised":
        raise FinishedWithFailures(f"paused: {summary['why']} ; see ./callwright batch show '{summary['batch']}'")
    if faults:
        raise FinishedWithFailures(f"{', '.join(faults)} ; see ./callwright batch show '{summary['batch']}'")
    if summary.get("interrupted"):
        raise DependencyMissing(str(summary["interrupted"]))


def _show(summary: Mapping[str, Any]) -> None:
    from datasets.batch_steps import remedied
    from engine import batches
    from tasks.batches import TROUBLED

    output.pairs(facts_of(summary, without=("waves", "batch_id")), title="batch")
    columns = list(dict.fromkeys(name for each in summary["waves"] for name in each))
    output.show(summary["waves"], columns, json_wanted=False, title="waves", empty="no wave")
    with opened.database() as database, database.read() as connection:
        found = batches.standings(connection, summary["batch_id"], states=TROUBLED, limit=SHOWN)
    if found:
        rows = [each._asdict() | {"reason": remedied(each.state, each.reason)} for each in found]
        output.show(rows, TROUBLES, json_wanted=False, title="not done")
    for step in next_steps(summary):
        output.say(f"next: {step}")


def facts_of(summary: Mapping[str, Any], *, without: Collection[str]) -> dict[str, Any]:
    """Give what a person reads of how a batch stands: nothing empty, and outages in words."""
    from datasets.batch_steps import outages_told

    told = outages_told(summary["unreachable"])
    facts = {name: value for name, value in summary.items() if name not in (*without, "unreachable")}
    return {name: value for name, value in (facts | {"outages": told}).items() if value not in (None, "", {})}


def next_steps(summary: Mapping[str, Any]) -> list[str]:
    """Say what to do after an act on a batch."""
    name, plan_id = summary["batch"], summary.get("plan_id")
    if summary.get("needs_approval"):
        whole = f"./callwright batch approve '{name}' for all of its waves"
        return [f"./callwright plan show {plan_id}, then ./callwright plan approve {plan_id}, or {whole}"]
    if summary["state"] == "ready" and plan_id:
        return [f"./callwright plan show {plan_id}, then ./callwright batch run '{name}'"]
    steps = {
        "ready": f"./callwright batch preflight '{name}', then ./callwright batch run '{name}'",
        "running": f"./callwright batch run '{name}' ; the schedule does it by itself where one runs",
        "waiting": f"./callwright batch run '{name}' ; the schedule does it by itself where one runs",
        "paused": f"./callwright batch show '{name}', then ./callwright batch resume '{name}'",
    }
    found = [steps[summary["state"]]] if summary["state"] in steps else []
    if summary["counts"].get("failed"):
        found.append(f"./callwright batch retry '{name}' ; {summary['counts']['failed']} failed")
    return found


def _control(batch: str, act: str, *, as_json: bool, **more: str) -> None:
    report(acts.run(CONTROL, {"batch": batch, "act": act, **more}), as_json=as_json)


def start_here(act: Act, request: Mapping[str, Any]) -> dict[str, Any]:
    """Do one act of a rehearsal in this process, whatever servers there are."""
    return acts.run_here(act, {**request, "requested_by": "rehearsal"})
