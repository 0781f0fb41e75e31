"""Numbers changed by command: reserved, blocked and given back. Who is assigned one is the tenant's to say."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import output
from cli.number_options import Json, Number, Reason, Yes, moment, owner_of, writing

Owner = Annotated[str, typer.Option(help="For whom: an employee number, user:ID or person:NUMBER.")]
Until = Annotated[str, typer.Option(help="Until when: 2027-01-31 (that day included), a moment, or +30d.")]


def reserve(
    owner: Owner,
    number: Annotated[str, typer.Argument(help="The number; leave it out to take the next of --pool.")] = "",
    pool: Annotated[str, typer.Option(help="Take the next free numbers of this pool.")] = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many of the pool.")] = 1,
    reason: Reason = "reserved by command",
    until: Until = "",
    as_json: Json = False,
) -> None:
    """Reserve a number, or the next ones of a pool, for somebody."""
    from config.errors import InputRefused
    from datasets.numbering import parse_number
    from engine import inventory

    if bool(number) == bool(pool):
        raise InputRefused("name a number or a pool", where="numbers reserve", remedy="either NUMBER or --pool")
    if number and count != 1:
        raise InputRefused("one number is one", where="--count", remedy="use --count with --pool only")
    whose, asked = owner_of(owner), parse_number(number) if number else None
    with writing() as (connection, now):
        ends = moment(until, now)
        if asked:
            row = inventory.reserve(connection, asked, owner=whose, reason=reason, until=ends, now=now)
            given = [row.number]
        else:
            given = inventory.reserve_next(connection, pool, count, owner=whose, reason=reason, until=ends, now=now)
    told = [{"number": each.e164, "state": "reserved", "owner": whose, "until": ends} for each in given]
    if as_json:
        output.as_json(told)
    else:
        output.say("\n".join(f"{row['number']} is reserved for {whose}" for row in told))


def unreserve(number: Number, owner: Owner, reason: Reason = "", as_json: Json = False) -> None:
    """Cancel somebody's reservation; the number is free again."""
    from datasets.numbering import parse_number
    from engine import inventory

    asked, whose = parse_number(number), owner_of(owner)
    with writing() as (connection, now):
        was = inventory.unreserve(connection, asked, owner=whose, now=now, reason=reason)
    _told(asked.e164, was, f"is not reserved for {whose} any more", f"was not reserved for {whose}", as_json=as_json)


def block(number: Number, reason: Reason, as_json: Json = False) -> None:
    """Keep a number that nobody has from being offered."""
    from datasets.numbering import parse_number
    from engine import inventory

    asked = parse_number(number)
    with writing() as (connection, now):
        inventory.block(connection, asked, reason=reason, now=now)
    _told(asked.e164, True, "is blocked", "", as_json=as_json)


def unblock(number: Number, reason: Reason = "", as_json: Json = False) -> None:
    """Offer a blocked number again."""
    from datasets.numbering import parse_number
    from engine import inventory

    asked = parse_number(number)
    with writing() as (connection, now):
        was = inventory.unblock(connection, asked, now=now, reason=reason)
    _told(asked.e164, was, "is offered again", "was not blocked", as_json=as_json)


def release(
    number: Number,
    reason: Reason = "",
    gone: Annotated[
        bool, typer.Option("--gone-from-tenant", help="The tenant no longer assigns it: believe me.")
    ] = False,
    grace_days: Annotated[int | None, typer.Option(min=0, help="Days it rests; the setting says how many.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End a number's grace period early, or take one back that the tenant no longer assigns."""
    from datasets.numbering import parse_number
    from engine import inventory, number_release

    asked = parse_number(number)
    if not output.confirmed(f"release {asked} ?", yes=yes):
        raise typer.Exit(1)
    with writing() as (connection, now):
        rest = _grace_days() if grace_days is None else grace_days
        number_release.release(connection, asked, now=now, grace_days=rest, is_gone=gone, reason=reason)
        state = inventory.state_of(connection, asked).value
    output.as_json({"number": asked.e164, "state": state}) if as_json else output.say(f"{asked} is {state}")


def _grace_days() -> int:
    from config.settings import read_settings

    return read_settings().wait.grace_days


def _told(number: str, was: bool, yes: str, no: str, *, as_json: bool) -> None:
    if as_json:
        output.as_json({"number": number, "changed": was})
    else:
        output.say(f"{number} {yes if was else no}")
