"""Bring the cache up to date: compare what each source says with what is kept, write what differs, show it at once.

A source that fails or is not believed keeps the rows it had and is called degraded; the others go on. An absent object
means a removed one only in a complete answer, and only as many as the limits allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from xxhash import xxh3_128_digest

from connectors.errors import ConnectorError
from datasets.cached import Document
from datasets.tables.cache import cache_documents
from engine import cache
from engine.cache import DoubtfulAnswer, Freshness
from engine.cache_slices import Slices
from engine.cache_views import write_views
from engine.leases import LeaseLost

ASKED_BY_TURNS = frozenset({"forwarding", "teams_calls"})
"""Sources that ask for some users at a time, and know themselves whose turn it is."""

NAMED_AGAIN = frozenset({"users"})
"""Sources whose pages are a delta, be it since ever: what changes while they are read is named again, as it is then."""


class Gone(NamedTuple):
    """Say that an object is no longer there, in an answer that names only what changed."""

    key: str


class Reading(Protocol):
    """What a source answers, object by object."""

    @property
    def source(self) -> str:
        """Give the name of the source."""

    @property
    def is_complete(self) -> bool:
        """Tell whether the answer names every object, so that what it does not name is not there."""

    @property
    def covers_all(self) -> bool:
        """Tell whether the whole source is up to date after it: everything was read, or everything that changed."""

    @property
    def link(self) -> str:
        """Give, once everything was read, where the next read may go on; empty when it cannot."""

    @property
    def at_once(self) -> int:
        """Give after how many objects to make sure that nobody else writes: few where each takes long."""

    def __iter__(self) -> Iterator[Document | Gone]:
        """Read. Raises what the connectors raise."""


@dataclass(frozen=True)
class Removals:
    """How many objects of a source may disappear between two syncs: so many, or so many percent if that is more."""

    count: int = 25
    percent: float = 10

    def allow(self, removed: int, known: int) -> bool:
        """Tell whether so many removals are believed."""
        return removed <= max(self.count, known * self.percent / 100)


@dataclass
class SourceResult:
    """What came of one source; `names` are what others call the objects that changed."""

    source: str
    read: int = 0
    written: int = 0
    removed: int = 0
    trouble: str = ""
    names: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class SyncResult:
    """What came of one sync; `views` counts the users whose shown columns changed."""

    generation: int
    sources: Sequence[SourceResult]
    views: int

    @property
    def is_degraded(self) -> bool:
        """Tell whether a source could not be read or was not believed."""
        return any(each.trouble for each in self.sources)


def sync(
    keeper: cache.Keeper, readings: Iterable[Reading], removals: Removals | None = None, note: Freshness | None = None
) -> SyncResult:
    """Sync these sources; `note` is kept with them if none was in trouble that whole syncs do not make good anyway.

    Raises LeaseHeld while another sync runs, and what our database raises.
    """
    with cache.turn(keeper) as turn:
        coming = cache.prepare(keeper.database)
        work = _Sources(turn, coming, removals or Removals())
        results = [work.sync(reading) for reading in readings]
        names = {name for each in results for name in each.names}
        products = any(each.names for each in results if each.source == "licences")
        views = sum(write_views(turn, coming, names, everybody=products))
        outcome = SyncResult(coming, results, views)
        is_whole = not any(each.trouble and each.source not in ASKED_BY_TURNS for each in results)
        notes = [note] if note and is_whole else []
        with turn.write() as connection:
            cache.flip(connection, coming, [*work.freshness, *notes])
        cache.clear(keeper.database)
    return outcome


class _Kept:
    """What is kept of a source: digests of what was not named yet, and of what was; None for what is gone."""

    def __init__(self, digests: dict[str, bytes]) -> None:
        self.left, self._named = digests, dict[str, bytes | None]()

    def news(self, items: Iterable[Document | Gone], reading: Reading) -> list[Document | Gone]:
        """Give the objects that are not as they were kept, and mark all as named.

        Raises DoubtfulAnswer for one that a complete answer names twice; a delta may, and then the last one counts.
        """
        found: list[Document | Gone] = []
        for each in items:
            digest = None if isinstance(each, Gone) else xxh3_128_digest(each.content)
            before = self._before(each.key, reading)
            if digest != before:
                found.append(each)
            self._named[each.key] = digest
        return found

    def _before(self, key: str, reading: Reading) -> bytes | None:
        if key not in self._named:
            return self.left.pop(key, None)
        if reading.is_complete and reading.source not in NAMED_AGAIN:
            raise DoubtfulAnswer(f"{reading.source} named {key} twice ; look at the source")
        return self._named[key]


class _Sources:
    """Syncs one source after the other into the coming generation."""

    def __init__(self, turn: cache.Turn, coming: int, removals: Removals) -> None:
        self._turn, self._coming, self._removals = turn, coming, removals
        self._slices = Slices(cache.SLICE)
        self.freshness: list[Freshness] = []
        with turn.keeper.database.read() as connection:
            self._before = {each.source: each for each in cache.freshness(connection)}

    def sync(self, reading: Reading) -> SourceResult:
        """Sync a source; whatever is wrong with it is said in the result, and nothing of it is kept then."""
        result = SourceResult(reading.source)
        try:
            self._compare(reading, result)
        except LeaseLost:
            raise
        except (ConnectorError, DoubtfulAnswer) as error:
            cache.undo(self._turn.keeper.database, cache_documents, self._coming - 1, reading.source)
            result = SourceResult(reading.source, trouble=" ".join(str(error).split()))
        if reading.covers_all:
            self._note(reading, result)
        return result

    def _compare(self, reading: Reading, result: SourceResult) -> None:
        with self._turn.keeper.database.read() as connection:
            kept = _Kept(cache.known(connection, reading.source, self._coming - 1))
        before, news = len(kept.left), list[Document | Gone]()
        for some in Slices(reading.at_once).parts(reading):
            result.read += len(some)
            self._turn.keep()
            news += kept.news(some, reading)
            if len(news) >= cache.SLICE:
                self._write(result, news)
                news.clear()
        self._write(result, news)
        if reading.is_complete:
            self._refuse_shrunk(reading.source, result.read, len(kept.left), before)
            self._write(result, map(Gone, kept.left))

    def _write(self, result: SourceResult, news: Iterable[Document | Gone]) -> None:
        latest = {each.key: each for each in news}
        for some in self._slices.parts(latest.values()):
            self._write_slice(result, some)

    def _write_slice(self, result: SourceResult, news: Sequence[Document | Gone]) -> None:
        changed = [each for each in news if isinstance(each, Document)]
        gone = [each.key for each in news if isinstance(each, Gone)]
        with self._turn.write(self._slices) as connection:
            written = cache.write_documents(connection, result.source, self._coming, changed, gone)
        result.written += written.rows
        result.removed += len(gone)
        result.names |= written.names

    def _refuse_shrunk(self, source: str, read: int, absent: int, before: int) -> None:
        if before and not read:
            raise DoubtfulAnswer(f"{source} answered nothing, {before} were known ; look at the source")
        if not self._removals.allow(absent, before):
            said = f"{source} no longer names {absent} of {before}, more than the limits allow"
            raise DoubtfulAnswer(f"{said} ; look at the source, or raise cache.removed_percent for one sync")

    def _note(self, reading: Reading, result: SourceResult) -> None:
        """Note how the source stands, to be shown with the generation."""
        now, before = self._turn.keeper.now(), self._before.get(reading.source)
        with self._turn.keeper.database.read() as connection:
            documents = cache.count(connection, reading.source, self._coming)
        synced_at = (before.synced_at if before else None) if result.trouble else now
        state = "fresh" if not result.trouble else "degraded" if synced_at else "absent"
        link = "" if result.trouble else reading.link
        self.freshness.append(
            Freshness(reading.source, state, result.trouble, documents, synced_at, tried_at=now, link=link)
        )
