"""Number flows on the command line: what ends, who gets and gives back, what differs; here or on a Prefect server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli import acts, onboarding, output
from cli.acts import Act
from config.errors import InputRefused

EXPIRY = Act("reservation-expiry", "flows.reservation_expiry", "ExpiryRequest")
GRACE = Act("grace-release", "flows.grace_release", "GraceRequest")
ASSIGN = Act("number-assign", "flows.number_assignment", "AssignRequest", "assign_story")
UNASSIGN = Act("number-unassign", "flows.number_assignment", "UnassignRequest", "unassign_story")
SYNC = Act("number-sync", "flows.number_sync", "SyncRequest")
ORDERS = Act("number-orders", "flows.number_orders", "OrderRequest")
SHOWN = 50
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Stop after the plan; nothing is changed.")]
User = Annotated[str, typer.Argument(help="User principal name or object id.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to the group of number commands."""
    app.command("expire")(expire)
    app.command("grace")(grace)
    app.command("sync")(sync)
    app.command("upload")(upload)
    app.command("release-order")(release_order)
    app.command("assign")(assign)
    app.command("unassign")(unassign)


def expire(dry_run: DryRun = False, as_json: Json = False) -> None:
    """Free every reserved number whose time is over."""
    _report(EXPIRY, {"dry_run": dry_run}, as_json=as_json)


def grace(dry_run: DryRun = False, as_json: Json = False) -> None:
    """Free every number whose grace period is over, here and in Teams."""
    _report(GRACE, {"dry_run": dry_run}, as_json=as_json)


def sync(
    fix: Annotated[bool, typer.Option("--fix", help="Fix what is safe; without it nothing is changed.")] = False,
    most_fixes: Annotated[int, typer.Option(min=0, help="With more to fix than this, nothing is fixed.")] = 100,
    shrink_percent: Annotated[
        float, typer.Option(min=0, max=100, help="An answer that is smaller by more than this is not believed.")
    ] = 20.0,
    as_json: Json = False,
) -> None:
    """Compare inventory, Teams, on-premises lines and the directory; report what differs and fix what is safe."""
    request = {"dry_run": not fix, "most_fixes": most_fixes, "shrink_percent": shrink_percent}
    summary = acts.run(SYNC, request)
    if not as_json:
        _show_differences(summary)
        summary = {name: value for name, value in summary.items() if name not in ("found", "read", "classes")}
    onboarding.report(summary, as_json=as_json)


def _show_differences(summary: Mapping[str, Any]) -> None:
    from flows.presentation import then_of

    found = summary["found"]
    rows = [{**row, "class": row["cause"].replace("_", " "), "then": then_of(row)} for row in found[:SHOWN]]
    title = f"what differs ({summary['differences']})"
    output.show(rows, ("class", "number", "found", "then"), json_wanted=False, title=title, empty="every side agrees")
    if summary["held_back"]:
        output.note(f"{summary['held_back']} fixes are more than allowed: none was made ; look, then use --most-fixes")


def assign(
    user: User,
    number: Annotated[str, typer.Option(help="This very number, with its country code.")] = "",
    pool: Annotated[str, typer.Option(help="The next free number of this pool.")] = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give a user a named number, a pool's next one, or the one that is kept for them."""
    if number and pool:
        raise InputRefused("a number and a pool are named", where="--pool", remedy="name one of them")
    request = {"user": user, "number": number or None, "pool": pool or None, "dry_run": dry_run}
    _report(ASSIGN, request, as_json=as_json)


def unassign(
    user: User,
    number: Annotated[str, typer.Option(help="Only for users with several numbers: which one.")] = "",
    grace_days: Annotated[
        int, typer.Option(min=-1, max=365, help="Days that it rests; -1: as the settings say.", show_default=True)
    ] = -1,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take a user's number away; it rests here and in Teams before anybody else gets it."""
    days = None if grace_days < 0 else grace_days
    request = {"user": user, "number": number or None, "grace_days": days, "dry_run": dry_run}
    _report(UNASSIGN, request, as_json=as_json)


Pool = Annotated[str, typer.Option(help="Every number of this pool.")]
First = Annotated[str, typer.Option(help="Or a part of a range: its first number.")]
Last = Annotated[str, typer.Option(help="The last number of that part.")]
Place = Annotated[bool, typer.Option("--place", help="Place the orders; without it they are only planned.")]


def upload(pool: Pool = "", start: First = "", end: Last = "", place: Place = False, as_json: Json = False) -> None:
    """Upload Direct Routing numbers that Teams does not list yet, 10,000 in an order."""
    _order("upload", {"pool": pool or None, "start": start or None, "end": end or None}, place=place, as_json=as_json)


def release_order(
    pool: Pool = "", start: First = "", end: Last = "", place: Place = False, as_json: Json = False
) -> None:
    """Release Direct Routing numbers that nobody has from Teams' inventory, 1,000 in an order."""
    _order("release", {"pool": pool or None, "start": start or None, "end": end or None}, place=place, as_json=as_json)


def _order(kind: str, what: Mapping[str, Any], *, place: bool, as_json: bool) -> None:
    _report(ORDERS, {**what, "kind": kind, "dry_run": not place}, as_json=as_json)


def _report(act: Act, request: Mapping[str, Any], *, as_json: bool) -> None:
    onboarding.report(acts.run(act, request), as_json=as_json)
