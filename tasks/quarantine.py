"""The stage that reads quarantined rows again, after a mapping or a site's rule was put right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Row

from config.errors import InputRefused
from config.site_mappings import FeedMapping
from config.site_policy import read_mapping
from connectors.hr import reread
from connectors.hr_json import as_events
from datasets.feeds import BadRow, GoodRow
from engine import feeds
from engine.change import fingerprint
from engine.runtime import utc_now
from tasks import lifecycle
from tasks.hr_event import completed_rows, fields_said
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import open_work

KIND = lifecycle.RETRY


@stage(READ)
def read_again(request_id: str, mapping: str, ids: list[int]) -> str:
    """Read quarantined rows by the mapping as it is now, as a feed of their own; gives that feed's id.

    A row of that feed has the number that it had in quarantine as its line. Raises InputRefused, changing nothing.
    """
    feed_id = f"f-{request_id.removeprefix('r-')}"
    with open_work() as work:
        rules = read_mapping(Path(mapping), work.settings.site)
        with work.database.write() as connection:
            found = feeds.retry_quarantine(connection, ids, utc_now())
            came_over_http = rules.kind == "snapshot" and all(
                row.feed_name.removesuffix(" (again)") == as_events(rules).name for row in found
            )
            rules = as_events(rules) if came_over_http else rules
            _refuse_other_feeds(found, rules)
            rows = [reread(row.row, rules, row.id) for row in found]
            if came_over_http:  # kept with every column of its event: what is empty may not have been named
                named = {row.id: {name: cell for name, cell in row.row.items() if cell} for row in found}
                said = {line: fields_said(cells, rules, "events") for line, cells in named.items()}
                rows = completed_rows(connection, rows, said, "events")
            good = [row for row in rows if isinstance(row, GoodRow)]
            _refuse_twice(good, rules)
            feeds.record_feed(
                connection,
                feed_id=feed_id,
                name=f"{rules.name} (again)",
                digest=fingerprint([request_id, ids]),
                kind=rules.kind,
                request_id=request_id,
                now=utc_now(),
                people=[(row.line, row.person) for row in good],
                bad=[row for row in rows if isinstance(row, BadRow)],
            )
            if rules.kind == "events":
                feeds.check_events(connection, feed_id, feeds.people_of(connection, feed_id))
    return feed_id


@stage(READ)
def are_of_lives(ids: list[int]) -> bool:
    """Tell whether rows came with a feed or an event by which people also move and leave, first of all."""
    left = set(ids)
    with open_work() as work, work.database.read() as connection:
        while left:
            origins = feeds.origins(connection, left)
            if any(kind in (lifecycle.KIND, lifecycle.HR_EVENT) for kind, _ in origins):
                return True
            left = {row for kind, asked in origins if kind == KIND for row in asked.get("rows", ())} - left
    return False


def _refuse_other_feeds(rows: Sequence[Row[Any]], rules: FeedMapping) -> None:
    for row in rows:
        if row.feed_name.removesuffix(" (again)") != rules.name:
            what = f"quarantined row {row.id} is of feed '{row.feed_name}', the mapping is for '{rules.name}'"
            raise InputRefused(what, remedy="retry it with the mapping of its feed")


def _refuse_twice(rows: Sequence[GoodRow], rules: FeedMapping) -> None:
    """Refuse two rows about one person: which of them is right is for HR to say, not for their order."""
    key = "employee_id" if rules.kind == "snapshot" else "event_id"
    seen: dict[object, int] = {}
    for row in rows:
        value = getattr(row.person, key)
        if value in seen:
            what = f"quarantined rows {seen[value]} and {row.line} have the same {key}"
            raise InputRefused(what, remedy="retry only the one that is right")
        seen[value] = row.line
