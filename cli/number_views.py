"""How full the pools are and how long they last: `numbers usage`, `numbers forecast`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import opened, output
from cli.number_options import Json, PoolName, site_policy, writing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from sqlalchemy import Connection

USAGE = ("size", "free", "assigned", "claimed", "reserved", "grace", "blocked", "withheld", "used_percent")


def usage(
    by: Annotated[str, typer.Option(help="pool, site or country.")] = "pool",
    svg: Annotated[Path | None, typer.Option(help="Draw it into this file.")] = None,
    prometheus: Annotated[Path | None, typer.Option(help="Write it for Prometheus' text file collector.")] = None,
    alert: Annotated[bool, typer.Option("--alert", help="Raise or clear the alert of pools that run low.")] = False,
    as_json: Json = False,
) -> None:
    """Show how full pools, sites or countries are: table, picture, Prometheus file, alerts."""
    from config.errors import InputRefused
    from datasets import number_usage
    from engine import inventory_usage

    if by not in ("pool", "site", "country"):
        raise InputRefused(f"{by[:40]!r} is nothing to count by", where="--by", remedy="use pool, site or country")
    with opened.database() as database, database.read() as connection:
        rows = inventory_usage.usage(connection, by)  # type: ignore[arg-type] # one of the three, as checked above
    if svg:
        _write(svg, number_usage.svg(rows, f"Numbers by {by}"))
    if prometheus:
        _write(prometheus, number_usage.prometheus(rows))
    output.show(
        [row.as_row() for row in rows], (by, *USAGE), json_wanted=as_json, title="usage", empty="no pool is known yet"
    )
    if alert:
        _alert()


def forecast(
    pool: PoolName,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far to look.")] = 180,
    hires: Annotated[
        list[str] | None,
        typer.Option(help="Numbers needed on a day, like 2027-01-15=12; else what the feeds say."),
    ] = None,
    per_day: Annotated[
        float | None, typer.Option(min=0, help="Numbers needed every day; else the pace of the last 90 days.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say when a pool will be empty, from what comes back, dated hires and the daily pace."""
    from engine import cache, inventory_usage

    asked = _hires(hires or [])
    with opened.database() as database, database.read() as connection:
        wanted = asked if hires else _dated_hires(connection, pool)
        groups = {} if hires else {"groups as of": cache.as_of(connection).get("groups", "never read")}
        seen = inventory_usage.foresee(
            connection, pool, now=datetime.now(UTC), days=days, hires=wanted, per_day=per_day
        )
    if as_json:
        output.as_json({**seen.model_dump(), **{name.replace(" ", "_"): age for name, age in groups.items()}})
        return
    ends = seen.exhausted_on.isoformat() if seen.exhausted_on else f"not within {days} days"
    changes = [pair for i, pair in enumerate(seen.days) if i % max(1, days // 12) == 0]
    needed = sum(count for day, count in wanted.items() if day <= seen.days[-1][0])
    output.pairs(
        {"pool": pool, "free now": seen.free, "hires": needed, "a day": seen.per_day, "used up": ends} | groups
    )
    output.table([{"day": day.isoformat(), "free": left} for day, left in changes], ("day", "free"))


def _dated_hires(connection: Connection, pool: str) -> dict[date, int]:
    """Give who is dated to start and takes from this pool, as feeds and site policy say."""
    from engine import feed_people

    site = site_policy()
    return feed_people.hires_of_pool(connection, site, pool, datetime.now(UTC).date()) if site else {}


def _alert() -> None:
    from config.settings import read_settings
    from engine import inventory_usage

    limits = read_settings().stock
    with writing() as (connection, now):
        low = inventory_usage.check_stock(
            connection, low_percent=limits.low_percent, low_count=limits.low_count, now=now
        )
    for pool in low:
        output.note(f"alert: pool {pool.group} has {pool.free} of {pool.size} numbers left ; add a range to it")


def _hires(texts: Sequence[str]) -> dict[date, int]:
    from datetime import date

    from config.errors import InputRefused

    found: dict[date, int] = {}
    for text in texts:
        match = re.fullmatch(r"(\d{4}-\d\d-\d\d)=(\d{1,6})", text.strip())
        try:
            day = date.fromisoformat(match[1]) if match else None
        except ValueError:
            day = None
        if match is None or day is None:
            raise InputRefused(f"{text[:60]!r} is no day with hires", remedy="write it like 2027-01-15=12")
        found[day] = found.get(day, 0) + int(match[2])
    return found


def _write(path: Path, text: str) -> None:
    """Replace a file whole, so that nobody reads half of it."""
    from config.errors import InputRefused

    half = path.with_name(f".{path.name}.new")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        remedy = "choose a folder you may write to"
        raise InputRefused(f"cannot be written: {error.strerror}", where=str(path), remedy=remedy) from error
