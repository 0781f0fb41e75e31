"""Restore: the voice state of users as it was at a moment, computed from the journal, as a plan like any other.

An attribute that Callwright never changed is not in the journal and is left as it is. What the record does not hold any
more, or the systems do not allow, is named on a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, or_, select

from config.errors import InputRefused
from datasets.tables.journal import journal
from datasets.tables.plans import plan_lines
from engine import history
from engine.change import Effect
from engine.history import Done
from engine.readers import Observed
from engine.rollback import Goal, PlanBuilder, Terms, observe
from engine.runtime import Runtime

_SLICE = 200
SUCCESS = "restored"


@dataclass(frozen=True)
class Whose:
    """Whose state to restore: these users by object id or UPN, or everybody changed since the moment."""

    users: tuple[str, ...] = ()
    everybody: bool = False


def plan_restore(runtime: Runtime, request_id: str, whose: Whose, moment: datetime, terms: Terms) -> str:
    """Plan the state of a moment and store the plan; gives its id. Raises InputRefused."""
    if moment > runtime.now():
        raise InputRefused(f"{moment:%Y-%m-%d %H:%M} UTC is in the future", where="--at", remedy="name a moment past")
    with runtime.database.read() as connection:
        objects = _objects(connection, whose, moment)
        pasts = list(_pasts(connection, objects))
    effects = [effect for past in pasts for done in past.changes for effect in done.effects]
    live = observe(runtime, effects)
    with runtime.database.write() as connection:
        builder = PlanBuilder(connection, runtime, request_id, terms)
        for past in pasts:
            wanted = state_at(past.changes, moment)
            source = {"restores": moment.isoformat(), "named": True}
            goal = Goal(past.object, past.label, wanted, live, SUCCESS, source)  # type: ignore[arg-type] # JSON
            builder.add(goal, history.terms_of(past.changes, live), _lost(connection, past, moment))
        return builder.save()


@dataclass(frozen=True)
class Past:
    """What the journal holds of one user."""

    object: str
    label: str
    changes: Sequence[Done]


def state_at(changes: Iterable[Done], moment: datetime) -> Observed:
    """Give every value as it was at a moment: what the last change before left, or the first one after found (pure)."""
    before, after = Observed(), Observed()
    for done in changes:
        for effect in done.effects:
            if not effect.object.startswith("number:") and effect.attribute != "reserved_for":
                _note(effect, before, after, is_past=done.at <= moment)
    return after | before


def _note(effect: Effect, before: Observed, after: Observed, *, is_past: bool) -> None:
    if is_past:
        before[effect.key_pair] = effect.after
    else:
        after.setdefault(effect.key_pair, effect.before)


def _pasts(connection: Connection, objects: Sequence[str]) -> Iterator[Past]:
    for start in range(0, len(objects), _SLICE):
        part = objects[start : start + _SLICE]
        mine: dict[str, list[Done]] = {name: [] for name in part}
        for done in history.done_to(connection, part):
            mine[done.object].append(done)
        for name, changes in mine.items():
            yield Past(name, changes[-1].label if changes else name, changes)


def _objects(connection: Connection, whose: Whose, moment: datetime) -> list[str]:
    if whose.everybody:
        query = (
            select(plan_lines.c.object)
            .join(journal, (journal.c.plan_id == plan_lines.c.plan_id) & (journal.c.line == plan_lines.c.line))
            .where(journal.c.at > moment, journal.c.result == "verified", plan_lines.c.object.startswith("user:"))
        )
        return sorted(set(connection.execute(query).scalars()))
    if not whose.users:
        raise InputRefused("nobody is named", where="--user", remedy="name users, or everybody with --all")
    return list(dict.fromkeys(_one(connection, name) for name in whose.users))


def _one(connection: Connection, name: str) -> str:
    """Find the object of a user by id or by a UPN they have or had."""
    c = plan_lines.c
    named = or_(c.object == name, c.object == f"user:{name}", func.lower(c.label) == name.lower())
    query = select(c.object).where(named, c.object.startswith("user:")).distinct()
    found = list(connection.execute(query).scalars())
    if len(found) != 1:
        what = f"{len(found)} users are or were called {name}" if found else f"the record holds nobody called {name}"
        raise InputRefused(what, where="--user", remedy="name the object id ; see ./callwright audit user")
    return str(found[0])


def _lost(connection: Connection, past: Past, moment: datetime) -> list[str]:
    """Say that the record of the time since the moment, or before it, was erased."""
    query = (
        select(func.max(journal.c.at))
        .join(plan_lines, (journal.c.plan_id == plan_lines.c.plan_id) & (journal.c.line == plan_lines.c.line))
        .where(plan_lines.c.object == past.object, journal.c.result == "verified", journal.c.salt == "")
    )
    last = connection.execute(query).scalar()
    if last is None:
        return []
    which = "a part of the time since then" if last > moment else "what was changed before"
    return [f"the record up to {last:%Y-%m-%d} was erased: {which} cannot be restored"]
