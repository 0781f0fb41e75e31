"""Voice routing objects: usages, routes, routing policies, gateways, translation rules; and policies in use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.script_runner import ScriptRunner, last_call, licensed

BERLIN = "sbc-berlin.contoso.example"
SBC = "sbc1.contoso.example"
NEW_SBC = f"New-CsOnlinePSTNGateway -Fqdn {SBC} -SipSignalingPort 5067"
NEW_ROUTE = f"New-CsOnlineVoiceRoute -Identity R -OnlinePstnUsages Vienna-National -OnlinePstnGatewayList {SBC}"


def one(run: ScriptRunner, text: str, *arguments: object) -> dict[str, Any]:
    """Run a script with one object as its output."""
    (found,) = run(text, *arguments)
    assert isinstance(found, dict)
    assert run.errors == []
    return found


def usages(run: ScriptRunner) -> list[str]:
    """Give the usages of the tenant."""
    return [str(name) for name in run("(Get-CsOnlinePstnUsage).Usage")]


def test_usages_are_added_and_removed_without_touching_others(teams: ScriptRunner) -> None:
    """`@{Add=…}` and `@{Remove=…}` change the one object, a plain list replaces it (M17)."""
    before = usages(teams)
    teams("Set-CsOnlinePstnUsage -Identity Global -Usage @{Add='Long','Short'}")
    teams("Set-CsOnlinePstnUsage -Identity Global -Usage @{add='long'}")
    assert usages(teams) == [*before, "Long", "Short"]
    assert last_call(teams)["operation"] == "Get-CsOnlinePstnUsage"
    teams("Set-CsOnlinePstnUsage -Usage @{Remove='Long'}")
    assert usages(teams) == [*before, "Short"]
    teams("param($U) Set-CsOnlinePstnUsage -Usage @{Replace=$U}", before)
    assert usages(teams) == before
    assert teams.errors == []


@pytest.mark.parametrize("text", ["@{Remove='Vienna-National'}", "'Only'", "@{Insert='A'}"])
def test_a_used_usage_stays(teams: ScriptRunner, text: str) -> None:
    """What a route or a policy uses cannot go; a change must be Add, Remove or Replace."""
    before = usages(teams)
    teams(f"Set-CsOnlinePstnUsage -Usage {text}")
    assert len(teams.errors) == 1
    assert usages(teams) == before


def test_a_gateway_is_disabled_unless_told(teams: ScriptRunner) -> None:
    """The defaults of a new gateway are the documented ones (M16)."""
    made = one(teams, NEW_SBC)
    assert (made["Identity"], made["Fqdn"], made["Enabled"], made["SendSipOptions"]) == (SBC, SBC, False, True)
    assert (made["FailoverResponseCodes"], made["FailoverTimeSeconds"]) == ("408, 503, 504", 10)
    assert (made["BypassMode"], made["IPAddressVersion"], made["MaxConcurrentSessions"]) == ("None", "IPv4", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SipSignalingPort", 5061),
        ("Enabled", True),
        ("MaxConcurrentSessions", 100),
        ("SendSipOptions", False),
        ("FailoverTimeSeconds", 20),
        ("FailoverResponseCodes", "503"),
        ("ForwardCallHistory", True),
        ("ForwardPai", True),
        ("MediaBypass", True),
        ("PidfLoSupported", True),
        ("BypassMode", "Always"),
        ("GatewaySiteId", "HQ"),
        ("GatewaySiteLbrEnabled", True),
        ("GatewayLbrEnabledUserOverride", True),
        ("IPAddressVersion", "IPv6"),
        ("MediaRelayRoutingLocationOverride", "DE"),
        ("ProxySbc", "proxy.contoso.example"),
        ("Description", "first [one]"),
    ],
)
def test_every_field_of_a_gateway_is_kept(teams: ScriptRunner, name: str, value: object) -> None:
    """Each writable field goes through Set and comes back from Get (M97)."""
    teams(NEW_SBC)
    teams(f"param($V) Set-CsOnlinePSTNGateway -Identity {SBC} -{name} $V", value)
    assert one(teams, f"Get-CsOnlinePSTNGateway {SBC}")[name] == value


@pytest.mark.parametrize(
    "text",
    [
        "New-CsOnlinePSTNGateway -Fqdn a.example -SipSignalingPort 0",
        "New-CsOnlinePSTNGateway -Fqdn a.example",
        "New-CsOnlinePSTNGateway -Fqdn " + "a" * 64 + " -SipSignalingPort 5061",
        "New-CsOnlinePSTNGateway -Fqdn a.example -SipSignalingPort 5061 -IPAddressVersion IPv6 -MediaBypass $true",
        "New-CsOnlinePSTNGateway -Fqdn a.example -SipSignalingPort 5061 -InboundPstnNumberTranslationRules Nope",
        "Set-CsOnlinePSTNGateway -Identity nope.example -Enabled $true",
        "Remove-CsOnlinePSTNGateway -Identity sbc-vienna.contoso.example",
    ],
)
def test_wrong_gateways_are_refused(teams: ScriptRunner, text: str) -> None:
    """Ports, names, IPv6 with bypass, unknown rules; and a gateway that a route uses stays (M16)."""
    before = dict(teams.tenant.objects)
    teams(text)
    assert len(teams.errors) == 1
    assert teams.tenant.objects == before


def test_an_unused_gateway_goes(teams: ScriptRunner) -> None:
    """Without a route a gateway can be removed, with a logged effect."""
    teams(NEW_SBC)
    teams(f"Remove-CsOnlinePSTNGateway -Identity {SBC}")
    assert teams.errors == []
    assert last_call(teams)["effects"] == [
        {"object": f"OnlinePSTNGateway:{SBC}", "attribute": "exists", "before": True, "after": False}
    ]


def test_a_route_needs_its_usages_and_gateways(teams: ScriptRunner) -> None:
    """A missing gateway or usage is named; with both there the route gets the last priority (M18)."""
    teams(NEW_ROUTE)
    assert SBC in teams.errors[0].message
    teams(NEW_SBC)
    made = one(teams, NEW_ROUTE)
    assert (made["Name"], made["NumberPattern"], made["Priority"]) == ("R", "[0-9]{10}", 17)
    teams("Set-CsOnlineVoiceRoute -Identity R -OnlinePstnUsages @{Add='Nope'}")
    assert "Nope" in teams.errors[0].message


@pytest.mark.parametrize(
    "text",
    [
        "New-CsOnlineVoiceRoute -Identity A -Name B",
        "New-CsOnlineVoiceRoute -Identity A -NumberPattern '^(['",
        f"New-CsOnlineVoiceRoute -Identity A -BridgeSourcePhoneNumber 1 -OnlinePstnGatewayList {BERLIN}",
        "New-CsOnlineVoiceRoute -Identity localroute",
        "Remove-CsOnlineVoiceRoute -Identity Nope",
    ],
)
def test_wrong_routes_are_refused(teams: ScriptRunner, text: str) -> None:
    """Two names, a broken pattern, two exclusive lists, a name twice, a name nobody has."""
    teams(text)
    assert len(teams.errors) == 1


def test_a_route_without_a_gateway_warns(teams: ScriptRunner) -> None:
    """A route that leads nowhere is made, with a warning; special characters in its pattern are kept (M98)."""
    made = one(teams, "param($P) New-CsOnlineVoiceRoute -Name A -NumberPattern $P", r"^\+1(425|206)(\d{7})[^*#]?$")
    assert made["NumberPattern"] == r"^\+1(425|206)(\d{7})[^*#]?$"
    assert [stream for stream, _ in teams.messages] == ["warning"]


def test_a_routing_policy_keeps_the_order_of_its_usages(teams: ScriptRunner) -> None:
    """The order of usages matters and survives Set and Get (M20)."""
    wanted = ["Tokyo-National", "Berlin-International", "Vienna-National"]
    made = one(teams, "param($U) New-CsOnlineVoiceRoutingPolicy -Identity Mixed -OnlinePstnUsages $U", wanted)
    assert (made["Identity"], made["OnlinePstnUsages"]) == ("Tag:Mixed", wanted)
    teams("param($U) Set-CsOnlineVoiceRoutingPolicy -Identity Mixed -OnlinePstnUsages $U", wanted[::-1])
    assert one(teams, "Get-CsOnlineVoiceRoutingPolicy -Filter tag:mix*")["OnlinePstnUsages"] == wanted[::-1]
    teams("New-CsOnlineVoiceRoutingPolicy -Identity Wrong -OnlinePstnUsages Nope")
    assert "Nope" in teams.errors[0].message


@pytest.mark.parametrize("how", ["user", "group", "number"])
def test_a_policy_in_use_cannot_be_removed(teams: ScriptRunner, how: str) -> None:
    """A user, a group or a number that has the policy keeps it from going."""
    user = licensed(teams, with_number=True)
    teams("New-CsCallingLineIdentity -Identity Front -CallingIDSubstitute Anonymous")
    number, group = next(iter(teams.tenant.numbers_of[user.id])), next(iter(teams.tenant.groups))
    to_number = f"Set-CsPhoneNumberPolicyAssignment -TelephoneNumber '{number}' -PolicyType CallingLineIdentity"
    grants = {
        "user": f"Grant-CsCallingLineIdentity -Identity {user.id} -PolicyName ",
        "group": f"Grant-CsCallingLineIdentity -Group {group} -Rank 1 -PolicyName ",
        "number": f"{to_number} -PolicyName ",
    }
    teams(grants[how] + "Front")
    teams("Remove-CsCallingLineIdentity -Identity Front")
    assert "currently assigned" in teams.errors[0].message
    teams(grants[how] + "$null; Remove-CsCallingLineIdentity -Identity Front")
    assert teams.errors == []
    assert teams.tenant.find_policy("CallingLineIdentity", "Front") is None


def test_translation_rules_are_tried_and_protected(teams: ScriptRunner) -> None:
    """A rule turns `$1` into what it captured, and stays while a gateway names it."""
    teams(r"New-CsTeamsTranslationRule -Identity Short -Pattern '^(\d{4})$' -Translation '+43193460$1'")
    assert one(teams, "Test-CsTeamsTranslationRule -PhoneNumber 1234")["PhoneNumberTranslated"] == "+431934601234"
    teams(NEW_SBC + " -InboundPstnNumberTranslationRules Short")
    teams("Remove-CsTeamsTranslationRule -Identity Short")
    assert SBC in teams.errors[0].message


def test_a_fault_hits_one_gateway(teams: ScriptRunner) -> None:
    """A fault for one object's name leaves the others alone."""
    teams.parts.faults.add({"name": "unavailable", "match": {"operation": "Set-CsOnlinePSTN*", "target": SBC}})
    teams(NEW_SBC)
    teams(f"Set-CsOnlinePSTNGateway -Identity {SBC} -Enabled $true")
    assert "Service is unavailable" in teams.errors[0].message
    teams("Set-CsOnlinePSTNGateway -Identity sbc-berlin.contoso.example -Enabled $false")
    assert teams.errors == []
