"""Whom we changed since the cache last looked: their effects in the journal, once they have rested for a moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from datasets.tables.journal import journal_effects
from engine import cache
from engine.cache import Freshness
from engine.readers import GROUP

MARK = "our_changes"
"""The entry in the freshness list that says until when our own changes were looked at."""
REST = timedelta(seconds=60)
"""A user who is still being worked on is not read in between: one read after the last change is enough."""
LONGEST_SYNC = timedelta(days=1)


@dataclass(frozen=True)
class Touched:
    """What we changed and what has rested, as of the moment `at`: users by id, directory accounts, numbers, groups."""

    at: datetime
    users: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    def with_users(self, ids: set[str]) -> Touched:
        """Add users, such as those of the directory accounts."""
        return replace(self, users=self.users | ids)

    def mark(self) -> Freshness:
        """Note that everything older was looked at: later changes, and those that had not rested, are for next time."""
        return Freshness(MARK, "fresh", "", len(self.users), synced_at=self.at - REST, tried_at=self.at)


def touched(connection: Connection, now: datetime) -> Touched:
    """Give what was changed since the last look and has rested."""
    since, c = _looked_until(connection), journal_effects.c
    query = select(c.object, c.attribute, c.at)
    latest: dict[str, datetime] = {}
    groups: dict[str, set[str]] = {}
    for name, attribute, at in connection.execute((query.where(c.at > since) if since else query).order_by(c.at)):
        latest[name] = at
        if attribute.startswith(GROUP):
            groups.setdefault(name, set()).add(attribute.removeprefix(GROUP))
    rested = [name for name, at in latest.items() if at <= now - REST]
    return Touched(
        now,
        users=_keys(rested, "user:"),
        accounts=frozenset(map(str.casefold, _keys(rested, "ad:"))),
        numbers=_keys(rested, "number:"),
        groups=frozenset(group for name in rested for group in groups.get(name, ())),
    )


def changed_since(connection: Connection, since: datetime) -> dict[str, datetime]:
    """Give the users whom we changed since a moment, by object id, with when we did last."""
    c = journal_effects.c
    query = select(c.object, func.max(c.at)).where(c.object.startswith("user:"), c.at >= since).group_by(c.object)
    return {name.removeprefix("user:"): at for name, at in connection.execute(query)}


def _keys(names: list[str], kind: str) -> frozenset[str]:
    return frozenset(name.removeprefix(kind) for name in names if name.startswith(kind))


def _looked_until(connection: Connection) -> datetime | None:
    """Give until when changes were looked at; before the first look, a moment before any whole sync can have begun.

    When a source was read is the end of reading it: what we changed after its first page may be missing in it.
    """
    marks = {each.source: each.synced_at for each in cache.freshness(connection)}
    voice = marks.get("voice")
    return marks.get(MARK) or (None if voice is None else voice - LONGEST_SYNC)
