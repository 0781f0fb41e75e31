"""The life of people on the command line: feeds of joiners, movers and leavers, who leaves, and deleting users."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli import acts, number_flows, onboarding, opened, output
from cli.acts import Act
from cli.number_flows import DryRun, Json
from config.errors import InputRefused

if TYPE_CHECKING:
    from config.site_lifecycle import LeaverRules
    from engine.departures import Departure

FEED = Act("lifecycle", "flows.lifecycle", "LifecycleRequest")
STEPS = Act("leaver-steps", "flows.lifecycle", "StepsRequest", "steps_story")
DELETION = Act("user-deletion", "flows.lifecycle", "DeletionRequest", "deletion_story")


def add_to(app: typer.Typer, users: typer.Typer) -> None:
    """Add the commands of this module: two of their own, the others to the group of users."""
    app.command("lifecycle")(lifecycle)
    app.command("leaver-steps")(leaver_steps)
    users.command("departures")(departures)
    users.command("delete")(delete)
    users.command("keep")(keep)


def lifecycle(
    feed: onboarding.File, mapping: onboarding.Mapping_, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Carry out what a feed says: people join, move, go on leave, come back and leave."""
    if not feed.is_file():
        raise InputRefused(f"{feed} is no file", where="--feed", remedy="give the path of an existing file")
    files = {"feed": onboarding.whole_path(feed), "mapping": onboarding.whole_path(mapping)}
    onboarding.report(acts.run(FEED, {**files, "dry_run": dry_run}), as_json=as_json)


def leaver_steps(dry_run: DryRun = False, as_json: Json = False) -> None:
    """Take the steps that are due today for everybody who leaves or is being deleted."""
    onboarding.report(acts.run(STEPS, {"dry_run": dry_run}), as_json=as_json)


def departures(
    everything: Annotated[bool, typer.Option("--all", help="Those that are done or withdrawn, too.")] = False,
    as_json: Json = False,
) -> None:
    """List who leaves, when, and what comes next."""
    from config.settings import read_settings
    from config.site_policy import read_lifecycle
    from engine import departures as kept

    leaver = read_lifecycle(read_settings().site).leaver
    with opened.database() as database, database.read() as connection:
        rows = [_row(each, leaver) for each in kept.listed(connection, everything=everything)]
    columns = ("who", "last_day", "state", "next", "on", "from")
    output.show(rows, columns, json_wanted=as_json, empty="nobody leaves")


def _row(each: Departure, leaver: LeaverRules) -> dict[str, object]:
    from engine.life import Step, next_step
    from engine.runtime import utc_now

    coming = next_step(leaver, each.last_day, utc_now().date())
    if each.targets is not None:
        coming = (Step.DELETE, each.last_day + timedelta(days=each.delete_after_days or 0))
    is_open = each.state == "open" and coming is not None
    return {
        "id": each.id,
        "who": each.label,
        "subject": each.subject,
        "last_day": each.last_day,
        "state": each.state,
        "next": str(coming[0]) if is_open and coming else "",
        "on": coming[1] if is_open and coming else "",
        "from": ", ".join(each.targets or []),
    }


def delete(
    user: number_flows.User,
    targets: Annotated[str, typer.Option("--from", help="skype, ad, entra with commas between, or all.")],
    after_days: Annotated[int, typer.Option(min=1, max=365, help="Days between disabling and deleting.")] = 30,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the name to be typed.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a user in two steps: disabled now, deleted from the named systems after some days."""
    named = [name.strip() for name in targets.split(",") if name.strip()]
    if not named or not set(named) <= {"skype", "ad", "entra", "all"}:
        raise InputRefused(
            f"{targets!r} names no systems", where="--from", remedy="name skype, ad or entra, or all of them"
        )
    if not dry_run and not yes:
        _confirm(user, targets, after_days)
    request = {"user": user, "targets": named, "after_days": after_days, "dry_run": dry_run}
    onboarding.report(acts.run(DELETION, request | {"confirm": user}), as_json=as_json)


def _confirm(user: str, targets: str, after_days: int) -> None:
    steps = f"disabled now, the number rests, and deleted from {targets} after {after_days} days"
    output.note(f"1 user: {user} is {steps}")
    typed = typer.prompt("type the user's name to go on", default="", show_default=False, err=True)
    if typed.strip().casefold() != user.casefold():
        raise InputRefused(f"{typed.strip()!r} is not {user}", remedy="type the name again, or use --yes")


def keep(user: number_flows.User, as_json: Json = False) -> None:
    """Withdraw a deletion before its second step; what the first step changed is taken back with undo."""
    from engine import deleting

    with opened.database() as database:
        label = deleting.withdraw(database, user)
    if as_json:
        output.as_json({"user": label, "withdrawn": True})
    else:
        output.say(f"{label} is not deleted ; ./callwright undo takes back the first step")
