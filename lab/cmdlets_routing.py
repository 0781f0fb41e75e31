"""Voice routing: PSTN usages, routes, routing policies, gateways and their translation rules."""

from __future__ import annotations

from collections.abc import Iterable

from lab import objects
from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.cmdlets_host import teams_host
from lab.cmdlets_objects import MODELS, MODULE, Draft, Noun, Property, modified
from lab.patterns import compiled, translated
from lab.posh_values import PsObject, Value
from lab.records import ConfigObject, Effect, Json
from lab.rules import bad_request
from lab.tenant import Tenant, View

USAGES, ROUTE, POLICY = "OnlinePstnUsage", "OnlineVoiceRoute", "OnlineVoiceRoutingPolicy"
GATEWAY, RULE = "OnlinePSTNGateway", "TeamsTranslationRule"
_RULE_LISTS = (
    "InboundPstnNumberTranslationRules",
    "InboundTeamsNumberTranslationRules",
    "OutboundPstnNumberTranslationRules",
    "OutboundTeamsNumberTranslationRules",
)
LONGEST_FQDN, LARGEST_PORT = 63, 65535


# Usages


def usages(tenant: Tenant) -> list[str]:
    """Give the usages of the tenant; they live in one object."""
    found = objects.find(tenant, USAGES, "Global")
    return objects.names(found.details, "Usage") if found else []


def get_usages(call: Call) -> Iterable[Value]:
    """Get-CsOnlinePstnUsage: the one object with all usages."""

    def look(view: View) -> Iterable[Value]:
        props: list[tuple[str, Value]] = [("Identity", "Global"), ("Usage", list(usages(view.tenant)))]
        return [PsObject(props, types=(MODELS + USAGES, "System.Object"), adapted=True, text="Global")]

    return teams_host(call).read(call, look, ["Global"])


def set_usages(call: Call) -> Iterable[Value]:
    """Set-CsOnlinePstnUsage: a list, or changes of it; a usage that is used stays."""
    host = teams_host(call)
    tenant = host.parts.tenant

    def act() -> list[Effect]:
        with tenant.lock:
            before = usages(tenant)
            after = modified(list(before), call.bound.get("Usage"))
            for gone in {*before} - {str(name) for name in after}:
                if used := _user_of_usage(tenant, gone):
                    raise bad_request(f'PSTN usage "{gone}" can not be removed: it is used by {used}')
            return objects.store(tenant, USAGES, "Global", {"Usage": after})

    return host.write(call, act, ["Global"])


def _user_of_usage(tenant: Tenant, name: str) -> str:
    for kind in (ROUTE, POLICY):
        if found := _first_with(tenant, kind, "OnlinePstnUsages", name):
            return f"{kind} {found.name}"
    return ""


def _first_with(tenant: Tenant, kind: str, key: str, name: str) -> ConfigObject | None:
    """Find an object that names something in one of its lists."""
    folded = name.casefold()
    rows = objects.every(tenant, kind)
    return next((row for row in rows if folded in map(str.casefold, objects.names(row.details, key))), None)


def _check_usages(draft: Draft) -> None:
    known = {name.casefold() for name in usages(draft.tenant)}
    for name in draft.names("OnlinePstnUsages"):
        if name.casefold() not in known:
            raise bad_request(f'Cannot find PSTN usage "{name}": create it with Set-CsOnlinePstnUsage first')


# Routes


def _check_route(draft: Draft) -> None:
    _check_usages(draft)
    compiled(draft.text("NumberPattern"))
    gateways = draft.names("OnlinePstnGatewayList")
    for name in gateways:
        if objects.find(draft.tenant, GATEWAY, name) is None:
            raise bad_request(f'Cannot find PSTN gateway "{name}": create it with New-CsOnlinePSTNGateway first')
    if draft.text("BridgeSourcePhoneNumber") and gateways:
        raise bad_request("BridgeSourcePhoneNumber and OnlinePstnGatewayList are mutually exclusive.")
    if not gateways and not draft.text("BridgeSourcePhoneNumber"):
        draft.call.message("warning", "No gateway was specified: calls can not be routed by this voice route.")
    if draft.after.get("Priority") is None:
        draft.after["Priority"] = _next_priority(draft.tenant)


def _next_priority(tenant: Tenant) -> int:
    known = [int(str(row.details.get("Priority") or 0)) for row in objects.every(tenant, ROUTE)]
    return max(known, default=-1) + 1


# Gateways


def _check_gateway(draft: Draft) -> None:
    if len(draft.name) > LONGEST_FQDN:
        raise bad_request(f"The Fqdn of a gateway has at most {LONGEST_FQDN} characters.")
    port = draft.after.get("SipSignalingPort")
    if not isinstance(port, int) or not 1 <= port <= LARGEST_PORT:
        raise bad_request(f"SipSignalingPort must be between 1 and {LARGEST_PORT}.")
    if draft.text("IPAddressVersion") == "IPv6" and draft.after.get("MediaBypass"):
        raise bad_request("IPv6 is not supported together with MediaBypass.")
    for key in _RULE_LISTS:
        for name in draft.names(key):
            if objects.find(draft.tenant, RULE, name) is None:
                raise bad_request(f'Cannot find translation rule "{name}"')


def _user_of_gateway(tenant: Tenant, name: str) -> str:
    found = _first_with(tenant, ROUTE, "OnlinePstnGatewayList", name)
    return f"voice route {found.name}" if found else ""


# Translation rules


def _check_rule(draft: Draft) -> None:
    compiled(draft.text("Pattern"))


def _user_of_rule(tenant: Tenant, name: str) -> str:
    for key in _RULE_LISTS:
        if found := _first_with(tenant, GATEWAY, key, name):
            return f"PSTN gateway {found.name}"
    return ""


def test_rules(call: Call) -> Iterable[Value]:
    """Test-CsTeamsTranslationRule: the first rule that matches a number, and what it makes of it."""
    number = call.text("PhoneNumber")

    def look(view: View) -> Iterable[Value]:
        for row in objects.every(view.tenant, RULE):
            if call.has("Identity") and row.name.lower() != call.text("Identity").lower():
                continue
            made = translated(str(row.details["Pattern"]), str(row.details["Translation"]), number)
            if made is not None:
                props: list[tuple[str, Value]] = [("Identity", row.name), ("PhoneNumberTranslated", made)]
                return [PsObject(props, types=(MODELS + "TranslationRuleTest", "System.Object"), adapted=True)]
        return []

    return teams_host(call).read(call, look, [number])


def _flags(*names: str, default: Json = False) -> tuple[Property, ...]:
    return tuple(Property(name, "bool", default) for name in names)


ROUTING_NOUNS = (
    Noun(
        ROUTE,
        (
            Property("Priority", "int"),
            Property("Description", default=""),
            Property("NumberPattern", default="[0-9]{10}"),
            Property("OnlinePstnUsages", "list", ()),
            Property("OnlinePstnGatewayList", "list", ()),
            Property("BridgeSourcePhoneNumber"),
        ),
        identities=("Identity", "Name"),
        check=_check_route,
        shown=lambda row: [("Name", row.name)],
    ),
    Noun(
        POLICY,
        (
            Property("OnlinePstnUsages", "list", ()),
            Property("Description", default=""),
            Property("RouteType", default="BYOT", choices=("BYOT", "BYOTONLY", "BYOTFallbackToMicrosoft")),
        ),
        check=_check_usages,
    ),
    Noun(
        GATEWAY,
        (
            Property("SipSignalingPort", "int", required=True, aliases=("SipSignallingPort",)),
            *_flags("Enabled", "ForwardCallHistory", "ForwardPai", "MediaBypass", "PidfLoSupported"),
            *_flags("GatewaySiteLbrEnabled", "GatewayLbrEnabledUserOverride"),
            *_flags("SendSipOptions", default=True),
            Property("MaxConcurrentSessions", "int"),
            Property("FailoverTimeSeconds", "int", 10),
            Property("FailoverResponseCodes", default="408, 503, 504"),
            Property("BypassMode", default="None", choices=("None", "Always", "OnlyForLocalUsers")),
            Property("GatewaySiteId"),
            Property("IPAddressVersion", default="IPv4", choices=("IPv4", "IPv6")),
            *(Property(name) for name in ("MediaRelayRoutingLocationOverride", "ProxySbc", "Description")),
            *(Property(name, "list", ()) for name in _RULE_LISTS),
        ),
        identities=("Fqdn", "Identity"),
        check=_check_gateway,
        user=_user_of_gateway,
        shown=lambda row: [("Fqdn", row.name)],
    ),
    Noun(
        RULE,
        (
            Property("Description", default=""),
            Property("Pattern", required=True),
            Property("Translation", required=True),
        ),
        identities=("Identity", "Name"),
        check=_check_rule,
        user=_user_of_rule,
        shown=lambda row: [("Name", row.name)],
    ),
)

ROUTING = (
    *(cmdlet for noun in ROUTING_NOUNS for cmdlet in noun.cmdlets()),
    Cmdlet("Get-CsOnlinePstnUsage", get_usages, (Parameter("Identity", position=0),), module=MODULE),
    Cmdlet(
        "Set-CsOnlinePstnUsage",
        set_usages,
        (Parameter("Identity", position=0), Parameter("Usage", "any", sets=needed()), Parameter("Force", "switch")),
        module=MODULE,
        changes=True,
    ),
    Cmdlet(
        "Test-CsTeamsTranslationRule",
        test_rules,
        (Parameter("Identity", position=0), Parameter("PhoneNumber", sets=needed())),
        module=MODULE,
    ),
)
