"""Compare the number inventory with Teams, on-premises lines and the directory; say what differs and why. Pure.

Reading, planning and applying are left to `engine/number_sync.py`; whether an answer may be believed at all is decided
in `datasets/number_doubts.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field, JsonValue

from config.errors import InputRefused
from datasets.inventory import NumberState, Position, Run, Taken
from datasets.number_remedies import REMEDIES
from datasets.number_types import DELIVERED, NEEDS_LOCATION, ON_PREMISES, kind_of, spoken
from datasets.numbering import PhoneNumber, parse_number
from datasets.record import Record
from datasets.users import AdUser, NumberAssignment, VoiceUser

Fix = Literal[
    "record_holder", "give_back_claim", "let_rest", "learn_numbers", "block_number", "set_location", "write_directory"
]
NOBODY = "nobody's"
NOT_BLOCKED = "NotBlocked"
UNKNOWN_COUNTRY = "XX"
_NO_PERSON = frozenset(("conferenceassigned", "thirdpartyappassigned", "policyassigned"))
_ATTRIBUTES = {"telephoneNumber": "telephone_number", "ipPhone": "ip_phone"}


class Difference(Record):
    """One difference: its class (`cause`), the number, who is concerned, what was found, what to do in which order.

    `fix` names what is safe to do about it; without one a person has to.
    """

    identity: ClassVar[tuple[str, ...]] = ("cause", "number", "who")

    cause: str
    number: str
    who: str = ""
    found: str
    remedy: tuple[str, ...] = ()
    fix: Fix | None = None
    details: dict[str, JsonValue] = Field(default_factory=dict)


class Owned(NamedTuple):
    """Numbers of a pool, as the comparison needs them."""

    run: Run
    pool: str
    kind: str
    base_beside_extensions: bool = False


@dataclass(frozen=True)
class Estate:
    """Everything that was read. `blocks` is None where the module has none, `directory` where there is no directory."""

    now: datetime
    rows: Sequence[NumberAssignment]
    users: Mapping[str, VoiceUser]
    deleted: Mapping[str, str] = field(default_factory=dict)
    directory: Sequence[AdUser] | None = None
    blocks: Mapping[str, str] | None = None
    taken: Mapping[PhoneNumber, Taken] = field(default_factory=dict)
    owned: Sequence[Owned] = ()
    live_plans: frozenset[str] = frozenset()
    locations: Mapping[str, str] = field(default_factory=dict)
    ranges_read: int | None = None  # unassigned ranges of on-premises servers; they are compared on their own
    lag: timedelta = timedelta(minutes=2)

    @cached_property
    def _sorted(self) -> list[Owned]:
        return sorted(self.owned)

    @cached_property
    def by_number(self) -> dict[str, NumberAssignment]:
        """Give the listed numbers by their text."""
        return {row.telephone_number: row for row in self.rows}

    @cached_property
    def by_name(self) -> dict[str, VoiceUser]:
        """Give the users of Teams by folded user principal name."""
        return {user.user_principal_name.casefold(): user for user in self.users.values()}

    def pool(self, number: PhoneNumber) -> Owned | None:
        """Find the pool that a number is in."""
        at = Position.of(number)
        place = bisect_right(self._sorted, Run(at.space, at.width, at.n, 10**16), key=lambda owned: owned.run) - 1
        found = self._sorted[place] if place >= 0 else None
        inside = found is not None and found.run[:2] == at[:2] and found.run.first <= at.n <= found.run.last
        return found if inside else None

    def is_fresh(self, row: Taken | None) -> bool:
        """Tell whether our own write is so young that a read may not show it yet."""
        return row is not None and row.since > self.now - self.lag


def believed(row: Taken | None) -> str:
    """Say what the inventory believes of a number, as plans remember it."""
    if row is None:
        return NOBODY
    return f"{row.state.value} {row.owner}{f' by {row.plan_id}' if row.plan_id else ''}".strip()


def differences(estate: Estate) -> list[Difference]:
    """Give every difference, by class and number."""
    checks = (_holders, _unknown, _types, _clashes, _claims, _unheld, _blocks, _locations, _lines, _directory)
    found = (difference for check in checks for difference in check(estate))
    return sorted(found, key=lambda difference: (difference.cause, difference.number, difference.who))


def _difference(
    cause: str, number: object, found: str, who: str = "", fix: Fix | None = None, **details: JsonValue
) -> Difference:
    remedy = () if fix and cause not in _ALWAYS_SAID else REMEDIES[cause]
    return Difference(
        cause=cause, number=str(number), who=who, found=found, remedy=remedy, fix=fix, details=dict(details)
    )


# These need a person even after the inventory has learned who holds the number.
_ALWAYS_SAID = frozenset(("ghost", "soft_deleted_holder", "ad_owned", "unknown_number"))


def _held(estate: Estate) -> Iterator[tuple[PhoneNumber, NumberAssignment, str]]:
    for row in estate.rows:
        if row.assignment_target_id:
            yield PhoneNumber.from_e164(row.telephone_number), row, row.assignment_target_id


def _holders(estate: Estate) -> Iterator[Difference]:
    """Who has a number in Teams, against who has it here."""
    for number, row, target in _held(estate):
        taken = estate.taken.get(number)
        fix = _recording(estate, taken, target)
        cause, who = _holder(estate, row, target, taken)
        is_known = cause == "other_holder" and (fix is None or estate.pool(number) is None)
        if (fix and estate.is_fresh(taken)) or is_known or (cause == "resource_account" and fix is None):
            continue
        found = f"held by {who} in Teams; the inventory says: {believed(taken)}"
        yield _difference(cause, number, found, who, fix, owner=f"user:{target}", before=believed(taken))


def _recording(estate: Estate, taken: Taken | None, target: str) -> Fix | None:
    """Record the holder unless that is known, or a plan at work is about to record it."""
    if taken is None:
        return "record_holder"
    is_theirs = taken.owner == f"user:{target}"
    if is_theirs and taken.state == NumberState.ASSIGNED:
        return None
    if is_theirs and taken.state == NumberState.CLAIMED and taken.plan_id in estate.live_plans:
        return None
    return "record_holder"


def _holder(estate: Estate, row: NumberAssignment, target: str, taken: Taken | None) -> tuple[str, str]:
    """Say what kind of holder this is, and who."""
    user = estate.users.get(target)
    pool = estate.pool(PhoneNumber.from_e164(row.telephone_number))
    if user is None and target in estate.deleted:
        return "soft_deleted_holder", estate.deleted[target]
    if user is None and row.assignment_status.casefold() not in _NO_PERSON:
        return "ghost", target
    who = user.user_principal_name if user else target
    if row.number_source == ON_PREMISES and (pool is None or pool.kind != ON_PREMISES):
        return "ad_owned", who
    if user is not None and user.account_type == "resourceAccount":
        return "resource_account", who
    is_dead = taken is not None and taken.state == NumberState.CLAIMED and taken.plan_id not in estate.live_plans
    return ("dead_claim" if is_dead else "other_holder"), who


def _unknown(estate: Estate) -> Iterator[Difference]:
    """Numbers that Teams lists and no pool has: delivered ones are learned, others a person adds."""
    learned: dict[tuple[str, str], list[NumberAssignment]] = {}
    for row in estate.rows:
        number, kind = PhoneNumber.from_e164(row.telephone_number), kind_of(row)
        if estate.pool(number) is not None or kind == ON_PREMISES:
            continue
        if kind in DELIVERED:
            learned.setdefault((kind, row.iso_country_code or UNKNOWN_COUNTRY), []).append(row)
            continue
        taken, target = estate.taken.get(number), row.assignment_target_id
        fix = _recording(estate, taken, target) if target and not estate.is_fresh(taken) else None
        found = f"a {spoken(kind)} number in Teams that is in no pool"
        yield _difference("unknown_number", number, found, fix=fix, owner=f"user:{target}", before=believed(taken))
    for (kind, country), rows in sorted(learned.items()):
        yield _learning(kind, country, rows)


def _learning(kind: str, country: str, rows: Sequence[NumberAssignment]) -> Difference:
    numbers: list[JsonValue] = [row.telephone_number for row in rows]
    holders: dict[str, JsonValue] = {r.telephone_number: r.assignment_target_id for r in rows if r.assignment_target_id}
    pool = f"teams-{kind}-{country}"
    return Difference(
        cause="new_numbers",
        number=str(numbers[0]),
        found=f"{len(numbers)} {spoken(kind)} numbers of {country} that Teams lists and no pool has",
        fix="learn_numbers",
        details={"pool": pool, "kind": kind, "country": country, "numbers": numbers, "holders": holders},
    )


def _types(estate: Estate) -> Iterator[Difference]:
    """Numbers whose type in Teams is not that of their pool."""
    for row in estate.rows:
        number, kind = PhoneNumber.from_e164(row.telephone_number), kind_of(row)
        pool = estate.pool(number)
        if pool is not None and kind not in (pool.kind, ON_PREMISES):
            found = f"{spoken(kind)} in Teams, and in pool {pool.pool} of {spoken(pool.kind)} numbers"
            yield _difference("wrong_type", number, found)


def _clashes(estate: Estate) -> Iterator[Difference]:
    """A base number and an extension of it that both have a holder, where their pool does not allow that."""
    extended: dict[int, list[PhoneNumber]] = {}
    held = {number: target for number, _, target in _held(estate)}
    for number in held:
        if number.extension is not None:
            extended.setdefault(number.base, []).append(number)
    for base, extensions in sorted(extended.items()):
        number = PhoneNumber(base)
        pool = estate.pool(number)
        if number in held and not (pool and pool.base_beside_extensions):
            found = f"has a holder beside {len(extensions)} of its extensions, such as {min(extensions)}"
            yield _difference("extension_clash", number, found, held[number])


def _claims(estate: Estate) -> Iterator[Difference]:
    """Claims of plans that are over, of numbers that nobody has."""
    held = {number for number, _, _ in _held(estate)}
    for number, taken in estate.taken.items():
        if taken.state != NumberState.CLAIMED or number in held or taken.plan_id in estate.live_plans:
            continue
        if not estate.is_fresh(taken):
            found = f"claimed for {taken.owner} by plan {taken.plan_id}, which is over"
            yield _difference(
                "dead_claim",
                number,
                found,
                taken.owner,
                "give_back_claim",
                plan_id=taken.plan_id,
                before=believed(taken),
            )


def _unheld(estate: Estate) -> Iterator[Difference]:
    """Numbers that somebody has here and nobody has there: they rest before anybody else gets them."""
    held = {number for number, _, _ in _held(estate)}
    local = None if estate.directory is None else {_line(user) for user in estate.directory}
    for number, taken in estate.taken.items():
        pool = estate.pool(number)
        is_local = pool is not None and pool.kind == ON_PREMISES
        if taken.state != NumberState.ASSIGNED or number in held or estate.is_fresh(taken):
            continue
        if is_local and (local is None or number in local):
            continue
        where = "on-premises" if is_local else "in Teams"
        found = f"assigned to {taken.owner} here, nobody has it {where}"
        yield _difference("not_held", number, found, taken.owner, "let_rest", owner=taken.owner, before=believed(taken))


def _blocks(estate: Estate) -> Iterator[Difference]:
    """Numbers that rest here and are not blocked in Teams, or are free here and blocked there."""
    for text, block in (estate.blocks or {}).items():
        number = PhoneNumber.from_e164(text)
        taken = estate.taken.get(number)
        if taken is None and block != NOT_BLOCKED and estate.pool(number) is not None:
            yield _difference("blocked_in_teams", number, f"free here, {block} in Teams")
        elif taken is not None and taken.state == NumberState.GRACE and taken.until and block == NOT_BLOCKED:
            days = -((estate.now - taken.until) // timedelta(days=1))
            if days >= 1 and not estate.is_fresh(taken):
                found = f"rests here until {taken.until:%Y-%m-%d}, and Teams would give it out"
                yield _difference("block_missing", number, found, fix="block_number", days=min(days, 365))


def _locations(estate: Estate) -> Iterator[Difference]:
    """Numbers with a holder that must have an emergency location and have none."""
    for number, row, _ in _held(estate):
        if kind_of(row) not in NEEDS_LOCATION or row.location_id:
            continue
        pool = estate.pool(number)
        wanted = estate.locations.get(pool.pool) if pool else None
        fix: Fix | None = "set_location" if wanted else None
        found = f"a {spoken(kind_of(row))} number without an emergency location"
        yield _difference("location_missing", number, found, fix=fix, location_id=wanted)


def _lines(estate: Estate) -> Iterator[Difference]:
    """Lines of the local directory that are left over: they block the number of the cloud."""
    for user in estate.directory or ():
        number, name = _line(user), user.user_principal_name or user.sam_account_name
        if number is None:
            continue
        voice = estate.by_name.get(name.casefold())
        row, pool = estate.by_number.get(number.e164), estate.pool(number)
        is_owner = (
            row is not None and row.number_source == ON_PREMISES and voice and row.assignment_target_id == voice.id
        )
        has_cloud_number = voice is not None and any(
            (listed := estate.by_number.get(text)) and listed.number_source != ON_PREMISES
            for text in voice.telephone_numbers
        )
        if has_cloud_number or not (is_owner or (pool and pool.kind == ON_PREMISES)):
            found = f"msRTCSIP-Line of {name}, {'who has a number in Teams' if has_cloud_number else 'owned by nobody'}"
            yield _difference("stuck_line_uri", number, found, name)


def _directory(estate: Estate) -> Iterator[Difference]:
    """Telephone attributes that show a number of ours which is not the user's."""
    for user in estate.directory or ():
        voice = estate.by_name.get((user.user_principal_name or "").casefold())
        if voice is None:
            continue
        for attribute, name in _ATTRIBUTES.items():
            text = getattr(user, name)
            shown = _number(text)
            if shown is None or estate.pool(shown) is None or shown.e164 in voice.telephone_numbers:
                continue
            fix: Fix | None = "write_directory" if voice.number else None
            found = f"{attribute} shows {text}, the user has {voice.number or 'no number'}"
            details: dict[str, JsonValue] = {"sam": user.sam_account_name, "attribute": attribute}
            details |= {"before": text, "after": voice.number, "user_id": voice.id}
            yield _difference("directory_differs", shown, found, voice.user_principal_name, fix, **details)


def _line(user: AdUser) -> PhoneNumber | None:
    return _number((user.msrtcsip_line or "").removeprefix("tel:"))


def _number(text: str | None) -> PhoneNumber | None:
    """Read a number with its country code; an extension or a word is none."""
    if not text or not text.strip().startswith("+"):
        return None
    try:
        return parse_number(text)
    except InputRefused:
        return None


def by_class(found: Iterable[Difference]) -> dict[str, int]:
    """Count differences by class."""
    counted: dict[str, int] = {}
    for difference in found:
        counted[difference.cause] = counted.get(difference.cause, 0) + 1
    return dict(sorted(counted.items()))
