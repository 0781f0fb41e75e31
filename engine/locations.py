"""What Teams must be told with a number: its type, and the emergency location where the type needs one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

from config.errors import InputRefused
from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate
from datasets.number_types import NEEDS_LOCATION, TEAMS_PHONE_MOBILE, location_refusal, type_to_send
from datasets.users import EmergencyLocation, NumberAssignment
from engine.number_lines import BLOCKED
from engine.systems import Systems

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_blocked(systems: Systems, number: str) -> bool:
    """Tell whether Teams itself refuses a number for some days; never for a block without an end, or an old module."""
    numbering = systems.numbering
    return numbering is not None and numbering.has_blocks() and numbering.block_of(number) == BLOCKED


class Locations:
    """The emergency locations of a site, read from the tenant when a description has to be found."""

    def __init__(self, systems: Systems, site: SitePolicy) -> None:
        self._systems, self._site = systems, site
        self._blocked: set[str] = set()

    def learn(self, templates: Iterable[LifecycleTemplate]) -> None:
        """Read the tenant's locations if one of these templates has to find one, or to compare countries.

        Afterwards nothing remote is asked, so that it may be done inside a transaction.
        """
        named = ((self._named(template), self._kind(template)) for template in templates)
        if any(name is not None and (kind in NEEDS_LOCATION or not _ID.fullmatch(name)) for name, kind in named):
            self._all  # noqa: B018 - reads and remembers

    def terms_of(self, template: LifecycleTemplate) -> tuple[str, str | None]:
        """Give number type and location id for a template. Raises InputRefused when a needed location is missing."""
        pool = self._site.pool(template.pool) if template.pool else None
        number_type, named = self._kind(template), self._named(template)
        if named is None and number_type in NEEDS_LOCATION:
            what = f"a {number_type} number needs an emergency location and template {template.name} has none"
            raise InputRefused(what, remedy="set emergency_location in the template or its pool")
        location = None if named is None or number_type == TEAMS_PHONE_MOBILE else self.id_of(named)
        refusal = self._refusal(number_type, pool.country if pool else None, location)
        if refusal:
            raise InputRefused(f"template {template.name}: {refusal}", remedy="correct emergency_location or the pool")
        return type_to_send(number_type), location

    def _kind(self, template: LifecycleTemplate) -> str:
        return self._site.pool(template.pool).number_type if template.pool else template.number_type

    def _named(self, template: LifecycleTemplate) -> str | None:
        pool = self._site.pool(template.pool) if template.pool else None
        return template.emergency_location or (pool.emergency_location if pool else None)

    def learn_blocks(self, numbers: Iterable[str]) -> None:
        """Read which of these numbers Teams still refuses, before a transaction begins."""
        self._blocked |= {number for number in numbers if is_blocked(self._systems, number)}

    def is_blocked(self, number: str) -> bool:
        """Tell whether Teams has to be told first that a number may be given out again."""
        return number in self._blocked

    def of_number(self, number: str, kind: str, pool: str | None, row: NumberAssignment | None) -> str | None:
        """Give the location id to send with a number, None to leave it as it is. Raises InputRefused.

        The pool's own location is sent; a number that has one already keeps it when its pool names none.
        """
        named = next((each.emergency_location for each in self._site.pools if each.name == pool), None)
        sent = None if named is None or kind == TEAMS_PHONE_MOBILE else self.id_of(named)
        has = sent or (row.location_id if row else None)
        refusal = self._refusal(kind, row.iso_country_code if row else None, has)
        if refusal:
            raise InputRefused(f"{number}: {refusal}", remedy="set emergency_location of its pool")
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
