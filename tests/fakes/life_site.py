"""The site of the random histories: two countries, two offices in one of them, two departments, every leaver's step."""

from __future__ import annotations

from pathlib import Path

from config.site_lifecycle import LeaveRules, LifecycleRules
from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate, Match, PoolRule
from tests.fakes import company

POLICIES = {
    "OnlineVoiceRoutingPolicy": ("VRP-Vienna", "VRP-Berlin", "Internal-Only"),
    "TenantDialPlan": ("DP-Vienna",),
    "TeamsCallingPolicy": ("AllowCalling",),
}
RULES = LifecycleRules(
    leaver=company.RULES.leaver,
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


_VIENNA, _BERLIN = company.POOLS
POOLS = (_VIENNA, company.pool("graz", "AT", "+4331612300", "+4331612339"), _BERLIN)


def life_site() -> SitePolicy:
    """Give the site."""
    return SitePolicy(folder=Path(), pools=POOLS, templates=(AUSTRIA, SUPPORT, GERMANY), lifecycle=RULES)
