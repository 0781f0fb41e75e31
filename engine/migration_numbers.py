"""Choose the numbers of a wave as claims: the user's own line, an attribute of the directory, or a block of a pool.

A number is chosen inside the transaction that stores the plan; who cannot have one is told why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from config.errors import InputRefused
from config.site_templates import LifecycleTemplate, NumberSource
from datasets.batches import BatchNumbers, BatchOptions
from datasets.number_types import DIRECT_ROUTING
from datasets.numbering import InvalidNumber, PhoneNumber, parse_number
from datasets.preflight import Check, Concern
from engine import inventory
from engine.locations import Locations
from engine.migration import Goal, Migrant, wants_number
from engine.onboarding import ChosenNumber


def template_of(options: BatchOptions) -> LifecycleTemplate:
    """Give what the batch says about numbers in the form in which locations are found."""
    is_range = options.numbers is BatchNumbers.NUMBER_RANGE
    return LifecycleTemplate(
        name="batch",
        number_source=NumberSource.NUMBER_RANGE if is_range else NumberSource.PHONE,
        pool=options.pool,
        number_type=options.number_type,
        emergency_location=options.emergency_location,
    )


@dataclass(frozen=True)
class Choice:
    """Chooses and claims numbers for the users of one plan."""

    connection: Connection
    goal: Goal
    locations: Locations
    plan_id: str
    until: datetime
    now: datetime

    @property
    def _options(self) -> BatchOptions:
        return self.goal.options

    def numbers(self, migrants: Sequence[Migrant]) -> list[Migrant]:
        """Give the users with a number, or with the reason why there is none; a pool's block is claimed at once."""
        if self._options.numbers is BatchNumbers.NUMBER_RANGE:
            return self._block(migrants)
        return [self._named(each) if wants_number(each, self.goal) else each for each in migrants]

    def give_back(self, number: str) -> None:
        """Give up a number that was chosen."""
        phone = PhoneNumber.from_e164(number)
        inventory.give_back(self.connection, phone, plan_id=self.plan_id, now=self.now)

    def _block(self, migrants: Sequence[Migrant]) -> list[Migrant]:
        wanting = [each for each in migrants if wants_number(each, self.goal)]
        pool, owners = str(self._options.pool), [each.object for each in wanting]
        found = inventory.claim_up_to(
            self.connection, pool, owners, plan_id=self.plan_id, until=self.until, now=self.now
        )
        served, asking = dict(zip(owners, found, strict=False)), set(owners)
        return [self._served(each, served.get(each.object)) if each.object in asking else each for each in migrants]

    def _served(self, migrant: Migrant, number: PhoneNumber | None) -> Migrant:
        if number is None:
            what = f"pool {self._options.pool} has no free number left"
            return _refused(migrant, Check.POOL_EXHAUSTED, what, "add a range")
        return self._chosen(replace(migrant, pool=self._options.pool), number)

    def _named(self, migrant: Migrant) -> Migrant:
        try:
            number = self._own(migrant) if self._options.numbers is BatchNumbers.KEEP else self._attribute(migrant)
        except InvalidNumber as error:
            return _refused(migrant, Check.NUMBER_INVALID, error.what, error.remedy or "correct it")
        if number is None:
            what = f"the directory has no {self._options.numbers} number for the user"
            return _refused(migrant, Check.NUMBER_MISSING, what, "enter one, or choose another source of numbers")
        pool = inventory.pool_of(self.connection, number)
        if self._options.pool is not None and pool != self._options.pool:
            what = f"{number} is not in pool {self._options.pool}"
            return _refused(migrant, Check.NUMBER_OUTSIDE, what, "add it to the pool, or choose another pool")
        try:
            inventory.claim_held(
                self.connection, number, plan_id=self.plan_id, owner=migrant.object, until=self.until, now=self.now
            )
        except InputRefused as error:
            return _refused(migrant, Check.NUMBER_TAKEN, error.what, error.remedy)
        return self._chosen(_unmanaged(migrant, number) if pool is None else replace(migrant, pool=pool), number)

    def _own(self, migrant: Migrant) -> PhoneNumber:
        """Give the user's own line as a number; raises InvalidNumber for a line that is none."""
        return PhoneNumber.from_e164(_bare(migrant.line) or migrant.carried or str(migrant.cleared))

    def _attribute(self, migrant: Migrant) -> PhoneNumber | None:
        text = attribute_of(migrant, self._options.numbers)
        country = migrant.observed(migrant.object, "usage_location")
        return parse_number(text, str(country) if country else None) if text else None

    def _chosen(self, migrant: Migrant, number: PhoneNumber) -> Migrant:
        try:
            kind, location = self._terms(number)
        except InputRefused as error:
            said = error.what.replace("template batch", "the batch")
            return _refused(migrant, Check.EMERGENCY_LOCATION, said, error.remedy)
        return replace(migrant, chosen=ChosenNumber(number.e164, kind, location))

    def _terms(self, number: PhoneNumber) -> tuple[str, str | None]:
        """Give type and location to send; a line that comes over from the server becomes a Direct Routing number."""
        if self._options.numbers is not BatchNumbers.KEEP:
            return self.locations.terms_of(template_of(self._options))
        if self._options.emergency_location is not None:
            return DIRECT_ROUTING, self.locations.id_of(self._options.emergency_location)
        pool = inventory.pool_of(self.connection, number)
        return DIRECT_ROUTING, self.locations.of_number(number.e164, DIRECT_ROUTING, pool, None)


def attribute_of(migrant: Migrant, source: BatchNumbers) -> str | None:
    """Give the text of the directory attribute that a source of numbers names (M42, M43, M45, M46)."""
    ad = migrant.ad
    if ad is None:
        return None
    found = {
        BatchNumbers.HOME: ad.home_phone,
        BatchNumbers.MOBILE: ad.mobile,
        BatchNumbers.IP_PHONE: ad.ip_phone,
        BatchNumbers.PHONE: ad.telephone_number,
    }
    return found.get(source)


def candidates(migrant: Migrant, options: BatchOptions) -> Iterator[str]:
    """Give the numbers that a user of the batch may be given by name."""
    if options.numbers is BatchNumbers.KEEP:
        yield from (each for each in (_bare(migrant.line), migrant.carried, migrant.cleared) if each)
        return
    country = migrant.observed(migrant.object, "usage_location")
    with suppress(InvalidNumber):
        yield parse_number(attribute_of(migrant, options.numbers) or "", str(country) if country else None).e164


def _bare(line: str | None) -> str:
    return (line or "")[4:] if (line or "").casefold().startswith("tel:") else line or ""


def _refused(migrant: Migrant, check: Check, reason: str, remedy: str) -> Migrant:
    return replace(migrant, refusal=Concern(check=check, reason=reason, remedy=remedy))


def _unmanaged(migrant: Migrant, number: PhoneNumber) -> Migrant:
    """Warn about a number outside of every pool: a private mobile, or a range that nobody defined (M43, M49)."""
    what = f"{number} is in no pool of the inventory"
    remedy = "define its pool, or leave the user out if it is a private number"
    return replace(migrant, refusal=Concern(check=Check.NUMBER_OUTSIDE, reason=what, remedy=remedy, blocks=False))
