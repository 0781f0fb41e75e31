"""What Teams must be told with a number: its type, and the emergency location where the type needs one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

from config.errors import InputRefused
from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate
from datasets.number_types import NEEDS_LOCATION, TEAMS_PHONE_MOBILE, location_refusal
from datasets.users import NumberAssignment
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

    def learn(self, templates: Iterable[LifecycleTemplate]) -> None:
        """Read the tenant's locations if one of these templates names one by its description.

        Afterwards nothing remote is asked, so that it may be done inside a transaction.
        """
        named = (self._named(template) for template in templates)
        if any(name is not None and not _ID.fullmatch(name) for name in named):
            self._by_description  # noqa: B018 - reads and remembers

    def terms_of(self, template: LifecycleTemplate) -> tuple[str, str | None]:
        """Give number type and location id for a template. Raises InputRefused when a needed location is missing."""
        pool = self._site.pool(template.pool) if template.pool else None
        number_type = pool.number_type if pool else template.number_type
        named = self._named(template)
        if named is None and number_type in NEEDS_LOCATION:
            what = f"a {number_type} number needs an emergency location and template {template.name} has none"
            raise InputRefused(what, remedy="set emergency_location in the template or its pool")
        return number_type, None if named is None else self.id_of(named)

    def _named(self, template: LifecycleTemplate) -> str | None:
        pool = self._site.pool(template.pool) if template.pool else None
        return template.emergency_location or (pool.emergency_location if pool else None)

    def is_blocked(self, number: str) -> bool:
        """Tell whether Teams has to be told first that a number may be given out again."""
        return is_blocked(self._systems, number)

    def of_number(self, number: str, kind: str, pool: str | None, row: NumberAssignment | None) -> str | None:
        """Give the location id to send with a number, None to leave it as it is. Raises InputRefused.

        The pool's own location is sent; a number that has one already keeps it when its pool names none.
        """
        named = next((each.emergency_location for each in self._site.pools if each.name == pool), None)
        sent = None if named is None or kind == TEAMS_PHONE_MOBILE else self.id_of(named)
        has = sent or (row.location_id if row else None)
        country = self._countries.get(has.casefold()) if has and kind in NEEDS_LOCATION else None
        refusal = location_refusal(kind, row.iso_country_code if row else None, country, has_one=has is not None)
        if refusal:
            raise InputRefused(f"{number}: {refusal}", remedy="set emergency_location of its pool")
        return sent

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
    def _countries(self) -> dict[str, str]:
        shell = self._systems.shell
        return {} if shell is None else {each.location_id.casefold(): each.country for each in shell.locations()}

    @cached_property
    def _by_description(self) -> dict[str, str]:
        shell = self._systems.shell
        if shell is None:
            return {}
        return {location.description.casefold(): location.location_id for location in shell.locations()}
