"""Pools made and changed by command: `numbers pool create | split | resize | retire | show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import opened, output
from cli.number_options import Json, PoolName, Yes, forbidden, spans, templates_of, withheld, writing

if TYPE_CHECKING:
    from datasets.inventory import Pool

app = typer.Typer(help="Make, change and retire pools.", no_args_is_help=True)
Ranges = Annotated[list[str], typer.Option("--range", help="A range like +43100-+43199, or one number; may repeat.")]
Withheld = Annotated[
    list[str], typer.Option("--withhold", help="A range never to give out, perhaps with =reason; may repeat.")
]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="The new pool's name.")],
    ranges: Ranges,
    country: Annotated[str, typer.Option(help="Two-letter country code.")],
    site: Annotated[str, typer.Option(help="Site.")] = "",
    kind: Annotated[
        str, typer.Option(help="directRouting, callingPlan, operatorConnect, teamsPhoneMobile or onPremises.")
    ] = "directRouting",
    withhold: Withheld = [],  # noqa: B006 - typer copies the default
    base_with_extensions: Annotated[
        bool, typer.Option("--base-with-extensions", help="A base may have an owner beside its extensions.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a pool. Numbers that belong to another pool are refused, naming both."""
    from datasets.pool_files import pool_of
    from engine import pool_changes, site_pools

    told = {"name": name, "site": site, "kind": kind, "country": country}
    more = {"base_beside_extensions": base_with_extensions, "spans": spans(ranges), "withheld": withheld(withhold)}
    pool = pool_of({**told, **more})
    with writing() as (connection, _):
        made = pool_changes.create(connection, site_pools.forbid(pool, forbidden()))
    _show(made, f"pool {name} is made", as_json=as_json)


@app.command("describe")
def describe(
    name: PoolName,
    site: Annotated[str | None, typer.Option(help="Site.")] = None,
    number_class: Annotated[
        str | None, typer.Option("--class", help="ordinary, vanity, service or emergencyCallback.")
    ] = None,
    carrier: Annotated[str | None, typer.Option(help="Who supplies the numbers.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A word to find it by; may repeat and replaces all.")] = None,
    as_json: Json = False,
) -> None:
    """Say more about a pool that a command made: site, class, carrier, tags."""
    from engine import pool_changes

    told = {"site": site, "number_class": number_class, "carrier": carrier, "tags": tuple(tag) if tag else None}
    with writing() as (connection, _):
        changed = pool_changes.describe(
            connection, name, {key: value for key, value in told.items() if value is not None}
        )
    _show(changed, f"pool {name} is described", as_json=as_json)


@app.command("resize")
def resize(
    name: PoolName,
    add: Annotated[list[str], typer.Option(help="A range to add; may repeat.")] = [],  # noqa: B006 - typer copies it
    remove: Annotated[list[str], typer.Option(help="A range to take out; may repeat.")] = [],  # noqa: B006 - as above
    withhold: Withheld = [],  # noqa: B006 - as above
    offer: Annotated[list[str], typer.Option(help="A withheld range to offer again; may repeat.")] = [],  # noqa: B006 - as above
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Add ranges to a pool, take some out, withhold or offer again; taken numbers are never lost."""
    from config.errors import InputRefused
    from engine import pool_changes, site_pools

    if not any((add, remove, withhold, offer)):
        raise InputRefused("nothing to change", where="numbers pool resize", remedy="use --add, --remove, --withhold")
    out = spans(remove)
    count = sum(span.run.size for span in out)
    if out and not output.confirmed(f"take {count} numbers out of pool {name}?", yes=yes):
        raise typer.Exit(1)
    with writing() as (connection, _):
        changed = pool_changes.resize(
            connection, name, add=spans(add), remove=out, withhold=withheld(withhold), offer=spans(offer)
        )
        if add and (kept := site_pools.forbid(changed, forbidden())) != changed:
            from engine import inventory

            inventory.define_pool(connection, kept)
            changed = kept
    _show(changed, f"pool {name} is changed", as_json=as_json)


@app.command("split")
def split(
    name: PoolName,
    ranges: Ranges,
    into: Annotated[str, typer.Option(help="The pool they go to, new or known.")],
    site: Annotated[str | None, typer.Option(help="Site of a new pool; else that of the old one.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Move ranges of a pool into another one; whoever has a number keeps it."""
    from datasets.inventory import UnknownPool
    from engine import inventory, pool_changes

    moving = spans(ranges)
    count = sum(span.run.size for span in moving)
    if not output.confirmed(f"move {count} numbers of pool {name} into {into}?", yes=yes):
        raise typer.Exit(1)
    with writing() as (connection, _):
        pool = inventory.read_pool(connection, name)
        if pool is None:
            raise UnknownPool(name)
        new = pool.model_copy(
            update={"name": into, "site": pool.site if site is None else site, "spans": (), "withheld": ()}
        )
        left, made = pool_changes.split(connection, name, moving, new)
    if as_json:
        output.as_json([_facts(left), _facts(made)])
    else:
        output.say(f"{count} numbers of pool {name} are in pool {into} now")


@app.command("retire")
def retire(name: PoolName, yes: Yes = False, as_json: Json = False) -> None:
    """Forget a pool that nobody has a number of; taken numbers are named and nothing is done."""
    from engine import inventory, pool_changes

    with opened.database() as database, database.read() as connection:
        size = inventory.counts(connection, name).size
    if not output.confirmed(f"forget pool {name} and its {size} numbers?", yes=yes):
        raise typer.Exit(1)
    with writing() as (connection, _):
        count = pool_changes.retire(connection, name, templates_of(name))
    output.as_json({"pool": name, "numbers": count}) if as_json else output.say(f"pool {name} is gone: {count} numbers")


@app.command("show")
def show(name: PoolName, as_json: Json = False) -> None:
    """Show a pool: where it is, what it is for, its ranges and what is withheld."""
    from datasets.inventory import UnknownPool
    from engine import inventory

    with opened.database() as database, database.read() as connection:
        pool = inventory.read_pool(connection, name)
        if pool is None:
            raise UnknownPool(name)
        counts = inventory.counts(connection, name)
    facts = _facts(pool) | counts.model_dump(exclude={"pool"}) | {"size": counts.size}
    output.as_json(facts) if as_json else output.pairs(facts)


def _show(pool: Pool, line: str, *, as_json: bool) -> None:
    output.as_json(_facts(pool)) if as_json else output.say(line)


def _facts(pool: Pool) -> dict[str, object]:
    names = ("name", "site", "country", "kind", "number_class", "carrier", "tags", "base_beside_extensions")
    by = "policy" if pool.is_policy else "command"
    ranges = [f"{span}{' (added)' if span.is_added and pool.is_policy else ''}" for span in pool.spans]
    kept = [f"{span}: {span.reason}" for span in pool.withheld]
    return {name: getattr(pool, name) for name in names} | {"made_by": by, "ranges": ranges, "withheld_ranges": kept}
