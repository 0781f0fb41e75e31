"""The rules that a whole feed must pass, as data; evaluating them is left to `tasks/quality.py`.

What can be said about one row alone was said when it was read; these rules catch what only shows in the whole feed, and
what a reader let through.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from datasets.people import Person
from datasets.record import Record

FeedKind = Literal["snapshot", "events"]
E164 = r"^\+[1-9][0-9]{1,14}(?:;ext=[0-9]{1,10})?\Z"
ISO_COUNTRY = r"^[A-Z]{2}\Z"
SHOWN_LINES = 5


class Rule(Record):
    """One rule about a field; an empty field breaks only the rule that it be filled.

    `than` is the other field of a comparison; `kinds` are the kinds of feeds it is for.
    """

    identity: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    field: str
    expects: Literal["filled", "unique", "matches", "not_before", "differs"]
    pattern: str = ""
    than: str = ""
    only_active: bool = False
    kinds: tuple[FeedKind, ...] = ("snapshot", "events")


class RuleFailure(Record):
    """A rule that was broken: how often and on which lines; never the values, which are personal."""

    identity: ClassVar[tuple[str, ...]] = ("rule",)

    rule: str
    column: str
    count: int
    lines: tuple[int, ...]

    def __str__(self) -> str:
        shown = ", ".join(str(line) for line in self.lines[:SHOWN_LINES])
        more = " …" if len(self.lines) > SHOWN_LINES else ""
        return f"not so: {self.rule} ({self.column}: {self.count} rows, lines {shown}{more})"


class QualityReport(Record):
    """What the rules said about a feed, and how long it took."""

    passed: bool
    failures: tuple[RuleFailure, ...] = ()
    seconds: float = 0.0


SUITE: tuple[Rule, ...] = (
    Rule(name="every row has an employee id", field="employee_id", expects="filled"),
    Rule(name="employee ids are unique", field="employee_id", expects="unique", kinds=("snapshot",)),
    Rule(name="event ids are unique", field="event_id", expects="unique", kinds=("events",)),
    Rule(name="user principal names are unique", field="upn", expects="unique", kinds=("snapshot",)),
    Rule(
        name="everybody active has a department",
        field="department",
        expects="filled",
        only_active=True,
        kinds=("snapshot",),
    ),
    Rule(name="usage locations are two letters", field="usage_location", expects="matches", pattern=ISO_COUNTRY),
    Rule(name="work phones are E.164", field="work_phone", expects="matches", pattern=E164),
    Rule(name="mobile phones are E.164", field="mobile_phone", expects="matches", pattern=E164),
    Rule(name="home phones are E.164", field="home_phone", expects="matches", pattern=E164),
    Rule(name="IP phones are E.164", field="ip_phone", expects="matches", pattern=E164),
    Rule(
        name="nobody is their own manager",
        field="manager_employee_id",
        expects="differs",
        than="employee_id",
    ),
    Rule(
        name="nobody leaves before the first day",
        field="termination_date",
        expects="not_before",
        than="hire_date",
    ),
)


def rules_for(kind: FeedKind, fields: frozenset[str] | None = None) -> tuple[Rule, ...]:
    """Give the rules for a kind of feed; `fields` are those that its mapping fills, None means all."""
    known = frozenset(Person.model_fields) if fields is None else fields
    return tuple(rule for rule in SUITE if kind in rule.kinds and {rule.field, rule.than or rule.field} <= known)
