"""Resolve a feed's people into a stored plan: choose numbers as claims, close older lines, plan each person.

Everything from closing older lines to storing the plan is one transaction, so a number is never between two plans.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from sqlalchemy import Connection

from config.errors import InputRefused
from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate
from datasets.feeds import Reach
from datasets.inventory import NumberUnavailable
from datasets.numbering import InvalidNumber, PhoneNumber, parse_number
from engine import inventory, leases, moments, movers, plan_store, template_versions
from engine.claims import person as person_owner
from engine.claims import settle_undone
from engine.claims import user as user_owner
from engine.departing import plan_life
from engine.guards import Guard, reach_of
from engine.life import older_than_known
from engine.lives import Lives
from engine.locations import Locations
from engine.observe import Row, situations
from engine.onboarding import ChosenNumber, Situation, Terms, is_future, plan_person, wants_number
from engine.plan import OPEN_LINES, Line, LineState, Plan
from engine.plan_store import StoredLine
from engine.pool_terms import pool_terms, refuse_unknown_pools
from engine.requests import new_id
from engine.runtime import Runtime
from engine.site_pools import define_site
from engine.traces import with_movers

_SLICE = 500
_AT_ONCE = 50  # numbers recorded in one transaction


@dataclass(frozen=True)
class Resolved:
    """A stored plan, what it does, the people for whom nothing has to be done and why, and what looked wrong."""

    plan_id: str
    reach: Reach
    unchanged: Sequence[tuple[Row, str]]
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Waits:
    """How long claims, reservations and people without an account last."""

    claim: timedelta = timedelta(hours=48)
    account: timedelta = timedelta(days=30)
    reservation_after_start: timedelta = timedelta(days=14)


@dataclass(frozen=True)
class Planning:
    """What one planning is about; `closing` are waiting lines that its plan takes over.

    `later` are words about the same people that take effect later, those of one person in their order: they wait.
    A dry run takes nothing over from plans that are being applied. With `lives` people also move, leave and come back.
    """

    closing: Sequence[StoredLine] = ()
    dry_run: bool = False
    lives: Lives | None = None
    guard: Guard | None = None
    later: Sequence[Row] = ()


def resolve(
    runtime: Runtime,
    site: SitePolicy,
    request_id: str,
    rows: Sequence[Row],
    *,
    waits: Waits,
    planning: Planning = Planning(),
) -> Resolved:
    """Plan these people and store the plan.

    Raises InputRefused for a site policy that does not fit the tenant, TooMuch for more than the guard allows, and what
    the connectors raise.
    """
    with runtime.database.read() as connection:
        refuse_unknown_pools(site, known := pool_terms(connection, site))
    every, lives = situations(runtime, site.templates, [*rows, *planning.later]), planning.lives
    seen, later = every[: len(rows)], every[len(rows) :]
    seen = seen if lives is None else lives.look(seen)
    wants_numbers = any(wants_number(each, runtime.now()) for each in seen)
    warnings = learn_assigned(runtime) if wants_numbers else []
    terms, locations = _terms(runtime, seen, waits), Locations(runtime.systems, site, known)
    locations.learn(each.template for each in seen if each.template)
    locations.learn_blocks(_resting(runtime, seen))
    seen = locations.placed(runtime, seen)
    plan_id = new_id("p")
    with runtime.database.write() as connection:
        define_site(connection, site)
        versions = template_versions.keep(connection, site, runtime.now())
        seen = _take_over(connection, runtime, seen, plan_id, planning)
        seen = [_with_reservation(connection, each, runtime.now()) for each in seen]
        leavers = lives.leavers(seen) if lives is not None else 0
        if lives is not None and not planning.dry_run:
            seen = lives.remember(connection, seen, rows, request_id)
        choose = _Chooser(connection, runtime.now(), plan_id, runtime.now() + waits.claim, locations)
        lines = [plan_life(each, terms) or plan_person(each, terms) for each in choose.numbers(seen)]
        lines = with_movers(connection, lines)
        reach = reach_of(lines, leavers)
        if planning.guard is not None:
            planning.guard.refuse_excess(reach)
        if lives is not None and not planning.dry_run:
            lives.finish(connection, seen, lines)
        whole = [*lines, *moments.lines_of(later, seen)]
        kept = [template_versions.stamped(line, versions) for line in whole if line.state != LineState.UNCHANGED]
        _give_back_unused(connection, plan_id, kept, runtime.now())
        plan_store.save(connection, Plan(id=plan_id, request_id=request_id, lines=tuple(kept)), runtime.now())
    pairs = zip(rows, lines, strict=True)
    unchanged = [(row, line.reason) for row, line in pairs if line.state == LineState.UNCHANGED]
    return Resolved(plan_id, reach, unchanged, warnings)


class Held(Protocol):
    """A number of the tenant and who holds it, if anybody."""

    @property
    def telephone_number(self) -> str:
        """Give the number as Teams writes it."""

    @property
    def assignment_target_id(self) -> str | None:
        """Give the holder's id."""


def learn_assigned(runtime: Runtime, rows: Iterable[Held] | None = None) -> list[str]:
    """Record every number that somebody in the tenant holds, so that it is never offered; `rows` if read already.

    Gives a warning for each that is no E.164 number: no pool can hold it, so it cannot be offered either.
    """
    warnings: list[str] = []
    listed = runtime.systems.teams.numbers() if rows is None else rows
    held = (row for row in listed if row.assignment_target_id)
    while some := list(islice(held, _SLICE)):
        news = _news(runtime, some)
        while part := list(islice(news, _AT_ONCE)):
            with runtime.database.write() as connection:
                warnings += [said for row in part if (said := _learn(connection, row, runtime.now()))]
    return warnings[:_SLICE]


def _news(runtime: Runtime, rows: Sequence[Held]) -> Iterator[Held]:
    """Leave out what we know already: nearly everything, each time but the first. It needs no lock then."""
    numbers: dict[str, PhoneNumber] = {}
    for row in rows:
        with suppress(InvalidNumber):
            numbers[row.telephone_number] = PhoneNumber.from_e164(row.telephone_number)
    with runtime.database.read() as connection:
        owners = inventory.owners(connection, numbers.values())
    for row in rows:
        number = numbers.get(row.telephone_number)
        if number is None or owners.get(number) != user_owner(str(row.assignment_target_id)):
            yield row


def _learn(connection: Connection, row: Held, now: datetime) -> str:
    """Record one number with its holder; gives what is wrong with it, if anything."""
    target = str(row.assignment_target_id)
    try:
        number = PhoneNumber.from_e164(row.telephone_number)
    except InvalidNumber as error:
        return f"{error.what} ; correct the number of {target} in the tenant"
    if not _is_claimed_for(connection, number, target):
        inventory.record_assigned(connection, number, owner=user_owner(target), now=now)
    return ""


def _is_claimed_for(connection: Connection, number: PhoneNumber, target: str) -> bool:
    """Tell whether a plan of ours is giving this very number to this user: its own outcome will record it."""
    row = inventory.find(connection, number)
    return row is not None and row.plan_id is not None and row.owner == user_owner(target)


def _resting(runtime: Runtime, seen: Sequence[Situation]) -> list[str]:
    """Name the numbers that rest for these people: whoever comes back gets theirs again."""
    now = runtime.now()
    with runtime.database.read() as connection:
        rows = [inventory.grace_of(connection, owner, now) for each in seen for owner in _objects(each)]
    return [row.number.e164 for row in rows if row is not None]


def _terms(runtime: Runtime, seen: Sequence[Situation], waits: Waits) -> Terms:
    wanted = {pair for each in seen if each.template for pair in each.template.policies.items()}
    missing = {pair for pair in sorted(wanted) if runtime.systems.teams.policy_id(*pair) is None}
    return Terms(
        now=runtime.now(),
        skus={sku.sku_part_number: sku for sku in runtime.systems.graph.subscribed_skus()},
        missing_policies=frozenset(missing),
        account_give_up=waits.account,
        reservation_after_start=waits.reservation_after_start,
    )


def _take_over(
    connection: Connection,
    runtime: Runtime,
    seen: list[Situation],
    plan_id: str,
    planning: Planning,
) -> list[Situation]:
    """Close older lines of these people that sent nothing, give their numbers back; note who is being worked on."""
    for line in planning.closing:
        line.state, line.reason = LineState.SUPERSEDED, f"planned anew by plan {plan_id}"
        line.condition = line.not_before = line.give_up_at = None
        plan_store.set_line(connection, line)
    busy: dict[str, str] = {}
    holder, now = runtime.new_holder(), runtime.now()
    objects = [name for each in seen if not _is_overtaken(each) and not each.deletion for name in _objects(each)]
    later = moments.moments_of(planning.later)
    told = {
        name: {each.person.effective_at, *later.get(each.person.employee_id, ())}
        for each in seen
        for name in _objects(each)
    }
    away = {name for each in seen if not each.is_at_work for name in _objects(each)}
    older = [
        line
        for line in plan_store.open_lines(connection, objects)
        if not (moments.is_to_come(line, told, now) or _is_left_to_batch(line, away))
    ]
    for line in older:
        lease = leases.acquire(connection, "object", line.object, holder, now=now, ttl=runtime.lease)
        is_live = planning.dry_run and plan_store.header(connection, line.plan_id).state == "applying"
        if lease is None or is_live or not _is_untouched(connection, line):
            busy[line.object] = line.plan_id
        else:
            line.state, line.reason = LineState.SUPERSEDED, f"planned anew by plan {plan_id}"
            if line.source.get("migration"):  # its batch tells who is not moved, and may try again
                line.state, line.reason = LineState.REFUSED, f"the user leaves or is away, says plan {plan_id}"
            plan_store.set_line(connection, line)
            for change in line.changes:
                settle_undone(connection, change.change, line.plan_id, now, {})
        if lease is not None:
            leases.release(connection, [lease], now=now)
    for name in {line.plan_id for line in older}:
        plan_store.settle_plan_if_done(connection, name)
    return [replace(each, busy_with=next((busy[n] for n in _objects(each) if n in busy), None)) for each in seen]


def _is_overtaken(situation: Situation) -> bool:
    """Tell whether something newer is known of the person: such words end no line, least of all that of the newer."""
    return situation.life is not None and older_than_known(situation.person, situation.life.known)


def _is_left_to_batch(line: StoredLine, away: Collection[str]) -> bool:
    """Tell whether a line is a move that has not begun, of somebody at work: a feed of everybody ends no batch."""
    return bool(line.source.get("migration")) and line.object not in away and not plan_store.has_sent(line)


def _is_untouched(connection: Connection, line: StoredLine) -> bool:
    """Look at a line again, now that its lease is ours: another process may have worked on it since it was listed."""
    (now,) = plan_store.load_lines(connection, line.plan_id, [line.line])
    return now.state in OPEN_LINES and not plan_store.has_sent(now)


def _objects(situation: Situation) -> list[str]:
    account = situation.account
    return [person_owner(situation.person.employee_id), *([user_owner(account.id)] if account else [])]


def _with_reservation(connection: Connection, situation: Situation, now: datetime) -> Situation:
    row = inventory.reservation_of(connection, person_owner(situation.person.employee_id), now)
    return situation if row is None else replace(situation, reserved=row.number.e164)


def _give_back_unused(connection: Connection, plan_id: str, lines: Iterable[Line], now: datetime) -> None:
    """Give back claims that no line uses: the person was refused for another reason."""
    used = {str(change.parameters.get("number")) for line in lines for change in line.changes}
    keep = [row.number for row in inventory.claimed_by(connection, plan_id) if row.number.e164 in used]
    inventory.give_back_plan(connection, plan_id, now, keep)


class _Chooser:
    """Chooses numbers for those who want one: theirs by reservation or grace, a named one, or the pool's lowest."""

    def __init__(
        self, connection: Connection, now: datetime, plan_id: str, until: datetime, locations: Locations
    ) -> None:
        self._connection, self._now, self._plan_id, self._until = connection, now, plan_id, until
        self._locations = locations

    def numbers(self, seen: Sequence[Situation]) -> list[Situation]:
        """Give the situations with a chosen number, or with the reason why there is none."""
        wanting = [each if not wants_number(each, self._now) else self._own_or_named(each) for each in seen]
        short = [each for each in wanting if self._still_wants(each)]
        pools = sorted({str(each.template.pool) for each in short if each.template})
        served = {id(each): number for pool in pools for each, number in self._from_pool(pool, short)}
        return [self._served(each, served) if self._still_wants(each) else each for each in wanting]

    def _still_wants(self, situation: Situation) -> bool:
        return wants_number(situation, self._now) and situation.chosen is None and situation.refusal is None

    def _own_or_named(self, situation: Situation) -> Situation:
        assert situation.template is not None
        if movers.wants_new_number(situation) and situation.number is not None:
            return situation
        if situation.template.number_source != "NumberRange":
            return self._named(situation, situation.template)
        if situation.template.pool is None:
            what = f"no pool rule of template {situation.template.name} is for this person"
            return replace(situation, refusal=f"{what} ; add a rule, or pool for everybody else")
        if is_future(situation.person, self._now):
            return situation
        for owner in reversed(_objects(situation)):
            for claim in (inventory.claim_reserved, inventory.claim_grace):
                if claim is inventory.claim_grace and self._has_moved_on(situation, owner):
                    continue
                row = claim(self._connection, owner, plan_id=self._plan_id, until=self._until, now=self._now)
                if row is not None:
                    return self._chosen(situation, row.number, was_resting=claim is inventory.claim_grace)
        return situation

    def _has_moved_on(self, situation: Situation, owner: str) -> bool:
        """Tell whether the number that rests for somebody who comes back is one that a move would take at once."""
        row = inventory.grace_of(self._connection, owner, self._now)
        return row is not None and movers.moves_out_of(situation, inventory.pool_of(self._connection, row.number))

    def _named(self, situation: Situation, template: LifecycleTemplate) -> Situation:
        text = named_number(situation, template)
        if not text:
            return replace(situation, refusal=f"no {template.number_source} number for {situation.person.employee_id}")
        try:
            number = parse_number(text, situation.person.usage_location or None)
            self._refuse_outside(number, template)
            owner = _objects(situation)[-1]
            inventory.claim_named(
                self._connection, number, plan_id=self._plan_id, owner=owner, until=self._until, now=self._now
            )
        except InputRefused as error:
            return replace(situation, refusal=str(error))
        return self._chosen(situation, number)

    def _refuse_outside(self, number: PhoneNumber, template: LifecycleTemplate) -> None:
        if template.pool and inventory.pool_of(self._connection, number) != template.pool:
            remedy = "correct the feed, or give the template another pool"
            raise InputRefused(f"{number} is not in pool {template.pool}", remedy=remedy)

    def _from_pool(self, pool: str, short: Sequence[Situation]) -> list[tuple[Situation, PhoneNumber]]:
        mine = [each for each in short if each.template and each.template.pool == pool]
        owners = [_objects(each)[-1] for each in mine]
        found = inventory.claim_up_to(
            self._connection, pool, owners, plan_id=self._plan_id, until=self._until, now=self._now
        )
        return list(zip(mine, found, strict=False))

    def _served(self, situation: Situation, served: Mapping[int, PhoneNumber]) -> Situation:
        number = served.get(id(situation))
        if number is None:
            assert situation.template is not None
            reason = f"pool {situation.template.pool} has no free number left ; add a range, then run the feed again"
            return replace(situation, refusal=reason)
        return self._chosen(situation, number)

    def _chosen(self, situation: Situation, number: PhoneNumber, *, was_resting: bool = False) -> Situation:
        assert situation.template is not None
        try:
            number_type, location = self._locations.terms_of(situation.template)
        except (InputRefused, NumberUnavailable) as error:
            return replace(situation, refusal=str(error))
        is_blocked = was_resting and self._locations.is_blocked(number.e164)
        announced = self._locations.announcement(number.e164) if was_resting else None
        return replace(situation, chosen=ChosenNumber(number.e164, number_type, location, is_blocked, announced))


def named_number(situation: Situation, template: LifecycleTemplate) -> str | None:
    """Give the text of the number that a template takes from the feed or, failing that, from the directory."""
    person, ad = situation.person, situation.ad
    match template.number_source:
        case "Home":
            return person.home_phone or (ad.home_phone if ad else None)
        case "Mobile":
            return person.mobile_phone or (ad.mobile if ad else None)
        case "IpPhone":
            return person.ip_phone or (ad.ip_phone if ad else None)
        case "Phone":
            return person.work_phone or (ad.telephone_number if ad else None)
    return None
