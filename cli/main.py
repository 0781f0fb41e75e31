"""Assembles the command line. Heavy libraries are imported inside commands, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import typer

from cli import (
    about,
    audit,
    batches,
    children,
    database,
    doctor,
    drift,
    hr_events,
    inventory,
    jobs,
    lifecycle,
    number_flows,
    onboarding,
    plan_acts,
    plans,
    quarantine,
    settings,
    snapshot,
    templates,
    user_explain,
    users,
)
from cli.exits import INPUT, INTERRUPTED, guarded, tell

WIDTH = 120

app = typer.Typer(
    name="callwright",
    help="Automate the voice life of every user in a Microsoft Teams and Skype for Business estate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)


def _assemble() -> None:
    app.command("onboard")(onboarding.onboard)
    app.command("continue")(onboarding.continue_waiting)
    plans.app.command("approve")(plan_acts.approve)
    plans.app.command("apply")(plan_acts.apply)
    app.command("reconcile")(onboarding.reconcile)
    app.add_typer(plans.app, name="plan")
    app.command("undo")(plan_acts.undo)
    app.command("restore")(plan_acts.restore)
    app.add_typer(batches.app, name="batch")
    app.add_typer(quarantine.app, name="quarantine")
    app.add_typer(audit.app, name="audit")
    number_flows.add_to(inventory.app)
    app.add_typer(inventory.app, name="numbers")
    lifecycle.add_to(app, users.app)
    users.app.command("edit")(jobs.edit)
    users.app.command("explain")(user_explain.explain)
    app.add_typer(users.app, name="users")
    app.add_typer(jobs.app, name="jobs")
    app.command("drift")(drift.drift)
    app.add_typer(templates.app, name="templates")
    app.command("doctor")(doctor.doctor)
    app.add_typer(database.app, name="database")
    app.add_typer(settings.app, name="settings")
    app.command("snapshot")(snapshot.snapshot)
    app.command("lab", context_settings=children.PASS_ON)(children.lab)
    app.command("serve", context_settings=children.PASS_ON)(children.serve)
    app.command("listen", context_settings=children.PASS_ON)(children.listen)
    app.add_typer(hr_events.app, name="events")
    app.command("bench")(children.bench)
    app.command("about")(about.about)


_assemble()


@cache
def command() -> Any:
    """Give the whole command line as one parsed command; it is made once in a process."""
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    return guarded(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> None:
    from typer import TyperException

    try:
        code = command()(args=arguments, prog_name="callwright", standalone_mode=False)
    except TyperException as error:
        raise SystemExit(_usage(error)) from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if isinstance(code, int) and code:
        raise SystemExit(code)


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return INPUT  # the help page was printed
    path = context.command_path if context else "callwright"
    line = " ".join(error.format_message().split())
    return tell(f"{line} ; see ./{path} --help", INPUT)
