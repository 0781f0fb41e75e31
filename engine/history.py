"""What our journal knows about values: the verified changes of a run, and what a value was at a moment. SQL only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from config.errors import InputRefused
from datasets.tables.journal import journal, journal_effects
from datasets.tables.plans import plan_changes, plan_lines, plans
from datasets.tables.requests import requests
from datasets.treatments import Treatment
from engine import announcements, number_lines
from engine.change import Change, Effect
from engine.converge import DIRECT_ROUTING, NumberTerms
from engine.number_lines import BLOCKED
from engine.readers import Observed

_SLICE = 500


@dataclass(frozen=True)
class Done:
    """A change that was carried out and verified, with the values it found and left."""

    plan_id: str
    line: int
    seq: int
    at: datetime
    object: str
    label: str
    kind: str
    parameters: dict[str, JsonValue]
    effects: tuple[Effect, ...]

    @property
    def name(self) -> str:
        """Give the name people use: line and change of the plan."""
        return f"{self.line}.{self.seq}"

    @property
    def full_name(self) -> str:
        """Give the name that holds among several plans of one run."""
        return f"{self.plan_id}:{self.name}"


def plans_of(connection: Connection, run: str) -> list[str]:
    """Give the plans of a run by request, plan or flow run id, oldest first. Raises InputRefused for an unknown run."""
    query = (
        select(plans.c.id)
        .outerjoin(requests, requests.c.id == plans.c.request_id)
        .where(or_(plans.c.id == run, requests.c.id == run, requests.c.flow_run_id == run))
    )
    found = list(connection.execute(query.order_by(plans.c.created_at)).scalars())
    if not found:
        raise InputRefused(f"no run {run} with a plan", remedy="see ./callwright audit log, or ./callwright plan list")
    return found


def done_in(connection: Connection, plan_ids: Iterable[str]) -> list[Done]:
    """Read what these plans carried out and verified, in the order in which it happened."""
    return _done_where(connection, journal.c.plan_id.in_(list(plan_ids)))


def done_to(connection: Connection, objects: Iterable[str], plan_ids: Collection[str] | None = None) -> list[Done]:
    """Read what was ever, or in these plans, carried out and verified for these objects, as it happened."""
    which = plan_lines.c.object.in_(list(objects))
    return _done_where(connection, which if plan_ids is None else which & plan_lines.c.plan_id.in_(plan_ids))


def _done_where(connection: Connection, which: ColumnElement[bool]) -> list[Done]:
    j, c = journal.c, plan_changes.c
    query = (
        select(j.stream_id, j.seq, j.at, j.plan_id, j.line, j.change, plan_lines.c.object, plan_lines.c.label)
        .add_columns(c.kind, c.parameters)
        .join(plan_changes, and_(c.plan_id == j.plan_id, c.line == j.line, c.seq == j.change))
        .join(plan_lines, and_(plan_lines.c.plan_id == j.plan_id, plan_lines.c.line == j.line))
        .where(which, j.result == "verified")
    )
    rows = connection.execute(query.order_by(j.at, j.plan_id, j.line, j.change)).all()
    effects = _effects(connection, [(row.stream_id, row.seq) for row in rows])
    return [_done(row, effects.get((row.stream_id, row.seq), ())) for row in rows]


def _done(row: Any, effects: tuple[Effect, ...]) -> Done:
    facts = (row.plan_id, row.line, row.change, row.at, row.object, row.label, row.kind)
    return Done(*facts, parameters=row.parameters, effects=effects)


def _effects(connection: Connection, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[Effect, ...]]:
    c, read = journal_effects.c, dict[tuple[str, int], dict[tuple[str, str], Effect]]()
    for start in range(0, len(keys), _SLICE):
        part = keys[start : start + _SLICE]
        # Two lists, not one of pairs: SQLite finds pairs by reading the whole table.
        here = c.stream_id.in_({key[0] for key in part}) & c.seq.in_({key[1] for key in part})
        for row in connection.execute(select(journal_effects).where(here).order_by(c.object, c.attribute)):
            effect = Effect(object=row.object, attribute=row.attribute, before=row.before, after=row.after)
            read.setdefault((row.stream_id, row.seq), {})[effect.key_pair] = effect
    return {key: tuple(read[key].values()) for key in keys if key in read}


def last_change(connection: Connection, key: tuple[str, str], after: datetime) -> str:
    """Say who changed a value last since a moment: a plan of ours, or somebody outside Callwright."""
    c = journal_effects.c
    query = (
        select(journal.c.plan_id, c.at)
        .join(journal, and_(journal.c.stream_id == c.stream_id, journal.c.seq == c.seq))
        .where(c.object == key[0], c.attribute == key[1], c.at > after, journal.c.result == "verified")
    )
    row = connection.execute(query.order_by(c.at.desc()).limit(1)).one_or_none()
    return "outside Callwright" if row is None else f"by plan {row.plan_id} on {row.at:%Y-%m-%d %H:%M} UTC"


def terms_of(done: Sequence[Done], live: Observed) -> dict[str, NumberTerms]:
    """Give what Teams was told with the numbers of these changes, and what of it must end before they are given."""
    found: dict[str, NumberTerms] = {}
    for each in done:
        if each.kind in ("assign_number", "unassign_number"):
            number, location = str(each.parameters.get("number")), each.parameters.get("location_id")
            number_type = str(each.parameters.get("number_type") or DIRECT_ROUTING)
            found[number] = NumberTerms(
                number_type, None if location is None else str(location), _ends_first(done, number, live)
            )
    return found


def _ends_first(done: Sequence[Done], number: str, live: Observed) -> tuple[Change, ...]:
    """Lift the block and end the announcement that our changes made of a number, as far as they are there still."""
    obj = f"number:{number}"
    made = {each.kind: each for each in done if each.parameters.get("number") == number}
    ends = [number_lines.lifting(number, "goes back to its user")] if live.get((obj, "block")) == BLOCKED else []
    announced = made.get("announce_number")
    if announced is not None and live.get((obj, announcements.ATTRIBUTE)) is not None:
        treatment = Treatment.model_validate(dict(announced.parameters))
        ends.append(announcements.ending(treatment, announced.object, "the number goes back to its user"))
    return tuple(ends) if "block_number" in made or announced is not None else ()
