"""What is done with a batch on the command line: examine, plan, run, pause, resume, cancel, retry, undo a wave."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import onboarding, opened, output, prefect_runs
from cli.exits import DependencyMissing, FinishedWithFailures

if TYPE_CHECKING:
    from engine.requests import Actor

CREATE = "batch-create"
RUN, PREFLIGHT, UNDO, CONTROL, RETRY = "batch-run", "batch-preflight", "batch-undo", "batch-control", "batch-retry"
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
Name = Annotated[str, typer.Argument(help="Name or id of the batch.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Stop after the plan; nothing outside is changed.")]
Window = Annotated[str, typer.Option(help="Another window, such as 2026-03-07T20:00:00+01:00.")]
REASONS = ("check", "users", "blocks", "for example", "remedy")
TROUBLES = ("user", "wave", "state", "reason")
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
    found = _start(CREATE, checked, _create_here)
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
    _tell_preflight(_start(PREFLIGHT, request, _preflight_here), as_json=as_json)


def _tell_preflight(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.as_json(found)
    else:
        output.pairs({name: found[name] for name in ("batch", "counts", "calls", "sessions", "eta_s", "file")})
        output.show(found["reasons"], REASONS, json_wanted=False, title="reasons", empty="nothing stands in the way")
        for sentence in found["unchecked"]:
            output.say(sentence)
    if found["counts"]["blocked"] or found["counts"]["not_in_tenant"]:
        raise FinishedWithFailures(f"{found['counts']['blocked']} blocked ; the others can go; see {found['file']}")


def plan(batch: Name, as_json: Json = False) -> None:
    """Plan the next wave, so that it can be read and approved before; nothing outside is changed."""
    report(_start(RUN, {"batch": batch, "dry_run": True}, _run_here), as_json=as_json)


def run(batch: Name, as_json: Json = False) -> None:
    """Move the waves that may be moved now; start it again to go on. Exit code 1 when somebody failed."""
    report(_start(RUN, {"batch": batch}, _run_here), as_json=as_json)


def pause(
    batch: Name, reason: Annotated[str, typer.Option(help="Why; shown with the batch.")] = "", as_json: Json = False
) -> None:
    """Let nothing of a batch begin any more; what has begun is finished."""
    _control(batch, "pause", as_json=as_json, reason=reason)


def resume(batch: Name, window_start: Window = "", window_end: Window = "", as_json: Json = False) -> None:
    """Go on with a paused batch, perhaps in another window; failures so far no longer count."""
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
    report(_start(RETRY, {"batch": batch, "wave": wave, "dry_run": dry_run}, _retry_here), as_json=as_json)


def undo(
    batch: Name,
    wave: Annotated[int, typer.Option(min=1, help="Which wave goes back to Skype for Business.")],
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Take a wave back to Skype for Business with numbers and policies; what cannot come back is named."""
    from cli import plan_acts

    planned = _start(UNDO, {"batch": batch, "wave": wave, "dry_run": True}, _undo_here)
    plan_acts.preview_and_apply(planned, dry_run=dry_run, yes=yes, as_json=as_json)


def report(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print how a batch stands, then end as it deserves: FinishedWithFailures, DependencyMissing or well."""
    if as_json:
        output.as_json(summary)
    else:
        _show(summary)
    counts = summary["counts"]
    faults = [f"{counts[name]} {name}" for name in onboarding.FAULTS if counts.get(name)]
    if summary["state"] == "paused" and summary.get("alert"):
        raise FinishedWithFailures(f"paused: {summary['why']} ; see ./callwright batch show '{summary['batch']}'")
    if faults:
        raise FinishedWithFailures(f"{', '.join(faults)} ; see ./callwright batch show '{summary['batch']}'")
    if summary.get("interrupted"):
        raise DependencyMissing(str(summary["interrupted"]))


def _show(summary: Mapping[str, Any]) -> None:
    from engine import batches
    from tasks.batches import TROUBLED

    facts = {name: value for name, value in summary.items() if name not in ("waves", "batch_id")}
    output.pairs(facts, title="batch")
    columns = list(dict.fromkeys(name for each in summary["waves"] for name in each))
    output.show(summary["waves"], columns, json_wanted=False, title="waves", empty="no wave")
    with opened.database() as database, database.read() as connection:
        found = batches.standings(connection, summary["batch_id"], states=TROUBLED, limit=SHOWN)
    if found:
        output.show([each._asdict() for each in found], TROUBLES, json_wanted=False, title="not done")
    for step in next_steps(summary):
        output.say(f"next: {step}")


def next_steps(summary: Mapping[str, Any]) -> list[str]:
    """Say what to do after an act on a batch."""
    name, plan_id = summary["batch"], summary.get("plan_id")
    if summary.get("needs_approval"):
        return [f"./callwright plan show {plan_id}, then ./callwright plan approve {plan_id}"]
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


def actor() -> Actor:
    """Give who runs the command."""
    from engine.requests import Actor

    return Actor(kind="os_user", name=getpass.getuser())


def _control(batch: str, act: str, *, as_json: bool, **more: str) -> None:
    report(_start(CONTROL, {"batch": batch, "act": act, **more}, _control_here), as_json=as_json)


Here = Callable[[Mapping[str, Any]], dict[str, Any]]


def _start(deployment: str, request: Mapping[str, Any], here: Here) -> dict[str, Any]:
    """Run an act in this process, or on the Prefect server if there is one."""
    asked = {**request, "requested_by": getpass.getuser()}
    if prefect_runs.server_url():
        return prefect_runs.run(deployment, asked)
    with onboarding.quietly():
        return here(asked)


def _create_here(request: Mapping[str, Any]) -> dict[str, Any]:
    from flows.batches import CreateRequest, create_story
    from tasks.stage import InProcess

    return create_story(CreateRequest(**request), InProcess(), actor())


def start_here(act: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Do one act of a rehearsal in this process, whatever servers there are."""
    asked = {**request, "requested_by": "rehearsal"}
    match act:
        case "preflight":
            return _preflight_here(asked)
        case "resume":
            return _control_here({**asked, "act": "resume"})
    return _run_here(asked)


def _preflight_here(request: Mapping[str, Any]) -> dict[str, Any]:
    from flows.migration import PreflightRequest, preflight_story
    from tasks.stage import InProcess

    return preflight_story(PreflightRequest(**request), InProcess(), actor())


def _run_here(request: Mapping[str, Any]) -> dict[str, Any]:
    from flows.migration import BatchRequest, run_story
    from tasks.stage import InProcess

    return run_story(BatchRequest(**request), InProcess(), actor())


def _undo_here(request: Mapping[str, Any]) -> dict[str, Any]:
    from flows.migration import UndoRequest, undo_story
    from tasks.stage import InProcess

    return undo_story(UndoRequest(**request), InProcess(), actor())


def _control_here(request: Mapping[str, Any]) -> dict[str, Any]:
    from flows.batches import ControlRequest, control_story
    from tasks.stage import InProcess

    return control_story(ControlRequest(**request), InProcess(), actor())


def _retry_here(request: Mapping[str, Any]) -> dict[str, Any]:
    from flows.batches import RetryRequest, retry_story
    from tasks.stage import InProcess

    return retry_story(RetryRequest(**request), InProcess(), actor())
