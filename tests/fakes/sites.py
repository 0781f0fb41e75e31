"""A site policy for tests: one pool of Direct Routing numbers and templates for two departments."""

from __future__ import annotations

from pathlib import Path

from config.site_policy import SitePolicy
from config.site_pools import NumberRange, SitePool
from config.site_templates import LifecycleTemplate, Match

VIENNA = SitePool(
    name="vienna",
    country="AT",
    number_type="directRouting",
    ranges=(NumberRange(start="+431234500", end="+431234509"),),
)
PHONES = LifecycleTemplate(
    name="phones",
    match=Match(department=("Sales",)),
    pool="vienna",
    licences=("MCOEV",),
    policies={"OnlineVoiceRoutingPolicy": "Vienna", "TenantDialPlan": "AT"},
    write_back=("telephoneNumber", "ipPhone"),
)


def site(*templates: LifecycleTemplate, pools: tuple[SitePool, ...] = (VIENNA,)) -> SitePolicy:
    """Give a site with these templates, or the ordinary one."""
    return SitePolicy(folder=Path(), pools=pools, templates=templates or (PHONES,))
