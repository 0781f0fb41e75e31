"""Names that a site knows: of policies, licences, emergency locations and pools. Forms offer them to choose from.

They are those that pools and templates use, and those that the optional `names.toml` adds. What a site names none of is
free text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from config.site_pools import LocationRule, SitePart, SitePool
from config.site_templates import LifecycleTemplate, Values
from config.user_types import unknown_policy

Choice = str
"""What a field chooses from: `POOL`, `LICENCE`, `LOCATION`, or `policy_choice` of a type of policy."""
POOL, LICENCE, LOCATION = "pool", "licence", "location"
GLOBAL = "Global"


def policy_choice(kind: str) -> Choice:
    """Give what a field chooses from that names a policy of this type."""
    return f"policy:{kind}"


def _types_known(policies: dict[str, Values]) -> dict[str, Values]:
    for kind in policies:
        if said := unknown_policy(kind):
            raise ValueError(said)
    return policies


class MoreNames(SitePart):
    """What a site knows beside the names that its pools and templates use: `names.toml`."""

    policies: Annotated[dict[str, Values], AfterValidator(_types_known)] = Field({}, description="policy type = names")
    licences: Values = Field((), description="SKU part numbers")
    emergency_locations: Values = Field((), description="ids or descriptions of LIS locations")


@dataclass(frozen=True)
class Names:
    """The names to choose from, each list in order; an empty or a missing one leaves the choice free."""

    known: Mapping[Choice, tuple[str, ...]]

    def of(self, choice: Choice) -> tuple[str, ...]:
        """Give the names of one choice; none where everything is free."""
        return self.known.get(choice, ())

    def has(self, choice: Choice, name: str) -> bool:
        """Tell whether a name may be meant, upper or lower case alike; where the site names none any may."""
        known = self.of(choice)
        return not known or name.casefold() in {each.casefold() for each in known}


def names_of(
    pools: Iterable[SitePool],
    templates: Iterable[LifecycleTemplate],
    rules: Iterable[LocationRule],
    more: MoreNames,
    other_pools: Iterable[str] = (),
) -> Names:
    """Collect the names of a site; `other_pools` are those that a command made."""
    pools, templates = tuple(pools), tuple(templates)
    found: dict[Choice, set[str]] = {POOL: {pool.name for pool in pools} | set(other_pools)}
    found[LICENCE] = {name for template in templates for name in template.licences} | set(more.licences)
    places = [each.emergency_location for each in pools] + [each.emergency_location for each in templates]
    found[LOCATION] = {
        name for name in (*places, *(rule.location for rule in rules), *more.emergency_locations) if name
    }
    for template in templates:
        for kind, name in template.policies.items():
            found.setdefault(policy_choice(kind), set()).add(name)
    for kind, names in more.policies.items():
        found.setdefault(policy_choice(kind), set()).update(names)
    return Names({choice: tuple(sorted(names - {GLOBAL}, key=str.casefold)) for choice, names in found.items()})
