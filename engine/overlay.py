"""Read your own writes: our verified effects younger than the lag window outweigh what a lagging read shows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from datasets.tables.journal import journal_effects
from engine.kinds import KINDS
from engine.readers import Observed
from engine.runtime import Limits

_SLICE = 500


def longest_lag(limits: Limits) -> timedelta:
    """Give the longest lag window of all kinds."""
    return max(limits.lag(kind) for kind in KINDS.values())


def recent_effects(connection: Connection, objects: Iterable[str], *, now: datetime, limits: Limits) -> Observed:
    """Give the latest values we verified on these objects within the lag window."""
    names, found = list(objects), Observed()
    c = journal_effects.c
    for start in range(0, len(names), _SLICE):
        query = select(c.object, c.attribute, c.after).where(
            c.object.in_(names[start : start + _SLICE]), c.at > now - longest_lag(limits)
        )
        for row in connection.execute(query.order_by(c.at, c.seq)):
            found[row.object, row.attribute] = row.after
    return found
