"""Plan a wave of users who move to Teams: look, judge, choose numbers, store the plan. Nothing outside is written.

A block of a pool is claimed for the whole wave at once. Numbers that are named are claimed some at a time, so that no
transaction is long; when planning fails, every claim is given back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from sqlalchemy import Connection

from config.errors import InputRefused
from config.site_policy import SitePolicy
from datasets.batches import BatchNumbers, BatchOptions, PolicyBatches
from datasets.preflight import Concern
from engine import claims, plan_store
from engine.change import Change
from engine.locations import Locations
from engine.migration import Goal, Migrant, plan_user
from engine.migration_look import Beforehand, Holding, facts_of, goal_of, look
from engine.migration_numbers import Choice, candidates, template_of
from engine.migration_terms import WaveTerms
from engine.plan import Line, LineState, Plan
from engine.policy_batch_plan import given_together
from engine.pool_terms import PoolTerms, pool_terms
from engine.preflight_checks import Facts, Supply, concerns, emergency
from engine.requests import new_id
from engine.resolve import learn_assigned
from engine.runtime import Runtime
from engine.site_pools import define_site

SUCCESS = "migrated"
NOTHING_KNOWN = Beforehand()
_AT_ONCE = 20  # claims of named numbers in one transaction


@dataclass(frozen=True)
class Seen:
    """A wave as it was seen: its users, where they are to go, what holds for all of them."""

    migrants: tuple[Migrant, ...]
    goal: Goal
    facts: Facts
    locations: Locations
    held: tuple[Holding, ...]


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
    plan_id: str = "",
) -> str:
    """Store the plan of a wave and give its id: a line for each user, in order; who is blocked is refused with reasons.

    Policies that many of them get alike follow in lines of their own. Without a plan id it is a new one.

    Raises InputRefused for a pool that nobody defined, and what the connectors raise.
    """
    seen, plan_id = see(runtime, site, options, user_ids, terms), plan_id or new_id("p")
    learn(runtime, seen)
    with runtime.database.write() as connection:
        define_site(connection, site)
    with claims.kept_by(runtime, plan_id):
        lines = tuple(
            _line(each)
            for some in parts(judge(seen, Supply()), options)
            for each in _chosen(runtime, seen, plan_id, some)
        )
        if options.policy_batches is PolicyBatches.AUTO and runtime.systems.policy_batches is not None:
            lines = given_together(plan_id, lines)
        with runtime.database.write() as connection:
            plan_store.save(connection, Plan(id=plan_id, request_id=request_id, lines=lines), runtime.now())
    return plan_id


def _chosen(runtime: Runtime, seen: Seen, plan_id: str, some: Sequence[Decided]) -> list[Decided]:
    now = runtime.now()
    with runtime.database.write() as connection:
        choice = Choice(connection, seen.goal, seen.locations, plan_id, now + seen.facts.terms.claim, now)
        return choose(seen.goal, some, choice)


def parts(judged: Sequence[Decided], options: BatchOptions) -> Iterator[Sequence[Decided]]:
    """Cut a wave into what is chosen in one transaction: all of it where a block is claimed."""
    size = len(judged) or 1
    if options.numbers is not BatchNumbers.NUMBER_RANGE:
        size = _AT_ONCE
    return (judged[start : start + size] for start in range(0, len(judged), size))


def learn(runtime: Runtime, seen: Seen) -> None:
    """Record who holds the numbers that this wave may choose from: all of them where a pool offers its lowest."""
    if not seen.goal.gives_numbers:
        return
    rows = seen.held
    if seen.goal.options.numbers is not BatchNumbers.NUMBER_RANGE:
        wanted = {number for migrant in seen.migrants for number in candidates(migrant, seen.goal.options)}
        rows = tuple(row for row in rows if row.telephone_number in wanted)
    learn_assigned(runtime, rows)


def see(
    runtime: Runtime,
    site: SitePolicy,
    options: BatchOptions,
    user_ids: Sequence[str],
    terms: WaveTerms,
    known: Beforehand = NOTHING_KNOWN,
) -> Seen:
    """Read everything that planning a wave needs. Raises InputRefused for an unknown pool."""
    with runtime.database.read() as connection:
        pools = _known_pools(connection, site, options)
    sight, locations = look(runtime, options, user_ids, known), Locations(runtime.systems, site, pools)
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


def judge(seen: Seen, supply: Supply) -> list[Decided]:
    """Judge every user, numbers apart; licences are promised out of the supply."""
    return [Decided(each, tuple(concerns(each, seen.goal, seen.facts, supply))) for each in seen.migrants]


def choose(goal: Goal, judged: Sequence[Decided], choice: Choice) -> list[Decided]:
    """Choose numbers for those who may go on, and plan them; who turns out to be blocked keeps none."""
    chosen = iter(choice.numbers([each.migrant for each in judged if not each.blocked]))
    found = [each if each.blocked else _planned(goal, next(chosen), each.concerns) for each in judged]
    for each in found:
        if each.blocked and each.migrant.chosen:
            choice.give_back(each.migrant.chosen.number)
    return found


def _planned(goal: Goal, migrant: Migrant, known: tuple[Concern, ...]) -> Decided:
    said = (*known, *([migrant.refusal] if migrant.refusal else []), *emergency(migrant, goal))
    found = Decided(migrant, said)
    return found if found.blocked else Decided(migrant, said, plan_user(migrant, goal))


def _line(decided: Decided) -> Line:
    migrant = decided.migrant
    checks: list[JsonValue] = [concern.check.value for concern in decided.concerns]
    warnings = "; ".join(str(concern) for concern in decided.concerns if not concern.blocks)
    source: dict[str, JsonValue] = {"named": True, "migration": True, "user": migrant.label, "checks": checks}
    blocking: list[JsonValue] = [concern.check.value for concern in decided.concerns if concern.blocks]
    source |= {"home": migrant.home, "blocked_by": blocking} | ({"warnings": warnings} if warnings else {})
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
