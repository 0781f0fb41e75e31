"""Where a call of a user goes: the documented order of usages, routes and gateways, and one deviation from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab import objects
from lab.patterns import matches
from lab.records import ConfigObject, Json
from lab.tenant import Tenant

POLICY, ROUTE, GATEWAY = "OnlineVoiceRoutingPolicy", "OnlineVoiceRoute", "OnlinePSTNGateway"


@dataclass(frozen=True, slots=True)
class Routed:
    """How far a call came: the gateway is None when it failed."""

    policy: str
    usage: str | None = None
    route: str | None = None
    gateway: str | None = None
    tried: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Give the form of the control port."""
        shown: dict[str, Json] = {"policy": self.policy, "usage": self.usage, "route": self.route}
        return shown | {"gateway": self.gateway, "tried": list(self.tried)}


def route(tenant: Tenant, identity: str, number: str, *, overflows: bool = False) -> Routed:
    """Route a call: the first usage with a matching route decides, unless calls overflow to the next usage."""
    user = tenant.telephony_user(identity)
    found = (row.policy.name for row in tenant.effective_policies(user.id) if row.policy.policy_type == POLICY)
    policy = next(found, "Global")
    tried: list[str] = []
    usages = objects.names(objects.get(tenant, POLICY, policy).details, "OnlinePstnUsages")
    for usage in usages:
        matching = [row for row in _routes(tenant, usage) if matches(str(row.details.get("NumberPattern")), number)]
        for row in matching:
            for gateway in objects.names(row.details, "OnlinePstnGatewayList"):
                if _is_up(tenant, gateway):
                    return Routed(policy, usage, row.name, gateway, tuple(tried))
                tried.append(gateway)
        if matching and not (overflows or tenant.settings.usage_overflow):
            return Routed(policy, usage, matching[-1].name, None, tuple(tried))
    return Routed(policy, tried=tuple(tried))


def _routes(tenant: Tenant, usage: str) -> Iterator[ConfigObject]:
    """Give the routes of a usage, the lowest priority first."""
    folded = usage.casefold()
    rows = sorted(objects.every(tenant, ROUTE), key=lambda row: int(str(row.details.get("Priority") or 0)))
    return (row for row in rows if folded in map(str.casefold, objects.names(row.details, "OnlinePstnUsages")))


def _is_up(tenant: Tenant, gateway: str) -> bool:
    row = objects.find(tenant, GATEWAY, gateway)
    down = {name.casefold() for name in tenant.settings.gateways_down}
    return row is not None and bool(row.details.get("Enabled")) and gateway.casefold() not in down
