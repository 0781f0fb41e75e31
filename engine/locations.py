"""What Teams must be told with a number: its type, and the emergency location where the type needs one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

from config.errors import InputRefused
from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate
from engine.onboarding import NEEDS_LOCATION
from engine.systems import Systems

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


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
        return number_type, None if named is None else self._id_of(named)

    def _named(self, template: LifecycleTemplate) -> str | None:
        pool = self._site.pool(template.pool) if template.pool else None
        return template.emergency_location or (pool.emergency_location if pool else None)

    def _id_of(self, named: str) -> str:
        if _ID.fullmatch(named):
            return named
        found = self._by_description.get(named.casefold())
        if found is None:
            remedy = "create it in the tenant or correct the site policy"
            raise InputRefused(f"the tenant has no emergency location '{named}'", remedy=remedy)
        return found

    @cached_property
    def _by_description(self) -> dict[str, str]:
        shell = self._systems.shell
        if shell is None:
            return {}
        return {location.description.casefold(): location.location_id for location in shell.locations()}
