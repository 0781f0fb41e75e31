"""The number inventory on the command line: pools, one number, the next free ones. Reading only."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import opened, output

app = typer.Typer(help="Look at pools and numbers.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
PoolName = Annotated[str, typer.Argument(help="The pool's name, as 'numbers pools' shows it.")]
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
