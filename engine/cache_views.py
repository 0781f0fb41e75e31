"""Users as a search shows them: what the sources say of one person, side by side, rewritten only where it changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection, insert, or_, select, update

from datasets.cached import Body, search_text, shown_columns
from datasets.tables.cache import user_views
from engine import cache
from engine.cache_slices import Slices

_SLICE = 250  # a row of the search index costs five times a row of documents


def write_views(turn: cache.Turn, coming: int, names: set[str], *, everybody: bool) -> Iterator[int]:
    """Rewrite the users whom changes concern, or everybody; gives how many of each slice changed."""
    with turn.keeper.database.read() as connection:
        known = set(cache.known(connection, "users", coming)) if everybody else set()
        part_numbers = _part_numbers(connection, coming)
    slices = Slices(_SLICE)
    for some in slices.parts(sorted(names | known)):
        with turn.keeper.database.read() as connection:
            ended, rows = _changes(connection, coming, some, part_numbers)
        if ended or rows:
            with turn.write(slices) as connection:
                _write(connection, coming, ended, rows)
        yield len({*ended, *(str(row["key"]) for row in rows)})


def _part_numbers(connection: Connection, coming: int) -> dict[str, str]:
    skus = cache.bodies(connection, "licences", coming, list(cache.known(connection, "licences", coming)))
    return {sku: str(body["sku_part_number"]) for sku, body in skus.items()}


def _changes(
    connection: Connection, coming: int, names: Sequence[str], part_numbers: Mapping[str, str]
) -> tuple[list[str], list[dict[str, object]]]:
    """Give the views that end and those that begin; a name may be a user's key or an account in the directory."""
    keys = [*names, *cache.keys_by_link(connection, "users", coming, names)]
    wanted = {key: shown_columns(bodies, part_numbers) for key, bodies in _everything_of(connection, coming, keys)}
    c = user_views.c
    query = select(c.key, c.columns).where(c.key.in_(keys), or_(c.died.is_(None), c.died > coming))
    found = {row.key: row.columns for row in connection.execute(query)}
    changed = [key for key in {*wanted, *found} if wanted.get(key) != found.get(key)]
    rows = [_row(key, wanted[key], coming) for key in changed if key in wanted]
    return [key for key in changed if key in found], rows


def _write(connection: Connection, coming: int, ended: Sequence[str], rows: Sequence[dict[str, object]]) -> None:
    c = user_views.c
    connection.execute(update(user_views).where(c.key.in_(ended), c.died.is_(None)).values(died=coming))
    if rows:
        connection.execute(insert(user_views), list(rows))


def _row(key: str, columns: dict[str, str], coming: int) -> dict[str, object]:
    return {"key": key, "born": coming, "columns": columns, "text": search_text(columns)}


def _everything_of(
    connection: Connection, coming: int, keys: Iterable[str]
) -> Iterator[tuple[str, Mapping[str, Body]]]:
    """Give each user that exists with what every source says."""
    users = cache.bodies(connection, "users", coming, list(keys))
    accounts = {key: str(body["on_premises_sam_account_name"] or "").casefold() for key, body in users.items()}
    voice = cache.bodies(connection, "voice", coming, list(users))
    primary = {key: next(iter(body["telephone_numbers"]), "") for key, body in voice.items()}
    numbers = cache.bodies(connection, "numbers", coming, [number for number in primary.values() if number])
    directory = cache.bodies(connection, "directory", coming, [name for name in accounts.values() if name])
    skype = cache.bodies(connection, "skype", coming, [name for name in accounts.values() if name])
    forwarding = cache.bodies(connection, "forwarding", coming, [name for name in accounts.values() if name])
    groups = cache.bodies(connection, "groups", coming, list(users))
    calls = cache.bodies(connection, "teams_calls", coming, list(users))
    for key, body in users.items():
        parts = {
            "users": body,
            "voice": voice.get(key),
            "numbers": numbers.get(primary.get(key, "")),
            "directory": directory.get(accounts[key]),
            "skype": skype.get(accounts[key]),
            "forwarding": forwarding.get(accounts[key]),
            "groups": groups.get(key),
            "teams_calls": calls.get(key),
        }
        yield key, {name: part for name, part in parts.items() if part is not None}
