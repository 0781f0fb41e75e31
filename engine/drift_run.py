"""A run of drift: everybody who was onboarded, some people at a time; what differs goes on at once, little is kept.

What one user differs in is decided by `engine/drift.py`. Memory grows with what is planned, not with what differs.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

from pydantic import JsonValue
from sqlalchemy import Connection, select

from config.site_policy import SitePolicy
from connectors.errors import Incomplete
from datasets.people import Person
from datasets.tables.plans import plan_lines
from engine import feed_people, plan_store, template_versions
from engine.drift import Answers, Difference, Rules, check, terms_of
from engine.group_members import members_of
from engine.lives import Lives
from engine.locations import locations_of
from engine.observe import Row, groups_of, situations
from engine.onboarding import Terms, is_future
from engine.plan import Line, LineState, Plan
from engine.requests import new_id
from engine.runtime import Runtime

SHOWN = 500
_AT_ONCE = 1000
Keep = Callable[[Iterable[Difference]], object]
_FORGET: Keep = deque[Difference](maxlen=0).extend


def plan_drift(
    runtime: Runtime, site: SitePolicy, request_id: str, rules: Rules, keep: Keep = _FORGET
) -> tuple[str, dict[str, JsonValue]]:
    """Store the plan of what may converge; gives its id and the report. Raises Incomplete for a doubtful answer.

    `keep` is given every difference, one after the other; the report names the first of them and counts them all.
    """
    comparison = Comparison(runtime, site, rules)
    keep(comparison.differences())
    return comparison.store(request_id), comparison.report()


class Comparison:
    """Compares users with their templates; used once."""

    def __init__(self, runtime: Runtime, site: SitePolicy, rules: Rules) -> None:
        self._runtime, self._site, self._rules = runtime, site, rules
        self._answers, self._locations = Answers(), locations_of(runtime, site)
        self._lines: list[Line] = []
        self._changed = self._free = self._held_back = self._total = 0
        self._shown: list[Difference] = []
        self._kinds, self._then, self._users = Counter[str](), Counter[str](), set[str]()

    def differences(self) -> Iterator[Difference]:
        """Give every difference of everybody. Raises Incomplete at the end when the answers are not believed."""
        with self._runtime.database.read() as connection:
            people = _onboarded(connection)
        if people:
            terms = terms_of(self._runtime, self._site.templates)
            members = members_of(self._runtime, groups_of(self._site.templates))
            for start in range(0, len(people), _AT_ONCE):
                for each in self._compare(people[start : start + _AT_ONCE], terms, members):
                    self._count(each)
                    yield each
        if doubts := self._answers.doubts(self._rules.shrink_percent):
            said = f"the answers are not believed: {'; '.join(doubts)} ; nothing was changed, run drift again"
            raise Incomplete(said, system="Teams")

    def _compare(
        self, people: Sequence[tuple[str, int, Person]], terms: Terms, members: Mapping[str, frozenset[str]]
    ) -> Iterator[Difference]:
        rows, lines = [Row(feed_id, line, person) for feed_id, line, person in people], list[Line]()
        found = situations(self._runtime, self._site.templates, rows, members)
        living = Lives(self._runtime, self._site, grace_days=0).look(found)
        for each in self._locations.placed(self._runtime, living):
            self._answers.add(each)
            if not is_future(each.person, self._runtime.now()):
                checked = check(each, terms, self._site)
                yield from checked.differences
                lines += [checked.line] if checked.line else []
        self._keep(lines)

    def _count(self, each: Difference) -> None:
        self._total += 1
        self._kinds[each.attribute.partition(":")[0]] += 1
        self._then[each.then] += 1
        self._users.add(each.user)
        if len(self._shown) < SHOWN:
            self._shown.append(each)

    def _keep(self, lines: Sequence[Line]) -> None:
        """Keep the lines on whose users somebody may be at work, and of the others no more than a plan may have."""
        with self._runtime.database.read() as connection:
            opened = {line.object for line in plan_store.open_lines(connection, [each.object for each in lines])}
        for line in lines:
            self._changed += 1
            self._free += line.object not in opened
            if line.object in opened or self._free <= self._rules.most_users + 1:
                self._lines.append(line)

    def store(self, request_id: str) -> str:
        """Store the plan of what may converge, empty when it would change too many; gives its id."""
        with self._runtime.database.write() as connection:
            versions = template_versions.keep(connection, self._site, self._runtime.now())
            busy = _busy(connection, [line.object for line in self._lines])
            changed = self._changed - len(busy)
            is_too_much = self._rules.is_too_much(changed, self._answers.users)
            lines = [] if is_too_much else [line for line in self._lines if line.object not in busy]
            kept = tuple(template_versions.stamped(line, versions) for line in lines)
            plan = Plan(id=new_id("p"), request_id=request_id, lines=kept)
            plan_store.save(connection, plan, self._runtime.now())
        self._held_back = changed if is_too_much else 0
        return plan.id

    def report(self) -> dict[str, JsonValue]:
        """Give the counts of everything, and the first differences."""
        shown: list[JsonValue] = [dict(vars(each)) for each in self._shown]
        return {
            "read": {"users": self._answers.users},
            "differences": self._total,
            "users_differ": len(self._users),
            "kinds": cast("dict[str, JsonValue]", dict(self._kinds)),
            "then": cast("dict[str, JsonValue]", dict(self._then)),
            "held_back": self._held_back,
            "found": shown,
        }


def _onboarded(connection: Connection) -> Sequence[tuple[str, int, Person]]:
    """Give the people whom a feed brought and who were verified at least once, as HR described them last."""
    c = plan_lines.c
    query = select(c.source).where(c.state == LineState.VERIFIED, c.object.startswith("user:"))
    ids = {str(source["employee_id"]) for source in connection.execute(query).scalars() if "employee_id" in source}
    return feed_people.newest(connection, ids)


def _busy(connection: Connection, objects: Sequence[str]) -> set[str]:
    """Close older plans of drift that nobody applied; name the users on whom another plan is at work."""
    lines = plan_store.open_lines(connection, objects)
    others = {line.object for line in lines if not line.source.get("drift")}
    return others | plan_store.overtake(
        connection, (each for each in lines if each.source.get("drift")), "compared again"
    )
