"""Batches on the command line: make one, look at it, forget it; `cli/batch_acts.py` moves its users and controls it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli import batch_acts, batch_approval, batch_checklist, opened, output, rehearsal
from config.errors import InputRefused

app = typer.Typer(help="Move many users to Teams: who, how, in which waves.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Name = batch_acts.Name
LISTED = ("name", "state", "users", "counts", "why", "created_by", "created_at")
USERS = ("row", "user", "wave", "state", "reason")
SHOWN = 50
OPTIONS = (
    "numbers",
    "pool",
    "number_type",
    "licences",
    "policy_batches",
    "emergency_location",
    "emergency_gate",
    "write_back",
    "wave_size",
    "canary_size",
    "error_budget_percent",
    "concurrency",
    "window_start",
    "window_end",
)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="A name for the batch.")],
    users: Annotated[list[str], typer.Option(help="A text, a filter, a file, a group; with --from users: may repeat.")],
    users_from: Annotated[str, typer.Option("--from", help="filter, saved_filter, file, group or users.")] = "filter",
    option: Annotated[list[str] | None, typer.Option("--set", help=f"NAME=VALUE, one of {', '.join(OPTIONS)}.")] = None,
    policy: Annotated[list[str] | None, typer.Option(help="TYPE=NAME; with NAME Global it is taken away.")] = None,
    then: Annotated[str, typer.Option(help="nothing, preflight, plan the first wave, or launch.")] = "nothing",
    as_json: Json = False,
) -> None:
    """Make a batch of a filter, a file, a group or named users; nothing outside is changed unless it is launched."""
    values: dict[str, Any] = {"name": name, "users_from": users_from, "users": _users(users_from, users), "then": then}
    values |= dict(map(_option, option or []))
    batch_acts.create({**values, "other_policies": policy or []}, as_json=as_json)


def _users(users_from: str, users: list[str]) -> str:
    if len(users) > 1 and users_from != "users":
        remedy = "only --from users takes several ; make a batch of each"
        raise InputRefused(f"{len(users)} of {users_from} are named", where="--users", remedy=remedy)
    if users_from == "file":
        return str(Path(users[0]).resolve())
    return ",".join(users)


def _option(text: str) -> tuple[str, str | list[str]]:
    name, sign, value = text.partition("=")
    if not sign or name not in OPTIONS:
        raise InputRefused(f"{text} is no option", where="--set", remedy=f"write NAME=VALUE, of {', '.join(OPTIONS)}")
    return name, value.split(",") if name in ("licences", "write_back") else value


@app.command("list")
def list_batches(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20, as_json: Json = False
) -> None:
    """List batches, newest first, with how they stand."""
    from engine import batch_control, batches
    from engine.runtime import utc_now

    rows: list[dict[str, Any]] = []
    with opened.database() as database, database.read() as connection:
        for batch in batches.latest(connection, limit):
            state, why = batch_control.standing(connection, batch, utc_now())
            counts = dict(batches.counts(connection, batch.id))
            row = {"id": batch.id, "name": batch.name, "state": state, "why": why, "counts": counts}
            rows.append(
                row | {"users": sum(counts.values()), "created_by": batch.created_by, "created_at": batch.created_at}
            )
    empty = "no batch yet ; make one with: ./callwright batch create"
    output.show(rows, LISTED, json_wanted=as_json, title="batches", empty=empty)


@app.command("show")
def show(
    batch: Name,
    state: Annotated[list[str] | None, typer.Option(help="Only users in this state; may be repeated.")] = None,
    wave: Annotated[int, typer.Option(min=0, help="Only this wave; 0: all.")] = 0,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="How many users.")] = SHOWN,
    as_json: Json = False,
) -> None:
    """Show how a batch stands: its options, its waves, and its users with the reason of each."""
    from engine import batches
    from engine.runtime import utc_now
    from tasks.batches import describe

    with opened.database() as database, database.read() as connection:
        found = batches.find(connection, batch)
        facts = describe(connection, found.id, utc_now())
        people = batches.standings(connection, found.id, states=state or (), wave=wave or None, limit=limit)
        approved = batch_approval.given(connection, found.id)
    options = found.options.model_dump(mode="json", exclude_defaults=True)
    rows = [each._asdict() for each in people]
    if as_json:
        options = found.options.model_dump(mode="json")
        output.as_json({**facts, "options": options, "source": found.source, "approvals": approved, "users": rows})
        return
    output.pairs(batch_acts.facts_of(facts, without=("waves", "plan_id")) | {"options": options})
    columns = list(dict.fromkeys(name for each in facts["waves"] for name in each))
    output.show(facts["waves"], columns, json_wanted=False, title="waves", empty="no wave")
    if approved:
        output.show(approved, batch_approval.APPROVED, json_wanted=False, title="approved as a whole")
    output.show(rows, USERS, json_wanted=False, title="users", empty="nobody")


@app.command("discard")
def discard(
    batch: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: Json = False
) -> None:
    """Forget a batch that was not begun; the numbers of its plans are free again."""
    from engine import batch_control, batches
    from engine.runtime import utc_now

    with opened.database() as database:
        with database.read() as connection:
            found = batches.find(connection, batch)
            users = sum(batches.counts(connection, found.id).values())
        if not output.confirmed(f"discard batch {found.name!r} ({users} users)?", yes=yes):
            raise typer.Exit(1)
        numbers = batch_control.discard(database, found, utc_now())
    if as_json:
        output.as_json({"batch": found.name, "state": "discarded", "numbers_given_back": numbers})
    else:
        output.say(f"batch {found.name} is discarded ; {numbers} numbers are free again")


batch_acts.add_to(app)
app.command("approve")(batch_approval.approve)
app.command("checklist")(batch_checklist.checklist)
app.command("rehearse")(rehearsal.rehearse)
