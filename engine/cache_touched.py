"""Whom we changed since the cache last looked: their effects in the journal, once they have rested for a moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from datasets.tables.journal import journal_effects
from engine import cache
from engine.cache import Freshness

MARK = "our_changes"
"""The entry in the freshness list that says until when our own changes were looked at."""
REST = timedelta(seconds=60)
"""A user who is still being worked on is not read in between: one read after the last change is enough."""


def touched(connection: Connection, now: datetime) -> dict[str, set[str]]:
    """Give the objects that were changed since the last look and have rested: user ids and directory accounts."""
    since = _looked_until(connection)
    c = journal_effects.c
    query = select(c.object, c.at).where(c.at > since) if since else select(c.object, c.at)
    latest: dict[str, datetime] = {}
    for name, at in connection.execute(query.order_by(c.at)):
        latest[name] = at
    found: dict[str, set[str]] = {"user": set(), "ad": set()}
    for name, at in latest.items():
        kind, _, key = name.partition(":")
        if kind in found and at <= now - REST:
            found[kind].add(key.casefold() if kind == "ad" else key)
    return found


def changed_since(connection: Connection, since: datetime) -> dict[str, datetime]:
    """Give the users whom we changed since a moment, by object id, with when we did last."""
    c = journal_effects.c
    query = select(c.object, func.max(c.at)).where(c.object.startswith("user:"), c.at >= since).group_by(c.object)
    return {name.removeprefix("user:"): at for name, at in connection.execute(query)}


def looked(before: Mapping[str, Collection[str]], now: datetime) -> Freshness:
    """Note until when changes were looked at."""
    count = sum(map(len, before.values()))
    return Freshness(MARK, "fresh", "", count, synced_at=now - REST, tried_at=now)


def _looked_until(connection: Connection) -> datetime | None:
    marks = {each.source: each.synced_at for each in cache.freshness(connection)}
    moments = [moment for name, moment in marks.items() if name in (MARK, "voice") and moment is not None]
    return max(moments, default=None)
