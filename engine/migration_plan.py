"""Plan a wave of users who move to Teams: look, judge, choose numbers, store the plan. Nothing outside is written.

Choosing and storing are one transaction, so that a wave claims its numbers as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from sqlalchemy import Connection

from config.errors import InputRefused
from config.site_policy import SitePolicy
from datasets.batches import BatchOptions
from datasets.preflight import Concern
from datasets.users import NumberAssignment
from engine import plan_store
from engine.change import Change
from engine.locations import Locations
from engine.migration import Goal, Migrant, plan_user
from engine.migration_look import facts_of, goal_of, look
from engine.migration_numbers import Choice, template_of
from engine.migration_terms import WaveTerms
from engine.plan import Line, LineState, Plan
from engine.pool_terms import PoolTerms, pool_terms
from engine.preflight_checks import Facts, Supply, concerns, emergency
from engine.requests import new_id
from engine.resolve import learn_assigned
from engine.runtime import Runtime
from engine.site_pools import define_site

SUCCESS = "migrated"


@dataclass(frozen=True)
class Seen:
    """A wave as it was seen: its users, where they are to go, what holds for all of them."""

    migrants: tuple[Migrant, ...]
    goal: Goal
    facts: Facts
    locations: Locations
    held: tuple[NumberAssignment, ...]


@dataclass(frozen=True)
class Decided:
    """What is to be done for one user, and everything that speaks against it."""

    migrant: Migrant
    concerns: tuple[Concern, ...]
    changes: tuple[Change, ...] = ()

    @property
    def blocked(self) -> bool:
        """Tell whether something stands in the way."""
        return any(concern.blocks for concern in self.concerns)


def plan_wave(
    runtime: Runtime,
    site: SitePolicy,
    options: BatchOptions,
    user_ids: Sequence[str],
    request_id: str,
    terms: WaveTerms,
) -> str:
    """Store the plan of a wave and give its id: a line for each user, in order; who is blocked is refused with reasons.

    Raises InputRefused for a pool that nobody defined, and what the connectors raise.
    """
    seen = see(runtime, site, options, user_ids, terms)
    if seen.goal.gives_numbers:
        learn_assigned(runtime, seen.held)
    plan_id, now = new_id("p"), runtime.now()
    with runtime.database.write() as connection:
        define_site(connection, site)
        choice = Choice(connection, seen.goal, seen.locations, plan_id, now + terms.claim, now)
        lines = tuple(map(_line, decide(seen, choice)))
        plan_store.save(connection, Plan(id=plan_id, request_id=request_id, lines=lines), now)
    return plan_id


def see(runtime: Runtime, site: SitePolicy, options: BatchOptions, user_ids: Sequence[str], terms: WaveTerms) -> Seen:
    """Read everything that planning a wave needs. Raises InputRefused for an unknown pool."""
    with runtime.database.read() as connection:
        pools = _known_pools(connection, site, options)
    sight, locations = look(runtime, options, user_ids), Locations(runtime.systems, site, pools)
    locations.learn([template_of(options)])
    if options.emergency_location:
        locations.learn_all()
    facts = facts_of(runtime, options, terms, sight)
    return Seen(sight.migrants, goal_of(runtime, options, terms, sight), facts, locations, sight.held)


def _known_pools(connection: Connection, site: SitePolicy, options: BatchOptions) -> dict[str, PoolTerms]:
    known = pool_terms(connection, site)
    if options.pool is not None and options.pool not in known:
        remedy = f"choose one of {', '.join(sorted(known)) or 'those you define first'}"
        raise InputRefused(f"there is no pool {options.pool}", remedy=remedy)
    return known


def decide(seen: Seen, choice: Choice) -> list[Decided]:
    """Judge every user, choose numbers for those who may go on, and plan them."""
    supply = Supply()
    judged = [Decided(each, tuple(concerns(each, seen.goal, seen.facts, supply))) for each in seen.migrants]
    chosen = iter(choice.numbers([each.migrant for each in judged if not each.blocked]))
    return [each if each.blocked else _planned(seen.goal, next(chosen), each.concerns) for each in judged]


def _planned(goal: Goal, migrant: Migrant, known: tuple[Concern, ...]) -> Decided:
    said = (*known, *([migrant.refusal] if migrant.refusal else []), *emergency(migrant, goal))
    found = Decided(migrant, said)
    return found if found.blocked else Decided(migrant, said, plan_user(migrant, goal))


def _line(decided: Decided) -> Line:
    migrant = decided.migrant
    checks: list[JsonValue] = [concern.check.value for concern in decided.concerns]
    warnings = "; ".join(str(concern) for concern in decided.concerns if not concern.blocks)
    source: dict[str, JsonValue] = {"named": True, "migration": True, "user": migrant.label, "checks": checks}
    source |= {"warnings": warnings} if warnings else {}
    state, reason = LineState.PLANNED, ""
    if decided.blocked:
        state, reason = LineState.REFUSED, "; ".join(str(each) for each in decided.concerns if each.blocks)
    elif not decided.changes:
        state, reason = LineState.UNCHANGED, "already as the batch wants it"
    return Line(
        object=migrant.object,
        label=migrant.label,
        success=SUCCESS,
        source=source,
        changes=decided.changes,
        state=state,
        reason=reason,
    )
