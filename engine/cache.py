"""The cache's rows: a sync writes the next generation in slices, one update shows it, slices clear what it replaced.

Only rows that differ are written. What an unfinished sync left behind is undone before the next one begins. Reading the
outside systems and judging what they say is left to `engine/cache_sync.py`.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, cast

import orjson
from pydantic import JsonValue
from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Table,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from xxhash import xxh3_128_digest

from connectors.database import Database
from datasets.cached import Body, Document
from datasets.tables.cache import cache_documents, cache_sources, cache_state, user_views
from engine import leases
from engine.cache_slices import Slices
from engine.leases import Lease, LeaseHeld
from engine.runtime import Limits, utc_now

SLICE = 400  # a changed document is two rows, and no transaction writes a thousand
_STATE = 1
_LEASE = ("cache", "users")


class DoubtfulAnswer(Exception):
    """Do not believe what a source answered: it contradicts itself, or too much of it is missing."""


class Freshness(NamedTuple):
    """How a source stood at the last sync: fresh, degraded (the rows are older than the last try) or absent."""

    source: str
    state: str
    message: str
    documents: int
    synced_at: datetime | None
    tried_at: datetime
    link: str = ""


@dataclass(frozen=True)
class Written:
    """What one slice changed: how many rows it wrote, and the names by which others refer to what changed."""

    rows: int
    names: frozenset[str]


class Keeper(Protocol):
    """What keeping the cache needs of a process; a Runtime has it, and so has one that cannot open the tenant."""

    @property
    def database(self) -> Database:
        """Give our database."""

    @property
    def lease(self) -> timedelta:
        """Give how long a lease lasts without renewal."""

    def now(self) -> datetime:
        """Give the current moment."""

    def new_holder(self) -> str:
        """Give a name under which a lease is held."""


@dataclass(frozen=True)
class DatabaseOnly:
    """A keeper without any outside system."""

    database: Database
    limits: Limits

    @property
    def lease(self) -> timedelta:
        """Give how long a lease lasts without renewal."""
        return timedelta(seconds=self.limits.lease_s)

    def now(self) -> datetime:
        """Give the current moment."""
        return utc_now()

    def new_holder(self) -> str:
        """Give a name under which a lease is held."""
        return uuid.uuid4().hex


class Turn:
    """The right to write the cache: proved in every transaction, so that two syncs never write side by side."""

    def __init__(self, keeper: Keeper, lease: Lease) -> None:
        self.keeper, self._lease, self._renewed_at = keeper, lease, keeper.now()

    @contextmanager
    def write(self, slices: Slices | None = None) -> Iterator[Connection]:
        """Open a write transaction, of a slice or of a few rows. Raises LeaseLost."""
        database = self.keeper.database
        with slices.write(database) if slices else database.write() as connection:
            self._renewed_at = self.keeper.now()
            leases.renew(connection, [self._lease], now=self._renewed_at, ttl=self.keeper.lease)
            yield connection

    def keep(self) -> None:
        """Renew the right when a third of its time is over: reading a slow source takes longer than a lease lasts."""
        if self.keeper.now() - self._renewed_at > self.keeper.lease / 3:
            with self.write():
                pass

    def end(self) -> None:
        """Let others write."""
        with self.keeper.database.write() as connection:
            leases.release(connection, [self._lease], now=self.keeper.now())


@contextmanager
def turn(keeper: Keeper) -> Iterator[Turn]:
    """Take the right to write the cache. Raises LeaseHeld while somebody else has it."""
    with keeper.database.write() as connection:
        now = keeper.now()
        lease = leases.acquire(connection, *_LEASE, keeper.new_holder(), now=now, ttl=keeper.lease)
        held = leases.holder_of(connection, *_LEASE, now=now)
    if lease is None:
        raise LeaseHeld("another sync of the cache is running ; wait for its end", held[1] if held else None)
    mine = Turn(keeper, lease)
    try:
        yield mine
    finally:
        mine.end()


def generation(connection: Connection) -> int:
    """Give the generation that readers see; 0 before the first sync."""
    found = connection.execute(select(cache_state.c.generation)).scalar_one_or_none()
    return int(found or 0)


def is_clean(connection: Connection) -> bool:
    """Tell whether every row is visible, so that a count need not look at each."""
    return bool(connection.execute(select(cache_state.c.is_clean)).scalar_one_or_none())


def visible(table: Table, current: int | ScalarSelect[int]) -> ColumnElement[bool]:
    """Give the condition for rows of this generation."""
    return and_(table.c.born <= current, or_(table.c.died.is_(None), table.c.died > current))


def prepare(database: Database) -> int:
    """Undo what an unfinished sync wrote, mark the cache as being written, and give the next generation."""
    with database.write() as connection:
        current = generation(connection)
        connection.execute(delete(cache_state))
        connection.execute(insert(cache_state).values(id=_STATE, generation=current, is_clean=False))
    for table in (cache_documents, user_views):
        undo(database, table, current)
    return current + 1


def undo(database: Database, table: Table, current: int, source: str | None = None) -> None:
    """Take back what was written after this generation, of one source or of all."""
    ours = table.c.source == source if source else table.c.id > 0
    _in_slices(database, table, and_(ours, table.c.born > current), None)
    _in_slices(database, table, and_(ours, table.c.died > current), {"died": None})


def clear(database: Database) -> None:
    """Delete what the current generation replaced; from then on every row is visible."""
    with database.read() as connection:
        current = generation(connection)
    for table in (cache_documents, user_views):
        _in_slices(database, table, table.c.died <= current, None)
    with database.write() as connection:
        if generation(connection) == current:
            connection.execute(update(cache_state).values(is_clean=True))


def _in_slices(
    database: Database, table: Table, where: ColumnElement[bool], values: Mapping[str, object] | None
) -> None:
    """Delete or update the rows of a condition, a few in each transaction, so that the journal never waits long."""
    some, slices = select(table.c.id).where(where), Slices(SLICE)
    change = delete(table) if values is None else update(table).values(values)
    with database.read() as connection:
        left = connection.execute(some.limit(1)).first() is not None
    while left:
        with slices.write(database) as connection:
            left = connection.execute(change.where(table.c.id.in_(some.limit(slices.rows)))).rowcount > 0


def known(connection: Connection, source: str, current: int) -> dict[str, bytes]:
    """Give the digest of every visible document of a source, by key."""
    c = cache_documents.c
    query = select(c.key, c.digest).where(c.source == source, visible(cache_documents, current))
    # The driver's own rows: making a hundred thousand of SQLAlchemy's would be a quarter of a sync.
    rows: Iterable[tuple[str, bytes]] = connection.execute(query).cursor  # type: ignore[assignment]  # typed Any | None
    return dict(rows)


def write_documents(
    connection: Connection, source: str, coming: int, documents: Sequence[Document], removed: Collection[str] = ()
) -> Written:
    """Write changed documents and end removed ones, to be seen from generation `coming`."""
    c = cache_documents.c
    keys = [*(each.key for each in documents), *removed]
    here = and_(c.source == source, c.key.in_(keys))
    ended = update(cache_documents).where(here, c.died.is_(None)).values(died=coming).returning(c.link)
    links = connection.execute(ended).scalars().all()
    if documents:
        connection.execute(insert(cache_documents), [_row(source, coming, each) for each in documents])
    names = {*keys, *links, *(each.link for each in documents)} - {""}
    return Written(len(keys), frozenset(names))


def _row(source: str, coming: int, one: Document) -> dict[str, object]:
    body = one.content.decode()
    return {
        "source": source,
        "key": one.key,
        "link": one.link,
        "born": coming,
        "digest": xxh3_128_digest(one.content),
        "body": body,
    }


def bodies(connection: Connection, source: str, current: int, keys: Collection[str]) -> dict[str, Body]:
    """Give documents of a source by key."""
    if not keys:
        return {}
    c = cache_documents.c
    query = select(c.key, c.body).where(c.source == source, c.key.in_(keys), visible(cache_documents, current))
    return {key: orjson.loads(body) for key, body in connection.execute(query)}


def groups_by_employee(connection: Connection) -> dict[str, set[str]]:
    """Give by employee id the groups of templates that people were in at the last sync."""
    current, found = generation(connection), dict[str, set[str]]()
    members = list(known(connection, "groups", current))
    for start in range(0, len(members), SLICE):
        keys = members[start : start + SLICE]
        users = bodies(connection, "users", current, keys)
        for key, body in bodies(connection, "groups", current, keys).items():
            if (employee_id := users.get(key, {}).get("employee_id")) is not None:
                found.setdefault(str(employee_id), set()).update(map(str, cast("list[str]", body["groups"])))
    return found


def keys_by_link(connection: Connection, source: str, current: int, links: Collection[str]) -> set[str]:
    """Give the keys of documents with these links."""
    c = cache_documents.c
    query = select(c.key).where(c.source == source, c.link.in_(links), visible(cache_documents, current))
    return set(connection.execute(query).scalars())


def links(connection: Connection, source: str, current: int, keys: Collection[str]) -> set[str]:
    """Give the links of documents with these keys; documents without one are left out."""
    c = cache_documents.c
    query = select(c.link).where(c.source == source, c.key.in_(keys), visible(cache_documents, current), c.link != "")
    return set(connection.execute(query).scalars())


def flip(connection: Connection, coming: int, sources: Sequence[Freshness]) -> None:
    """Show the next generation: one statement, and readers see all of it."""
    connection.execute(update(cache_state).values(generation=coming))
    names = [each.source for each in sources]
    connection.execute(delete(cache_sources).where(cache_sources.c.source.in_(names)))
    if sources:
        connection.execute(insert(cache_sources), [each._asdict() for each in sources])


def freshness(connection: Connection) -> list[Freshness]:
    """Give how every source stood at the last sync."""
    return [Freshness(*row) for row in connection.execute(select(cache_sources).order_by(cache_sources.c.source))]


def as_of(connection: Connection) -> dict[str, JsonValue]:
    """Give the generation that is shown and how old each source is, and what is wrong with one in trouble."""
    found: dict[str, JsonValue] = {each.source: _age(each) for each in freshness(connection)}
    return {"generation": generation(connection), **found} if found else found


def _age(each: Freshness) -> str:
    read = each.synced_at.isoformat(timespec="seconds") if each.synced_at else "never read"
    return f"{read} ({each.message})" if each.message else read


def count(connection: Connection, source: str, current: int) -> int:
    """Count the visible documents of a source."""
    query = select(func.count()).where(cache_documents.c.source == source, visible(cache_documents, current))
    return int(connection.execute(query).scalar_one())
