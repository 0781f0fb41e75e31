"""Users on the command line: find them by any text, look at one, export them, and bring the cache up to date."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import acts, opened, output
from cli.acts import Act
from cli.exits import FinishedWithFailures

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.user_search import Found

SYNC = Act("cache-sync", "flows.cache_sync", "CacheSyncRequest")
SHOWN = ("name", "address", "number", "department", "country", "licences")
app = typer.Typer(help="Find users in what was last read of the tenant.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Columns = Annotated[str, typer.Option(help="Columns to show and to look at, with commas between; default: all.")]


@app.command("sync")
def sync(
    full: Annotated[bool, typer.Option("--full", help="Read every user, not only those that changed.")] = False,
    only_touched: Annotated[bool, typer.Option("--only-touched", help="Only whom Callwright changed.")] = False,
    as_json: Json = False,
) -> None:
    """Read what changed in the tenant; exit code 1 when a source could not be read or was not believed."""
    summary = acts.run(SYNC, {"full": full, "only_touched": only_touched})
    rows = [{"source": name, **facts} for name, facts in summary["sources"].items()]
    if as_json:
        output.as_json(summary)
    else:
        output.show(
            rows, ("source", "read", "written", "removed", "trouble"), json_wanted=False, empty="nobody to read"
        )
        output.say(f"{summary['users_changed']} users changed")
    if summary["degraded"]:
        what = ", ".join(summary["degraded"])
        raise FinishedWithFailures(
            f"degraded: {what} ; what was known before is kept; see ./callwright users freshness"
        )


@app.command("search")
def search(
    text: Annotated[str, typer.Argument(help="Any part of any shown column; case does not matter.")] = "",
    columns: Columns = "",
    saved: Annotated[str, typer.Option("--filter", help="Use a saved filter instead.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many on a page.")] = 50,
    after: Annotated[int, typer.Option(min=0, help="Go on after this place.")] = 0,
    as_json: Json = False,
) -> None:
    """List users with a text in any shown column, and how many there are."""
    from engine import user_search

    with opened.database() as database, database.read() as connection:
        query, shown = _wanted(connection, text, columns, saved)
        found = user_search.page(connection, query, shown=shown, after=after, limit=limit)
        total = user_search.count(connection, query, shown=shown)
        fresh = _freshness(connection)
    if as_json:
        output.as_json({"count": total, "as_of": fresh, "users": [_row(each, shown) for each in found]})
        return
    output.show([_row(each, shown) for each in found], shown or SHOWN, json_wanted=False, empty="nobody has this text")
    more = f" ; the next page: --after {found[-1].place}" if len(found) == limit and total > limit else ""
    output.say(f"{total} users{more}")
    output.say(as_of(fresh))


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="Object id or address.")], as_json: Json = False) -> None:
    """Show every column of one user, and how old it is."""
    from config.errors import InputRefused
    from engine import cache_calls, cache_forwarding, user_search

    with opened.database() as database, database.read() as connection:
        found, fresh = user_search.user(connection, name), _freshness(connection)
        forwarding = cache_forwarding.as_of(connection, found.key) if found else ""
        calls = cache_calls.as_of(connection, found.key) if found else ""
    if found is None:
        raise InputRefused(f"no user {name!r} is known", remedy="./callwright users search finds parts of names")
    facts: dict[str, object] = {"id": found.key, **found.columns}
    if forwarding:
        facts["forwarding_as_of"] = forwarding
    if calls:
        facts["teams_calls_as_of"] = calls
    if as_json:
        output.as_json({**facts, "as_of": fresh})
    else:
        output.pairs(facts)
        output.say(as_of(fresh))


@app.command("export")
def export(
    path: Annotated[Path, typer.Argument(help="The file to write: .csv, .xlsx, or .json for one JSON object a line.")],
    text: Annotated[str, typer.Option(help="Only users with this text.")] = "",
    columns: Columns = "",
    saved: Annotated[str, typer.Option("--filter", help="Use a saved filter.")] = "",
) -> None:
    """Write users to a file; cells that a spreadsheet would take for formulas are made text."""
    from engine import user_export, user_search

    with opened.database() as database, database.read() as connection:
        query, shown = _wanted(connection, text, columns, saved)
        everybody = user_search.everybody(connection, query, shown=shown)
        written = user_export.write(path, everybody, user_search.check_columns(shown))
        fresh = _freshness(connection)
    output.note(f"{written} users are in {path}, {as_of(fresh)}")


@app.command("freshness")
def freshness(as_json: Json = False) -> None:
    """Show when each source was last read, what is wrong with it, and which generation is shown."""
    from engine import cache

    with opened.database() as database, database.read() as connection:
        current = cache.generation(connection)
        rows = [{**each._asdict(), "generation": current} for each in cache.freshness(connection)]
    columns = ("source", "state", "documents", "synced_at", "message")
    output.show(rows, columns, json_wanted=as_json, empty="nothing was read yet ; run ./callwright users sync")
    if rows and not as_json:
        output.say(f"generation {current} is shown")


@app.command("filters")
def filters(as_json: Json = False) -> None:
    """List the saved filters."""
    from engine import saved_filters

    with opened.database() as database, database.read() as connection:
        rows = [each._asdict() for each in saved_filters.names(connection)]
    output.show(rows, ("name", "query", "columns", "saved_by"), json_wanted=as_json, empty="no filter is saved")


@app.command("save-filter")
def save_filter(
    name: Annotated[str, typer.Argument(help="The name of the filter.")],
    text: Annotated[str, typer.Argument(help="The text to look for.")],
    columns: Columns = "",
) -> None:
    """Keep a search under a name; your own one of that name is replaced."""
    from engine import saved_filters, user_search
    from engine.runtime import utc_now

    shown = user_search.check_columns(_names(columns)) if columns else ()
    with opened.database() as database, database.write() as connection:
        wanted = saved_filters.SavedFilter(name, text, shown, getpass.getuser(), utc_now())
        saved_filters.save(connection, wanted)


@app.command("delete-filter")
def delete_filter(
    name: Annotated[str, typer.Argument(help="The name of the filter.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget a saved filter."""
    from engine import saved_filters

    with opened.database() as database:
        with database.read() as connection:
            found = saved_filters.load(connection, name)
        question = f"delete filter {found.name!r} ({found.query!r}), saved by {found.saved_by}?"
        if output.confirmed(question, yes=yes):
            with database.write() as connection:
                saved_filters.delete_filter(connection, name)


def _wanted(connection: Connection, text: str, columns: str, saved: str) -> tuple[str, tuple[str, ...]]:
    """Give the text and the columns, from the command line or from a saved filter."""
    from engine import saved_filters, user_search

    if saved:
        found = saved_filters.load(connection, saved)
        return found.query, found.columns
    return text, user_search.check_columns(_names(columns)) if columns else ()


def _names(columns: str) -> list[str]:
    return [name.strip() for name in columns.split(",") if name.strip()]


def _row(each: Found, shown: Sequence[str]) -> dict[str, object]:
    return {"id": each.key, **{name: value for name, value in each.columns.items() if not shown or name in shown}}


def _freshness(connection: Connection) -> dict[str, Any]:
    """Give how old what is shown is."""
    from engine import cache

    return dict(cache.as_of(connection))


def as_of(fresh: Mapping[str, Any]) -> str:
    """Say how old the cache is that something was found in."""
    return f"as of {output.text(dict(fresh))}" if fresh else "nothing was read yet ; run ./callwright users sync"
