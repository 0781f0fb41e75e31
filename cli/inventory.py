"""The number inventory on the command line: pools, numbers, one number and its history, the next free ones."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import number_acts, number_files, number_pools, number_views, opened, output
from cli.number_options import Json, PoolName, owner_of

app = typer.Typer(help="Look at pools and numbers, and change them.", no_args_is_help=True)
TAKEN = ("number", "state", "owner", "pool", "since", "until", "reason")
HISTORY = ("at", "state", "owner", "owner_before", "reason", "until", "plan_id", "actor")
POOLS = ("pool", "free", "claimed", "assigned", "reserved", "grace", "blocked", "withheld")


@app.command("pools")
def pools(as_json: Json = False) -> None:
    """List the pools with how many of their numbers are free, taken or withheld."""
    from engine import inventory_pools

    with opened.database() as database, database.read() as connection:
        names = inventory_pools.pool_names(connection)
        rows = [inventory_pools.counts(connection, name).model_dump() for name in names]
    output.show(
        rows, POOLS, json_wanted=as_json, title="pools", empty="no pool is known yet ; the first run takes them over"
    )


@app.command("show")
def show(
    number: Annotated[str, typer.Argument(help="The number, with its country code.")],
    as_json: Json = False,
) -> None:
    """Show one number: its state, its owner, since when and until when."""
    from datasets.numbering import parse_number
    from engine import inventory, inventory_pools

    asked = parse_number(number)
    with opened.database() as database, database.read() as connection:
        found = inventory.find(connection, asked)
        state = inventory.state_of(connection, asked).value
        pool = inventory_pools.pool_of(connection, asked)
    facts = {"number": asked.e164, "state": state, "pool": pool}
    if found is not None:
        facts |= found.model_dump(mode="json", exclude={"number", "state", "pool"})
    output.as_json(facts) if as_json else output.pairs(facts)


@app.command("list")
def list_numbers(
    pool: Annotated[str, typer.Option(help="Only of this pool.")] = "",
    state: Annotated[str, typer.Option(help="Only assigned, claimed, reserved, grace or blocked; or free.")] = "",
    owner: Annotated[str, typer.Option(help="Only of this owner.")] = "",
    after: Annotated[str, typer.Option(help="Go on after this number.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    as_json: Json = False,
) -> None:
    """List taken numbers, or the free ones of a pool, page by page."""
    from config.errors import InputRefused
    from datasets.inventory import NumberState
    from datasets.numbering import parse_number
    from engine import inventory, inventory_listing

    start = parse_number(after) if after else None
    known = ("assigned", "claimed", "reserved", "grace", "blocked", "free")
    if (state and state not in known) or (state == "free" and (owner or not pool)):
        remedy = "use one of " + ", ".join(known) + "; free numbers are listed of one --pool and have no owner"
        raise InputRefused("these numbers cannot be listed", where="--state", remedy=remedy)
    with opened.database() as database, database.read() as connection:
        if state == "free":
            rows = [{"number": n.e164, "state": state} for n in inventory.free_page(connection, pool, start, limit)]
        else:
            page = inventory_listing.taken_page(
                connection,
                pool=pool or None,
                state=NumberState(state) if state else None,
                owner=owner_of(owner) if owner else None,
                after=start,
                limit=limit,
            )
            rows = [row.model_dump() | {"number": row.number.e164} for row in page]
    output.show(rows, TAKEN, json_wanted=as_json, title="numbers", empty="no number matches")
    if len(rows) == limit and not as_json:
        output.note(f"more may follow: --after {rows[-1]['number']}")


@app.command("history")
def history(
    number: Annotated[str, typer.Argument(help="The number, with its country code.")],
    at: Annotated[str, typer.Option(help="Only who had it at this day or moment.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10000, help="How many, newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """Tell who had a number, when, why, and who did it."""
    from cli.number_options import past_moment
    from datasets.numbering import parse_number
    from engine import inventory

    asked = parse_number(number)
    with opened.database() as database, database.read() as connection:
        if at:
            entry = inventory.holder_at(connection, asked, past_moment(at))
            found = [entry] if entry else []
        else:
            found = inventory.history(connection, asked, limit)
    rows = [entry.model_dump() | {"number": entry.number.e164} for entry in found]
    output.show(rows, HISTORY, json_wanted=as_json, title=asked.e164, empty=f"nothing is known of {asked}")


@app.command("next")
def next_free(
    pool: PoolName,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 1,
    as_json: Json = False,
) -> None:
    """Show the next free numbers of a pool; they are not claimed by looking."""
    from engine import inventory_pools

    with opened.database() as database, database.read() as connection:
        found = inventory_pools.free_page(connection, pool, None, count)
    numbers = [number.e164 for number in found]
    if as_json:
        output.as_json(numbers)
    else:
        output.say("\n".join(numbers) or f"no number of {pool} is free")


for _name, _command in (
    ("reserve", number_acts.reserve),
    ("unreserve", number_acts.unreserve),
    ("block", number_acts.block),
    ("unblock", number_acts.unblock),
    ("release", number_acts.release),
    ("import", number_files.import_file),
    ("export", number_files.export_file),
    ("template", number_files.template),
    ("usage", number_views.usage),
    ("forecast", number_views.forecast),
):
    app.command(_name)(_command)
app.add_typer(number_pools.app, name="pool")
