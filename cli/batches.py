"""Batches on the command line: make one, look at it, forget it; `cli/batch_acts.py` moves its users and controls it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import batch_acts, opened, output
from cli.onboarding import quietly
from config.errors import InputRefused

if TYPE_CHECKING:
    from engine.batch_sources import Source

app = typer.Typer(help="Move many users to Teams: who, how, in which waves.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Name = batch_acts.Name
LISTED = ("name", "state", "users", "counts", "why", "created_by", "created_at")
USERS = ("row", "user", "wave", "state", "reason")
SHOWN = 50


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="A name for the batch.")],
    filter_text: Annotated[str, typer.Option("--filter", help="Users with this text, as 'users search' finds.")] = "",
    saved: Annotated[str, typer.Option("--saved-filter", help="Users of a saved filter.")] = "",
    file: Annotated[Path | None, typer.Option(help="CSV or XLSX with a column upn, id or sip.")] = None,
    group: Annotated[str, typer.Option(help="Members of a group, nested ones included.")] = "",
    user: Annotated[list[str] | None, typer.Option(help="A user; may be repeated.")] = None,
    numbers: Annotated[
        str, typer.Option(help="Keep, KeepOnPremises, Home, Mobile, NumberRange, IpPhone, Phone, none.")
    ] = ("Keep"),
    pool: Annotated[str, typer.Option(help="Where NumberRange takes from; other sources must lie in it.")] = "",
    number_type: Annotated[str, typer.Option(help="Of numbers that are in no pool.")] = "directRouting",
    licence: Annotated[list[str] | None, typer.Option(help="SKU part number; may be repeated.")] = None,
    policy: Annotated[list[str] | None, typer.Option(help="TYPE=NAME; NAME Global gives back.")] = None,
    emergency_location: Annotated[str, typer.Option(help="Id or description.")] = "",
    write_back: Annotated[list[str] | None, typer.Option(help="telephoneNumber or ipPhone.")] = None,
    wave_size: Annotated[int, typer.Option(help="Users in a wave.")] = 500,
    canary: Annotated[int, typer.Option(help="Users of a first wave that goes alone.")] = 0,
    error_budget: Annotated[float, typer.Option(help="It pauses when more percent of a wave fail.")] = 5.0,
    concurrency: Annotated[int, typer.Option(help="Chunks that are worked on at once.")] = 3,
    window_start: Annotated[str, typer.Option(help="Such as 2026-03-07T20:00:00+01:00.")] = "",
    window_end: Annotated[str, typer.Option(help="Nothing is begun afterwards.")] = "",
    as_json: Json = False,
) -> None:
    """Make a batch of a filter, a file, a group or named users; nothing outside is changed."""
    from flows.batches import make, moment, options_of

    source = _source(filter_text, saved, file, group, user or [])
    options = options_of(
        {
            "numbers": numbers,
            "pool": pool or None,
            "number_type": number_type,
            "licences": licence or [],
            "policies": dict(_pair(each) for each in policy or []),
            "emergency_location": emergency_location or None,
            "write_back": write_back or [],
            "wave_size": wave_size,
            "canary_size": canary,
            "error_budget_percent": error_budget,
            "concurrency": concurrency,
            "window_start": moment(window_start),
            "window_end": moment(window_end),
        }
    )
    from tasks.stage import InProcess

    with quietly():
        summary = make(name, source, options.model_dump(mode="json"), InProcess(), batch_acts.actor())
    batch_acts.report(summary, as_json=as_json)


def _source(filter_text: str, saved: str, file: Path | None, group: str, users: list[str]) -> Source:
    from engine.batch_sources import Source, SourceKind

    given = {
        SourceKind.FILTER: filter_text,
        SourceKind.SAVED_FILTER: saved,
        SourceKind.FILE: str(file.resolve()) if file else "",
        SourceKind.GROUP: group,
        SourceKind.USERS: ",".join(users),
    }
    named = [Source(kind, text) for kind, text in given.items() if text]
    if len(named) != 1:
        what = "no users are named" if not named else "users are named in several ways"
        raise InputRefused(
            what, where="batch create", remedy="use one of --filter --saved-filter --file --group --user"
        )
    return named[0]


def _pair(text: str) -> tuple[str, str]:
    kind, sign, name = text.partition("=")
    if not sign or not name:
        raise InputRefused(f"{text} is no policy", where="--policy", remedy="write it like TenantDialPlan=AT")
    return kind, name


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
    options = found.options.model_dump(mode="json", exclude_defaults=True)
    rows = [each._asdict() for each in people]
    if as_json:
        output.as_json(
            {**facts, "options": found.options.model_dump(mode="json"), "source": found.source, "users": rows}
        )
        return
    output.pairs(
        {name: value for name, value in facts.items() if name not in ("waves", "plan_id")} | {"options": options}
    )
    columns = list(dict.fromkeys(name for each in facts["waves"] for name in each))
    output.show(facts["waves"], columns, json_wanted=False, title="waves", empty="no wave")
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
