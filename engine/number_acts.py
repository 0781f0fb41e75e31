"""Plan single acts on numbers: give a user a named number or a pool's next one, or take it away and let it rest.

Choosing is a claim with an expiry, so the stored plan names its number and nobody else is offered it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from config.errors import InputRefused
from config.site_policy import SitePolicy
from datasets.inventory import NumberState, PoolExhausted
from datasets.number_types import DELIVERED, DIRECT_ROUTING, ON_PREMISES, kind_of, spoken, type_to_send
from datasets.numbering import PhoneNumber, parse_number
from datasets.users import DirectoryUser, NumberAssignment, VoiceUser
from engine import claims, inventory, number_lines, number_write_back, plan_store
from engine.change import Change
from engine.locations import Locations, is_blocked
from engine.overlay import recent_effects
from engine.plan import Line, LineState, Plan
from engine.pool_terms import pool_terms
from engine.requests import new_id
from engine.runtime import Runtime

_TRIES = 20  # numbers of a pool that Teams turns out to have given away


@dataclass(frozen=True)
class Asked:
    """Who is to get a number: this one, the next of a pool, or the one that is kept for them."""

    user: str
    number: str | None = None
    pool: str | None = None


@dataclass(frozen=True)
class Person:
    """A user as the directory and Teams know them."""

    account: DirectoryUser
    voice: VoiceUser
    number: str | None

    @property
    def object(self) -> str:
        """Give the object whose lease the writer holds."""
        return f"user:{self.account.id}"

    @property
    def owners(self) -> tuple[str, ...]:
        """Give the names under which the inventory may keep a number for them."""
        employee = self.account.employee_id
        return (claims.user(self.account.id), *((claims.person(employee),) if employee else ()))

    def line(self, changes: Iterable[Change] = (), *, success: str = "assigned", unchanged: str = "") -> Line:
        """Give the line for this user."""
        state = LineState.UNCHANGED if unchanged else LineState.PLANNED
        return Line(
            object=self.object,
            label=self.account.user_principal_name,
            success=success,
            source={"user": self.account.user_principal_name, "named": True},
            changes=tuple(changes),
            state=state,
            reason=unchanged,
        )


def plan_assignment(
    runtime: Runtime, site: SitePolicy, request_id: str, asked: Asked, *, claim: timedelta = timedelta(hours=48)
) -> str:
    """Store the plan that gives a user a number; gives its id. Raises InputRefused, and then nothing stays claimed."""
    person, plan_id = read_person(runtime, asked.user), new_id("p")
    if person.number is not None:
        return _store(runtime, plan_id, request_id, person.line(unchanged=_kept(runtime, person, asked)))
    with claims.kept_by(runtime, plan_id):
        changes = assigning(runtime, site, plan_id, Recipient(person, asked), claim=claim)
        return _store(runtime, plan_id, request_id, person.line(changes))


@dataclass(frozen=True)
class Recipient:
    """A user who has no number, and which one they are to get."""

    person: Person
    asked: Asked


def assigning(
    runtime: Runtime, site: SitePolicy, plan_id: str, recipient: Recipient, *, claim: timedelta
) -> list[Change]:
    """Claim a number for a plan and give the changes that give it to its user. Raises InputRefused."""
    person = recipient.person
    number = _Choice(runtime, plan_id, person, recipient.asked, claim).number()
    changes = _assigning(runtime, site, person, number)
    return [*changes, *number_write_back.assigned(runtime, site, person.account, number.number.e164)]


def plan_release(
    runtime: Runtime, site: SitePolicy, request_id: str, user: str, number: str | None, *, grace_days: int
) -> str:
    """Store the plan that takes a user's number away and lets it rest; gives its id. Raises InputRefused."""
    person = read_person(runtime, user)
    wanted = parse_number(number).e164 if number else person.number
    if wanted is None or (wanted not in person.voice.telephone_numbers and wanted != person.number):
        what = "has no number" if wanted is None else f"does not have {wanted}"
        return _store(runtime, new_id("p"), request_id, person.line(success="released", unchanged=what))
    changes = releasing(runtime, site, person, wanted, grace_days=grace_days)
    return _store(runtime, new_id("p"), request_id, person.line(changes, success="released"))


def releasing(runtime: Runtime, site: SitePolicy, person: Person, number: str, *, grace_days: int) -> list[Change]:
    """Give the changes that take a number away and let it rest. Raises InputRefused for one owned on-premises."""
    row = runtime.systems.teams.number(number)
    if row is not None and row.number_source == ON_PREMISES:
        remedy = "clear it there (Set-CsUser -LineUri $null), wait for the directory sync, then run this again"
        raise InputRefused(f"{number} of {person.account.user_principal_name} is owned on-premises", remedy=remedy)
    changes = [
        number_lines.unassigning(person.account.id, person.voice, number, row, grace_days),
        *blocking(runtime, number, grace_days),
    ]
    return [*changes, *number_write_back.taken_away(runtime, site, person.account, number)]


def read_person(runtime: Runtime, user: str) -> Person:
    """Read a user by UPN or object id, our own recent writes included. Raises InputRefused."""
    account = runtime.systems.graph.user(user)
    if account is None:
        raise InputRefused(f"no user {user}", remedy="give a user principal name or an object id")
    voice = runtime.systems.teams.voice_user(account.id)
    if voice is None:
        remedy = "give it a licence with Teams and wait until it has replicated"
        raise InputRefused(f"Teams does not know {account.user_principal_name} yet", remedy=remedy)
    obj = f"user:{account.id}"
    with runtime.database.read() as connection:
        recent = recent_effects(connection, [obj], now=runtime.now(), limits=runtime.limits)
        open_lines = plan_store.open_lines(connection, [obj])
    busy = next((line.plan_id for line in open_lines if line.state != LineState.PLANNED), None)
    if busy is not None:
        what = f"plan {busy} is still working on {account.user_principal_name}"
        raise InputRefused(what, remedy="wait for it (./callwright continue), or discard it")
    number = recent.get((obj, "number"), voice.number)
    return Person(account, voice, None if number is None else str(number))


def _store(runtime: Runtime, plan_id: str, request_id: str, line: Line) -> str:
    with runtime.database.write() as connection:
        plan_store.save(connection, Plan(id=plan_id, request_id=request_id, lines=(line,)), runtime.now())
    return plan_id


def _kept(runtime: Runtime, person: Person, asked: Asked) -> str:
    """Say that the user has what was asked for; raises InputRefused when it is another number."""
    has = str(person.number)
    with runtime.database.read() as connection:
        pool = inventory.pool_of(connection, PhoneNumber.from_e164(has))
    wanted = parse_number(asked.number).e164 if asked.number else None
    if wanted == has or (wanted is None and asked.pool in (None, pool)):
        return f"already has {has}"
    remedy = f"take it away first: ./callwright numbers unassign {person.account.user_principal_name}"
    raise InputRefused(f"{person.account.user_principal_name} already has {has}", remedy=remedy)


class _Choice:
    """Chooses and claims one number for a user."""

    def __init__(self, runtime: Runtime, plan_id: str, person: Person, asked: Asked, claim: timedelta) -> None:
        self._runtime, self._plan_id, self._person, self._asked = runtime, plan_id, person, asked
        self._until = runtime.now() + claim

    @cached_property
    def _owner(self) -> str:
        return claims.user(self._person.account.id)

    def number(self) -> _Chosen:
        """Claim the number. Raises InputRefused (NumberUnavailable names who has it)."""
        if self._asked.number is not None:
            return self._named(parse_number(self._asked.number, self._person.account.usage_location))
        found = self._kept_for_them()
        if found is not None:
            return found
        if self._asked.pool is None:
            who = self._person.account.user_principal_name
            raise InputRefused(f"no number is kept for {who}", remedy="name a number or a pool")
        return self._next(self._asked.pool)

    def _named(self, number: PhoneNumber) -> _Chosen:
        row = self._runtime.systems.teams.number(number.e164)
        _learn(self._runtime, number, row, self._person)
        with self._runtime.database.write() as connection:
            before = inventory.find(connection, number)
            owner = before.owner if before and before.owner in self._person.owners else self._owner
            inventory.claim_named(
                connection, number, plan_id=self._plan_id, owner=owner, until=self._until, now=self._runtime.now()
            )
            pool = inventory.pool_of(connection, number)
        was_resting = before is not None and before.state == NumberState.GRACE
        return _Chosen(number, row, pool, was_resting=was_resting)

    def _kept_for_them(self) -> _Chosen | None:
        """Give back the number they had, or the one that is reserved for them, if it is of the pool they shall have."""
        with self._runtime.database.read() as connection:
            rows = [row for owner in self._person.owners for row in inventory.owned_by(connection, owner)]
        kept = (NumberState.RESERVED, NumberState.GRACE)
        for row in rows:
            is_theirs = row.state in kept and not row.expired_at(self._runtime.now())
            if is_theirs and self._asked.pool in (None, row.pool):
                return self._named(row.number)
        return None

    def _next(self, pool: str) -> _Chosen:
        """Claim the pool's lowest free number that Teams, too, knows to be free."""
        for _ in range(_TRIES):
            with self._runtime.database.write() as connection:
                (number,) = inventory.claim(
                    connection,
                    pool,
                    1,
                    plan_id=self._plan_id,
                    owner_ids=[self._owner],
                    until=self._until,
                    now=self._runtime.now(),
                )
            row = self._runtime.systems.teams.number(number.e164)
            if row is None or row.assignment_target_id is None:
                return _Chosen(number, row, pool)
            _learn(self._runtime, number, row, self._person)
        raise PoolExhausted(pool, asked=1, left=0)


@dataclass(frozen=True)
class _Chosen:
    """A claimed number, how Teams lists it, its pool, and whether it was in its grace period."""

    number: PhoneNumber
    row: NumberAssignment | None
    pool: str | None
    was_resting: bool = False


def _learn(runtime: Runtime, number: PhoneNumber, row: NumberAssignment | None, person: Person) -> None:
    """Record who holds a number that Teams has given to somebody else."""
    if row is not None and row.assignment_target_id not in (None, person.account.id):
        with runtime.database.write() as connection:
            owner = claims.user(str(row.assignment_target_id))
            inventory.record_assigned(connection, number, owner=owner, now=runtime.now())


def _assigning(runtime: Runtime, site: SitePolicy, person: Person, chosen: _Chosen) -> list[Change]:
    kind = _kind(runtime, chosen)
    number = chosen.number.e164
    with runtime.database.read() as connection:
        locations = Locations(runtime.systems, site, pool_terms(connection, site))
    location = locations.of_number(number, kind, chosen.pool, chosen.row)
    reason = "comes back inside the grace period" if chosen.was_resting else "asked for"
    has_voice = person.voice.is_enterprise_voice_enabled
    terms = (number, type_to_send(kind), location)
    assign = number_lines.assigning(person.account.id, *terms, has_voice=has_voice, reason=reason)
    if chosen.was_resting and is_blocked(runtime.systems, number):
        return [number_lines.lifting(number, "its former owner gets it back"), assign]
    return [assign]


def _kind(runtime: Runtime, chosen: _Chosen) -> str:
    """Give the kind of a number on which its pool and Teams agree. Raises InputRefused."""
    with runtime.database.read() as connection:
        pool = inventory.read_pool(connection, chosen.pool) if chosen.pool else None
    listed = kind_of(chosen.row) if chosen.row else None
    expected = pool.kind if pool else listed or DIRECT_ROUTING
    number = chosen.number
    if listed is not None and listed != expected:
        what = (
            f"{number} is a {spoken(listed)} number in Teams and of pool {chosen.pool} with {spoken(expected)} numbers"
        )
        raise InputRefused(what, remedy="correct the pool, or choose another number")
    if expected == ON_PREMISES:
        raise InputRefused(f"{number} is an on-premises number", remedy="assign it on the Skype for Business Server")
    if listed is None and expected in DELIVERED:
        what = f"Teams does not list {number}, and a {spoken(expected)} number has to be there first"
        raise InputRefused(what, remedy="order it, then run number-sync")
    return expected


def blocking(runtime: Runtime, number: str, grace_days: int) -> list[Change]:
    """Write the grace period through to Teams' own block, where the module has it."""
    numbering = runtime.systems.numbering
    if grace_days < 1 or numbering is None or not numbering.has_blocks():
        return []
    before = numbering.block_of(number)
    if before not in (None, number_lines.NOT_BLOCKED):
        return []
    days = min(grace_days, number_lines.LONGEST_BLOCK)
    return [number_lines.blocking(number, days, f"rests for {grace_days} days", before=before)]
