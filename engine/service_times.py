"""How long calls of each kind take at this site, from our own record: between intent and verified outcome."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import Connection, and_, select

from datasets.tables.journal import journal
from datasets.tables.plans import plan_changes

LOOKED_AT = timedelta(days=30)
_NEWEST = 1000
# More than that was no call but a reply that got lost and was settled by a later visit.
_LONGEST_S = 300.0


def service_times(connection: Connection, now: datetime) -> dict[str, float]:
    """Give the median seconds of a call by kind of change; kinds that were not sent lately are left out.

    The look that verifies a change is in it, because a session does that too.
    """
    sent, seen = journal.alias("sent"), journal.alias("seen")
    same = (sent.c.stream_id == seen.c.stream_id, sent.c.line == seen.c.line, sent.c.change == seen.c.change)
    change = plan_changes.c
    query = (
        select(change.kind, sent.c.at, seen.c.at.label("until"))
        .join(seen, and_(*same, seen.c.seq > sent.c.seq, seen.c.result == "verified"))
        .join(
            plan_changes,
            and_(change.plan_id == sent.c.plan_id, change.line == sent.c.line, change.seq == sent.c.change),
        )
        .where(sent.c.phase == "intent", sent.c.at > now - LOOKED_AT)
        .order_by(sent.c.at.desc())
    )
    took: dict[str, list[float]] = {}
    for row in connection.execute(query.limit(_NEWEST)):
        seconds = (row.until - row.at).total_seconds()
        if seconds <= _LONGEST_S:
            took.setdefault(row.kind, []).append(seconds)
    return {kind: median(each) for kind, each in took.items()}
