"""What Teams must be told with a number: its type, and the emergency location where the type needs one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from config.errors import InputRefused
from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate, NumberSource
from datasets.number_types import (
    NEEDS_LOCATION,
    ON_PREMISES,
    OPERATOR_CONNECT,
    TEAMS_PHONE_MOBILE,
    kind_of,
    location_refusal,
    type_to_send,
)
from datasets.treatments import Treatment
from datasets.users import EmergencyLocation, NumberAssignment
from engine import announcements
from engine.number_lines import BLOCKED
from engine.onboarding import Situation
from engine.overlay import recent_effects
from engine.pool_terms import PoolTerms, pool_terms
from engine.readers import Observed
from engine.runtime import Runtime
from engine.systems import Systems
from engine.template_parts import Place

_SET_ONE = "set emergency_location of its pool, or a rule of emergency_locations in pools.toml"
_MANY = 20
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _remedy(kind: str) -> str:
    return f"{_SET_ONE}; or the operator must change it" if kind == OPERATOR_CONNECT else _SET_ONE


def is_blocked(systems: Systems, number: str) -> bool:
    """Tell whether Teams itself refuses a number for some days; never for a block without an end, or an old module."""
    numbering = systems.numbering
    return numbering is not None and numbering.has_blocks() and numbering.block_of(number) == BLOCKED


class _Held(NamedTuple):
    """What of a number its location depends on; a tenant may have very many."""

    number: str
    kind: str
    country: str | None
    location_id: str | None


def _held(row: NumberAssignment) -> _Held:
    return _Held(row.telephone_number, kind_of(row), row.iso_country_code, row.location_id)


def locations_of(runtime: Runtime, site: SitePolicy) -> Locations:
    """Give the locations of a site with the terms of its pools as they are now."""
    with runtime.database.read() as connection:
        return Locations(runtime.systems, site, pool_terms(connection, site))


class Locations:
    """The emergency locations of a site, read from the tenant when a description has to be found.

    `pools` are the terms of every pool, of the policy or of a command.
    """

    def __init__(self, systems: Systems, site: SitePolicy, pools: Mapping[str, PoolTerms]) -> None:
        self._systems, self._site, self._pools = systems, site, pools
        self._blocked: set[str] = set()
        self._held: dict[str, _Held] = {}
        self._announced: dict[str, Treatment] = {}

    def learn(self, templates: Iterable[LifecycleTemplate]) -> None:
        """Read the tenant's locations if one of these templates has to find one, or to compare countries.

        Afterwards nothing remote is asked, so that it may be done inside a transaction.
        """
        named = ((self._named(template), self._terms(template).kind) for template in templates)
        if any(name is not None and (kind in NEEDS_LOCATION or not _ID.fullmatch(name)) for name, kind in named):
            self._all  # noqa: B018 - reads and remembers

    def learn_all(self) -> None:
        """Read the tenant's locations, where one that is named outside of templates has to be found."""
        self._all  # noqa: B018 - reads and remembers

    def placed(self, runtime: Runtime, seen: Sequence[Situation]) -> list[Situation]:
        """Give the situations with the emergency locations of numbers that stay, as far as templates name one.

        Reads those numbers. Raises what the connectors raise.
        """
        with_number = {
            each.number: each.template
            for each in seen
            if each.is_at_work and each.number and each.template and each.template.number_source != NumberSource.NONE
        }
        named = [number for number, template in with_number.items() if self._can_name(template)]
        if not named:
            return list(seen)
        rows = self._rows(named)
        with runtime.database.read() as connection:
            objects = [f"number:{number}" for number in rows]
            ours = recent_effects(connection, objects, now=runtime.now(), limits=runtime.limits)
        places = {
            number: self._place(with_number[number], row, ours) for number, row in rows.items() if row is not None
        }
        return [replace(each, place=places.get(each.number or "")) for each in seen]

    def wanted(self, template: LifecycleTemplate) -> str | None:
        """Give the id of the location that a template or its pool names; None for none, or one that is not there."""
        if not self._can_name(template):
            return None
        try:
            return self.id_of(str(self._named(template)))
        except InputRefused:
            return None

    def _can_name(self, template: LifecycleTemplate) -> bool:
        """Tell whether a location is named, and can be found: a description is looked for through PowerShell."""
        if template.pool and template.pool not in self._pools:
            return False
        named = self._named(template)
        return named is not None and (bool(_ID.fullmatch(named)) or self._systems.shell is not None)

    def _rows(self, numbers: Sequence[str]) -> dict[str, _Held | None]:
        """Read some numbers one by one, and of many the whole list, once."""
        if len(numbers) > _MANY and not self._held:
            self._held = {row.telephone_number: _held(row) for row in self._systems.teams.numbers()}
        if self._held:
            return {number: self._held.get(number) for number in numbers}
        read = ((number, self._systems.teams.number(number)) for number in numbers)
        return {number: _held(row) if row else None for number, row in read}

    def _place(self, template: LifecycleTemplate, row: _Held, ours: Observed) -> Place | None:
        obj, named = f"number:{row.number}", str(self._named(template))
        if row.kind in (TEAMS_PHONE_MOBILE, ON_PREMISES) or (obj, "owner") in ours:  # assigned a moment ago, with it
            return None
        has = ours.get((obj, "location"), row.location_id)
        try:
            wanted = self.id_of(named)
        except InputRefused as error:
            return Place(named, None if has is None else str(has), str(error))
        country = row.country or self._terms(template).country or None
        return Place(wanted, None if has is None else str(has), self._refusal(row.kind, country, wanted))

    def terms_of(self, template: LifecycleTemplate) -> tuple[str, str | None]:
        """Give number type and location id for a template. Raises InputRefused when a needed location is missing."""
        terms, named = self._terms(template), self._named(template)
        number_type = terms.kind
        if named is None and number_type in NEEDS_LOCATION:
            what = f"a {number_type} number needs an emergency location and template {template.name} has none"
            raise InputRefused(what, remedy=_remedy(number_type))
        location = None if named is None or number_type == TEAMS_PHONE_MOBILE else self.id_of(named)
        refusal = self._refusal(number_type, terms.country or None, location)
        if refusal:
            raise InputRefused(f"template {template.name}: {refusal}", remedy="correct emergency_location or the pool")
        return type_to_send(number_type), location

    def _terms(self, template: LifecycleTemplate) -> PoolTerms:
        if template.pool:
            return self._pools[template.pool]
        kind = template.number_type
        return PoolTerms(kind, emergency_location=self._site.emergency_location(kind))

    def _named(self, template: LifecycleTemplate) -> str | None:
        return template.emergency_location or self._terms(template).emergency_location

    def learn_blocks(self, numbers: Iterable[str]) -> None:
        """Read which of these numbers Teams still refuses, before a transaction begins."""
        resting = list(numbers)
        self._blocked |= {number for number in resting if is_blocked(self._systems, number)}
        self._announced |= announcements.ours(self._systems, resting)

    def is_blocked(self, number: str) -> bool:
        """Tell whether Teams has to be told first that a number may be given out again."""
        return number in self._blocked

    def announcement(self, number: str) -> Treatment | None:
        """Give what callers of a number that rests are told."""
        return self._announced.get(number)

    def of_number(self, number: str, kind: str, pool: str | None, row: NumberAssignment | None) -> str | None:
        """Give the location id to send with a number, None to leave it as it is. Raises InputRefused.

        That of the pool is sent, or of the rule that fits; a number that has one already keeps it when none is named.
        """
        country = (row.iso_country_code if row else None) or ""
        terms = self._pools.get(pool or "")
        named = terms.emergency_location if terms else self._site.emergency_location(kind, country)
        sent = None if named is None or kind == TEAMS_PHONE_MOBILE else self.id_of(named)
        has = sent or (row.location_id if row else None)
        refusal = self._refusal(kind, country or None, has)
        if refusal:
            raise InputRefused(f"{number}: {refusal}", remedy=_remedy(kind))
        return sent

    def _refusal(self, kind: str, number_country: str | None, location: str | None) -> str:
        country = self._countries.get(location.casefold()) if location and kind in NEEDS_LOCATION else None
        return location_refusal(kind, number_country, country, has_one=location is not None)

    def id_of(self, named: str) -> str:
        """Give the id of a location named by id or description. Raises InputRefused when the tenant has none."""
        if _ID.fullmatch(named):
            return named
        found = self._by_description.get(named.casefold())
        if found is None:
            remedy = "create it in the tenant or correct the site policy"
            raise InputRefused(f"the tenant has no emergency location '{named}'", remedy=remedy)
        return found

    @cached_property
    def _all(self) -> list[EmergencyLocation]:
        return [] if self._systems.shell is None else self._systems.shell.locations()

    @property
    def _countries(self) -> dict[str, str]:
        return {location.location_id.casefold(): location.country for location in self._all}

    @property
    def _by_description(self) -> dict[str, str]:
        return {location.description.casefold(): location.location_id for location in self._all}
