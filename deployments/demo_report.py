"""What the demo says at its end: counts of the first run, what the tenant saw, and whether a second run wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import BaseModel, JsonValue
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, select

from datasets.tables.journal import journal_effects
from flows.presentation import MEANINGS

# What may become of a row of a feed that is really onboarded; other acts have other outcomes.
OUTCOMES = (
    "onboarded",
    "planned_ahead",
    "waiting",
    "unchanged",
    "quarantined",
    "refused",
    "failed",
    "unknown",
)


class CallEffect(BaseModel):
    """One attribute that a call changed."""

    object: str
    attribute: str
    before: JsonValue = None
    after: JsonValue = None


class Call(BaseModel):
    """One line of the lab's call log, as far as the demo reads it."""

    seq: int
    write: bool
    effects: list[CallEffect] = []


@dataclass(frozen=True)
class TenantView:
    """What the lab's own call log says was done to it."""

    writes: int
    numbers: frozenset[str]
    duplicates: frozenset[str]


@dataclass
class Report:
    """The figures of a demo; the counts add up to the rows of the feed."""

    rows: int
    counts: dict[str, int]
    verified: int
    numbers_assigned: int
    tenant_numbers: int
    duplicate_numbers: int
    repeat_writes: int | None
    flow_run_ids: list[str]
    lab_log: str
    setup_s: float
    run_s: float
    disagreements: list[str] = field(default_factory=list)

    @property
    def adds_up(self) -> bool:
        """Tell whether every row of the feed is in exactly one count."""
        return sum(self.counts.values()) == self.rows

    @property
    def is_sound(self) -> bool:
        """Tell whether the demo proved what it is there to prove."""
        faults = self.duplicate_numbers or self.repeat_writes or self.disagreements
        return self.adds_up and not faults and self.numbers_assigned == self.tenant_numbers

    def as_json(self) -> str:
        """Give one line of JSON, the counts beside the other figures."""
        values = asdict(self)
        counts = values.pop("counts")
        return json.dumps({"rows": values.pop("rows"), **{name: counts.get(name, 0) for name in OUTCOMES}, **values})


def tenant_view(calls: Iterable[Call]) -> TenantView:
    """Say who holds which number now; one that was given twice without being freed between is a duplicate."""
    owners: dict[str, str] = {}
    duplicates: set[str] = set()
    writes = 0
    for call in calls:
        writes += call.write
        for effect in call.effects:
            kind, _, number = effect.object.partition(":")
            if kind != "number" or effect.attribute != "assignmentTargetId":
                continue
            if effect.after is None:
                owners.pop(number, None)
                continue
            if number in owners:
                duplicates.add(number)
            owners[number] = str(effect.after)
    return TenantView(writes, frozenset(owners), frozenset(duplicates))


def read_calls(call_log: Path, after_seq: int = 0) -> Iterator[Call]:
    """Read the lab's log; a line that is just being written is left for the next time."""
    with call_log.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n") and (call := Call.model_validate_json(line)).seq > after_seq:
                yield call


def numbers_assigned(connection: Connection) -> int:
    """Count the numbers that our journal says were assigned and verified."""
    c = journal_effects.c
    given = (c.attribute == "number") & c.object.like("user:%")
    return len({row.after for row in connection.execute(select(c.after).where(given)) if row.after})


def print_report(console: Console, report: Report) -> None:
    """Print the table of outcomes and the figures beside it."""
    table = Table("rows", "outcome", "what it means", title="What became of the feed", title_justify="left")
    for name in OUTCOMES:
        if report.counts.get(name):
            table.add_row(str(report.counts[name]), name.replace("_", " "), MEANINGS[name])
    table.add_section()
    table.add_row(str(report.rows), "rows", "" if report.adds_up else "THE COUNTS DO NOT ADD UP")
    console.print(table)
    for text in _facts(report):
        console.print(text, highlight=False)


def _facts(report: Report) -> Iterator[str]:
    yield f"{report.numbers_assigned} numbers given by our journal, {report.tenant_numbers} by the tenant's own log"
    yield f"{report.duplicate_numbers} numbers with two owners"
    if report.repeat_writes is not None:
        yield f"{report.repeat_writes} remote writes when the same feed ran again"
    yield f"set up in {report.setup_s:.0f} s, ran in {report.run_s:.0f} s"
    yield from report.disagreements
