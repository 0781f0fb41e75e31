"""Calling settings of users in Teams for the cache: one call for each user, so only some in one sync.

Only users with Enterprise Voice are asked for: first those whom we changed since they were read, then those never
read, then those read longest ago. The others keep what was read, with its age.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import Connection

from connectors.errors import Invalid, NotFound, Retryable, Unreachable
from datasets.cached import Body, Document, document
from datasets.teams_calls import TeamsCalls
from engine import cache, cache_touched
from engine.cache_sync import Gone
from engine.runtime import Runtime
from engine.systems import CallingSystem

SOURCE = "teams_calls"
_SILENT_USERS = 3
_NEVER = ""


class CallsReading:
    """Calling settings of `most` users with Enterprise Voice, of everybody or of some; others stay as they are."""

    source, is_complete, link, at_once = SOURCE, False, "", 10

    def __init__(
        self, calling: CallingSystem, runtime: Runtime, most: int, only: Collection[str] | None = None
    ) -> None:
        self._calling, self._runtime, self._most, self._only = calling, runtime, most, only
        self.covers_all = only is None
        self._silent: list[Retryable] = []

    def __iter__(self) -> Iterator[Document | Gone]:
        """Say who has no Enterprise Voice any more, then ask. Raises Unreachable when users are not answered."""
        with self._runtime.database.read() as connection:
            coming = cache.generation(connection) + 1  # what this very sync has read of Enterprise Voice counts
            keys = self._keys(connection, coming)
            voiced = {key for key, body in _each(connection, "voice", coming, keys) if _has_voice(body)}
            read = {key: str(body["as_of"]) for key, body in _each(connection, SOURCE, coming, keys)}
            changed = self._changed(connection, read)
        yield from (Gone(key) for key in read if key not in voiced)
        asked = sorted(voiced, key=lambda key: _turn(key, read, changed))[: self._most]
        for user_id in asked:
            found = self._asked(user_id)
            if found is not None:
                yield document(found)
        if self._silent and len(self._silent) == len(asked):
            raise self._silent[-1]

    def _keys(self, connection: Connection, coming: int) -> Sequence[str]:
        if self._only is not None:
            return sorted(self._only)
        users = cache.known(connection, "voice", coming)
        if not users:
            raise Unreachable("calling settings were not asked for ; the users of Teams could not be listed")
        return sorted({*users, *cache.known(connection, SOURCE, coming)})

    def _changed(self, connection: Connection, read: Mapping[str, str]) -> Mapping[str, datetime]:
        if self._only is not None:
            return {}  # we changed them all
        return cache_touched.changed_since(connection, _moment(min(read.values(), default=_NEVER)))

    def _asked(self, user_id: str) -> TeamsCalls | None:
        """Ask for one user; None for one who is not answered. Raises when several were not."""
        found: TeamsCalls | None = None
        try:
            found = self._calling.calls(user_id)
        except (Invalid, NotFound):
            pass  # a user without calling settings, such as one who is being deleted
        except Retryable as error:
            self._silent.append(error)
            if len(self._silent) >= _SILENT_USERS:
                raise
            return None
        now = self._runtime.now().isoformat(timespec="seconds")
        return (found or TeamsCalls(user_id=user_id)).model_copy(update={"as_of": now})


def _each(connection: Connection, source: str, coming: int, keys: Sequence[str]) -> Iterator[tuple[str, Body]]:
    left = iter(keys)
    while some := list(islice(left, cache.SLICE)):
        yield from cache.bodies(connection, source, coming, some).items()


def _has_voice(body: Body) -> bool:
    return bool(body["is_enterprise_voice_enabled"]) and body["account_type"] == "user"


def _turn(key: str, read: Mapping[str, str], changed: Mapping[str, datetime]) -> tuple[bool, str, str]:
    """Give what users are ordered by: those changed since they were read first, then the oldest, never read before."""
    as_of, at = read.get(key, _NEVER), changed.get(key)
    is_changed = at is not None and (as_of == _NEVER or at >= datetime.fromisoformat(as_of))
    return not is_changed, as_of, key


def _moment(as_of: str) -> datetime:
    return datetime.fromisoformat(as_of) if as_of else datetime.min.replace(tzinfo=UTC)


def as_of(connection: Connection, user_id: str) -> str:
    """Say when the calling settings of a user were read; empty when they never were."""
    found = cache.bodies(connection, SOURCE, cache.generation(connection), [user_id])
    return str(found[user_id]["as_of"]) if user_id in found else ""
