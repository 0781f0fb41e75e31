"""What HR says of people now: of one by employee id, and who is dated to start and will need a number of a pool.

Of people of lifecycle feeds that is what was believed of them last: an older event may arrive late, and words that take
effect later do not count yet. Of all others, and of those whom a feed that only onboards brought since, it is what the
newest feed says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date

from sqlalchemy import Connection, Select, func, select, tuple_

from config.site_policy import SitePolicy
from config.site_templates import NumberSource
from datasets.people import Person, Status
from datasets.tables.feeds import feed_rows, feeds
from datasets.tables.inventory import taken
from datasets.tables.requests import requests
from datasets.templates import choose_template
from engine import cache, departures
from engine.claims import person as person_owner
from engine.departures import Known
from engine.feeds import is_dry

_SLICE = 500


def latest(connection: Connection, employee_id: str) -> Person | None:
    """Give what HR says of somebody now; None when no feed has them, or it is erased."""
    return next((person for _, _, person in newest(connection, [employee_id])), None)


def newest(connection: Connection, employee_ids: Collection[str]) -> list[tuple[str, int, Person]]:
    """Give what HR says of these people now, with feed and line; once each, in order."""
    known = departures.known(connection, employee_ids)
    found = {name: (each.feed_id, each.line, each.person) for name, each in known.items()}
    found |= _by_arrival(connection, sorted({*employee_ids} - ({*known} - _onboarded_since(connection, known))))
    return [found[name] for name in sorted(employee_ids) if name in found]


def _onboarded_since(connection: Connection, known: Mapping[str, Known]) -> set[str]:
    """Name those to whom a feed that only onboards gave something later than the lifecycle heard of them."""
    heard = {name: each.at for name, each in known.items() if each.at is not None}
    if not heard:
        return set()
    since = min(heard.values())
    query = select(feeds.c.id, feeds.c.at, requests.c.parameters).join(requests, requests.c.id == feeds.c.request_id)
    query = query.where(feeds.c.accepted, feeds.c.at > since, requests.c.kind == "onboarding")
    later = {row.id: row.at for row in connection.execute(query) if not is_dry(row)}
    found = set[str]()
    for part in _slices(sorted(heard) if later else []):
        of_these = select(feed_rows.c.employee_id, feed_rows.c.feed_id).where(feed_rows.c.employee_id.in_(part))
        for row in connection.execute(of_these):
            if row.feed_id in later and later[row.feed_id] > heard[row.employee_id]:
                found.add(row.employee_id)
    return found


def _slices(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _SLICE] for start in range(0, len(names), _SLICE))


def _by_arrival(connection: Connection, names: Sequence[str]) -> dict[str, tuple[str, int, Person]]:
    """Give what the newest feed that was believed says of people; that of a dry run only of whom no other has."""
    c, found, dry = feed_rows.c, dict[str, tuple[str, int, Person]](), dict[str, tuple[str, int, Person]]()
    query = select(c.employee_id, c.feed_id, c.line, c.person, requests.c.parameters).join(
        feeds, feeds.c.id == c.feed_id
    )
    query = query.join(requests, requests.c.id == feeds.c.request_id)
    query = query.where(feeds.c.accepted, c.person.is_not(None)).order_by(feeds.c.at, c.line)
    for part in _slices(names):
        for row in connection.execute(query.where(c.employee_id.in_(part))):
            said = (row.feed_id, row.line, Person.model_validate(row.person))
            (dry if is_dry(row) else found)[row.employee_id] = said
    return dry | found


def everybody(connection: Connection) -> list[tuple[str, int, Person]]:
    """Give everybody whom a believed feed brought, as HR describes them now, with feed and line."""
    query = select(feed_rows.c.employee_id).join(feeds, feeds.c.id == feed_rows.c.feed_id).distinct()
    ids = connection.execute(query.where(feeds.c.accepted, feed_rows.c.person.is_not(None))).scalars()
    return newest(connection, {name for name in ids if name})


def hires_of_pool(connection: Connection, site: SitePolicy, pool: str, today: date) -> dict[date, int]:
    """Count by day who will start later and take a number of a pool, by the feeds and templates there are.

    Who has a reservation is left out: that number is no longer free. Who is in a group says the cache.
    """
    query = select(taken.c.owner).where(taken.c.state == "reserved", taken.c.owner.startswith(person_owner("")))
    served = set(connection.execute(query).scalars())
    groups = cache.groups_by_employee(connection)
    found = Counter[date]()
    for person in _starting(connection, today):
        template = choose_template(person, groups.get(person.employee_id, ()), site.templates).template
        takes = template is not None and template.pool == pool and template.number_source == NumberSource.NUMBER_RANGE
        if takes and person.hire_date is not None and person_owner(person.employee_id) not in served:
            found[person.hire_date] += 1
    return dict(found)


def _starting(connection: Connection, today: date) -> Iterator[Person]:
    """Give who is active and starts later, each once, as the newest snapshot of each name or the newest event says."""
    sources = feeds.c.id.in_(_latest_snapshots()) | (feeds.c.accepted & (feeds.c.kind == "events"))
    query = select(feed_rows.c.person).join(feeds, feeds.c.id == feed_rows.c.feed_id)
    query = query.where(sources, feed_rows.c.person.is_not(None)).order_by(feeds.c.at, feed_rows.c.line)
    newest = {}
    for values in connection.execute(query).scalars():
        newest[values["employee_id"]] = values
    for values in newest.values():
        if values.get("hire_date", "") > today.isoformat() and values.get("status", Status.ACTIVE) == Status.ACTIVE:
            yield Person.model_validate(values)


def _latest_snapshots() -> Select[tuple[str]]:
    believed = feeds.c.accepted & (feeds.c.kind == "snapshot")
    newest = select(feeds.c.name, func.max(feeds.c.at)).where(believed).group_by(feeds.c.name)
    return select(feeds.c.id).where(believed, tuple_(feeds.c.name, feeds.c.at).in_(newest))
