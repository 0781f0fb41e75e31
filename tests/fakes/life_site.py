"""The site of the random histories: two countries, two offices in one of them, two departments, every leaver's step."""

from __future__ import annotations

from pathlib import Path

from config.site_lifecycle import LeaverRules, LeaveRules, LifecycleRules
from config.site_policy import SitePolicy
from config.site_pools import NumberRange, SitePool
from config.site_templates import LifecycleTemplate, Match, PoolRule

POLICIES = {
    "OnlineVoiceRoutingPolicy": ("VRP-Vienna", "VRP-Berlin", "Internal-Only"),
    "TenantDialPlan": ("DP-Vienna",),
    "TeamsCallingPolicy": ("AllowCalling",),
}
RULES = LifecycleRules(
    leaver=LeaverRules(
        forward_after_days=1,
        unassign_after_days=10,
        licences_after_days=12,
        disable_after_days=14,
        delete_after_days=44,
    ),
    leave=LeaveRules(policies={"OnlineVoiceRoutingPolicy": "Internal-Only"}),
)
AUSTRIA = LifecycleTemplate(
    name="austria",
    match=Match(usage_location=("AT",)),
    pool="vienna",
    pool_rules=(PoolRule(pool="graz", location=("Graz",)),),
    licences=("MCOEV",),
    policies={"OnlineVoiceRoutingPolicy": "VRP-Vienna", "TenantDialPlan": "DP-Vienna"},
    write_back=("telephoneNumber",),
    new_number_on="site",
)
SUPPORT = AUSTRIA.model_copy(
    update={
        "name": "support",
        "priority": 50,
        "match": Match(usage_location=("AT",), department=("Support",)),
        "policies": {"OnlineVoiceRoutingPolicy": "VRP-Vienna", "TeamsCallingPolicy": "AllowCalling"},
    }
)
GERMANY = LifecycleTemplate(
    name="germany",
    match=Match(usage_location=("DE",)),
    pool="berlin",
    licences=("MCOEV",),
    policies={"OnlineVoiceRoutingPolicy": "VRP-Berlin"},
    new_number_on="country",
)


def _pool(name: str, country: str, start: str, end: str) -> SitePool:
    spans = (NumberRange(start=start, end=end),)
    return SitePool(name=name, country=country, number_type="directRouting", ranges=spans)


POOLS = (
    _pool("vienna", "AT", "+431234500", "+431234539"),
    _pool("graz", "AT", "+4331612300", "+4331612339"),
    _pool("berlin", "DE", "+493012345600", "+493012345639"),
)


def life_site() -> SitePolicy:
    """Give the site."""
    return SitePolicy(folder=Path(), pools=POOLS, templates=(AUSTRIA, SUPPORT, GERMANY), lifecycle=RULES)
