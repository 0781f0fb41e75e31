"""On-premises servers: PINs, certificates, ranges, orbits, pickup, devices, response groups, forwarding, topology."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.posh_values import SecureString
from lab.skype_records import SkypeUser
from tests.fakes.script_runner import ScriptRunner

SERVICE = "service:ApplicationServer:pool1.contoso.example"
PHONE = "New-CsCommonAreaPhone -LineUri tel:+431934695001 -RegistrarPool pool1.contoso.example "
PHONE += "-OU 'OU=Phones,DC=contoso' "


def one(run: ScriptRunner, text: str, *arguments: object) -> dict[str, Any]:
    """Run a script with one object as its output."""
    (found,) = run(text, *arguments)
    assert isinstance(found, dict)
    assert run.errors == []
    return found


def user(run: ScriptRunner, index: int = 0) -> SkypeUser:
    """Give a user who is homed on premises."""
    return list(run.tenant.skype.values())[index]


# PINs and certificates


def test_a_pin_is_set_and_never_shown(skype: ScriptRunner) -> None:
    """A PIN travels as SecureString, is in no log and no answer, and expires (M73)."""
    address = user(skype).sip_address
    skype("param($I, $P) Set-CsClientPin -Identity $I -Pin $P", address, SecureString("739154"))
    info = one(skype, "param($I) Get-CsClientPinInfo $I", address)
    assert (info["IsPinSet"], info["IsLockedOut"]) == (True, False)
    assert info["PinExpirationTime"] > skype.parts.clock.now()
    assert "739154" not in json.dumps(skype.parts.calls.since(0), default=str)


def test_a_generated_pin_is_shown_once(skype: ScriptRunner) -> None:
    """Without -Pin the server makes one that meets the policy, and shows it this once."""
    made = one(skype, "param($I) Set-CsClientPin -Identity $I", user(skype).sip_address)
    assert len(made["Pin"]) == 5
    assert made["Pin"] not in json.dumps(skype.parts.calls.since(0), default=str)


@pytest.mark.parametrize("pin", ["1234", "12345", "55555", "98765", "1a345", ""])
def test_weak_pins_are_refused(skype: ScriptRunner, pin: str) -> None:
    """Short, patterned and non-digit PINs do not meet the policy; an empty one is generated."""
    skype("param($I, $P) Set-CsClientPin -Identity $I -Pin $P", user(skype).sip_address, SecureString(pin))
    assert len(skype.errors) == (1 if pin else 0)


def test_a_stricter_policy_wants_a_longer_pin(skype: ScriptRunner) -> None:
    """The PIN policy of the user decides."""
    address = user(skype).sip_address
    skype("param($I) Grant-CsPinPolicy $I -PolicyName LongPin; Set-CsClientPin $I -Pin 73915", address)
    assert "at least 8" in skype.errors[0].message


def test_a_pin_is_locked_and_unlocked(skype: ScriptRunner) -> None:
    """Only a PIN that is set can be locked; setting a new one unlocks."""
    address = user(skype).sip_address
    skype("param($I) Lock-CsClientPin $I", address)
    assert "No PIN" in skype.errors[0].message
    ask = "; (Get-CsClientPinInfo $I).IsLockedOut"
    assert skype("param($I) Set-CsClientPin $I -Pin 73915; Lock-CsClientPin $I" + ask, address) == [True]
    assert skype("param($I) Unlock-CsClientPin $I" + ask, address) == [False]


def test_certificates_are_revoked_on_premises_only(skype: ScriptRunner) -> None:
    """All certificates go; for a user homed online there is nothing to revoke here (M70)."""
    address = user(skype).sip_address
    assert len(skype("param($I) Get-CsClientCertificate $I", address)) == 1
    assert skype("param($I) Revoke-CsClientCertificate $I; Get-CsClientCertificate $I", address) == []
    from dataclasses import replace

    other = user(skype, 1)
    skype.tenant.skype[other.sam] = replace(other, provider="sipfed.online.lync.com")
    skype("param($I) Revoke-CsClientCertificate $I", other.sip_address)
    assert "not homed on-premises" in skype.errors[0].message


def test_a_common_area_phone_has_a_pin(skype: ScriptRunner) -> None:
    """The PIN of a phone is set by its SIP address (M74)."""
    phone = one(skype, PHONE + "-DisplayName Lobby -SipAddress sip:lobby@contoso.example")
    skype("Set-CsClientPin -Identity sip:lobby@contoso.example -Pin 73915")
    assert one(skype, "Get-CsClientPinInfo sip:lobby@contoso.example")["IsPinSet"] is True
    assert phone["Identity"] == "CN={Lobby},OU=Phones,DC=contoso"


# Devices


def test_devices_are_made_changed_moved_removed(skype: ScriptRunner) -> None:
    """A device has a line nobody else has, and a pool."""
    analog = "New-CsAnalogDevice -LineUri tel:+431934695002 -RegistrarPool pool1.contoso.example -Gateway gw.contoso "
    made = one(skype, analog + "-AnalogFax $true -OU 'OU=Fax,DC=contoso' -DisplayName Fax")
    assert (made["AnalogFax"], made["Enabled"]) == (True, True)
    skype(PHONE.replace("5001", "5002"))
    assert "already assigned" in skype.errors[0].message
    change = "param($I) Set-CsAnalogDevice -Identity $I -LineUri tel:+431934695003 -Description Hall; "
    skype(change + "Move-CsAnalogDevice -Identity $I -Target pool2.contoso.example", made["Identity"])
    found = one(skype, "Get-CsAnalogDevice -Filter \"LineURI -like '*5003'\"")
    assert (found["RegistrarPool"], found["Description"]) == ("pool2.contoso.example", "Hall")
    skype("param($I) Remove-CsAnalogDevice -Identity $I", made["Identity"])
    assert skype("Get-CsAnalogDevice") == []
    skype("Get-CsCommonAreaPhone -Identity sip:nobody@contoso.example")
    assert skype.error_ids[0].startswith("ManagementObjectNotFound")


# Ranges, orbits, pickup


@pytest.mark.parametrize(
    ("start", "end", "accepted"),
    [
        ("#300", "#399", True),
        ("*101", "*101", True),
        ("500", "599", True),
        ("#100", "#199", False),
        ("#300", "#4000", False),
        ("#300", "*399", False),
        ("399", "300", False),
        ("0300", "0399", False),
        ("#250", "#260", False),
    ],
)
def test_orbit_ranges_have_a_form(skype: ScriptRunner, start: str, end: str, *, accepted: bool) -> None:
    """Same length, same sign, above 100 after a sign, in order, and no overlap (M75)."""
    text = f"New-CsCallParkOrbit -Identity New -NumberRangeStart '{start}' -NumberRangeEnd '{end}' -Type GroupPickup "
    skype(text + f"-CallParkService {SERVICE.partition(':')[2]}")
    assert (skype.errors == []) == accepted


def test_pickup_orbits_of_users(skype: ScriptRunner) -> None:
    """New only without one, Set and Remove only with one, always inside a pickup range; many share one (M76)."""
    first, second = user(skype).sip_address, user(skype, 1).sip_address
    call = "param($U, $O) {0}-CsGroupPickupUserOrbit -User $U -Orbit $O"
    skype(call.format("Set"), first, "#250")
    assert "has no group pickup orbit" in skype.errors[0].message
    assert one(skype, call.format("New"), first, "#250")["Orbit"] == "#250"
    skype(call.format("New"), first, "#251")
    assert "already has" in skype.errors[0].message
    for orbit in ("#150", "#350", "250"):
        skype(call.format("Set"), first, orbit)
        assert "not in a range" in skype.errors[0].message
    skype(call.format("New"), second, "#250")
    assert len(skype("Get-CsGroupPickupUserOrbit -Orbit '#250'")) == 2
    skype("Remove-CsCallParkOrbit -Identity Pickup")
    assert "used by user" in skype.errors[0].message
    remove = "param($U) Remove-CsGroupPickupUserOrbit -User $U"
    assert skype(remove, first) == []
    skype(remove, first)
    assert len(skype.errors) == 1


@pytest.mark.parametrize(
    ("more", "accepted"),
    [
        ("-NumberRangeStart +431 -NumberRangeEnd +432 -AnnouncementService {s} -AnnouncementName A", True),
        ("-NumberRangeStart +432 -NumberRangeEnd +431 -AnnouncementService {s} -AnnouncementName A", False),
        ("-NumberRangeStart +431 -NumberRangeEnd +432", False),
        ("-NumberRangeStart '0431' -NumberRangeEnd +432 -ExUmAutoAttendantPhoneNumber +43", False),
        ("-NumberRangeStart +431 -NumberRangeEnd +432 -ExUmAutoAttendantPhoneNumber +43 -Priority 4", True),
    ],
)
def test_unassigned_ranges_have_rules(skype: ScriptRunner, more: str, *, accepted: bool) -> None:
    """Start before end, numbers of the documented form, exactly one way to answer; overlaps are allowed."""
    skype(f"New-CsUnassignedNumber -Identity New {more.format(s=SERVICE)}")
    assert (skype.errors == []) == accepted
    assert len(skype("Get-CsUnassignedNumber")) == 1 + accepted


# Response groups


def test_an_agent_group_is_edited_as_an_instance(skype: ScriptRunner) -> None:
    """Fetch, change, set in one script; a bag of properties from outside is refused (M77)."""
    first, second = user(skype).sip_address, user(skype, 1).sip_address
    new = f"param($A) New-CsRgsAgentGroup -Parent {SERVICE} -Name Support -AgentsByUri $A -AgentAlertTime 30"
    assert one(skype, new, [first])["RoutingMethod"] == "Parallel"
    edit = "param($A) $g = Get-CsRgsAgentGroup -Name Support; $g.AgentsByUri.Add($A); "
    skype(edit + "Set-CsRgsAgentGroup -Instance $g", second)
    assert one(skype, "Get-CsRgsAgentGroup -Name Supp*")["AgentsByUri"] == [first, second]
    drop = edit.replace(".Add", ".Remove").replace("; $g.", "; $null = $g.")
    skype(drop + "Set-CsRgsAgentGroup -Instance $g", second.upper())
    assert one(skype, "Get-CsRgsAgentGroup -Name Supp*")["AgentsByUri"] == [first]
    skype("Set-CsRgsAgentGroup -Instance ([pscustomobject]@{Identity='a'; Name='Support'})")
    assert "in one script" in skype.errors[0].message
    skype(edit + "Set-CsRgsAgentGroup -Instance $g", "sip:stranger@contoso.example")
    assert "is not enabled" in skype.errors[0].message


def test_a_queue_keeps_its_agent_groups(skype: ScriptRunner) -> None:
    """A queue names existing groups; a group in a queue stays; limits hold."""
    skype(f"New-CsRgsAgentGroup -Parent {SERVICE} -Name Support")
    queue = f"$g = Get-CsRgsAgentGroup -Name Support; New-CsRgsQueue -Parent {SERVICE} -Name Q -AgentGroupIDList "
    assert one(skype, queue + "$g.Identity -TimeoutThreshold 60")["TimeoutThreshold"] == 60
    skype("$g = Get-CsRgsAgentGroup -Name Support; Remove-CsRgsAgentGroup -Instance $g")
    assert 'used by queue "Q"' in skype.errors[0].message
    for wrong in (
        "-AgentAlertTime 9",
        "-AgentAlertTime 601",
        "-DistributionGroupAddress a -AgentsByUri " + user(skype).sip_address,
    ):
        skype(f"New-CsRgsAgentGroup -Parent {SERVICE} -Name W {wrong}")
        assert len(skype.errors) == 1
    skype("Get-CsRgsWorkflow -Identity service:ApplicationServer:nowhere")
    assert len(skype.errors) == 1


# Forwarding


def test_forwarding_shows_late_on_other_front_ends(skype: ScriptRunner) -> None:
    """The home front end knows at once, the two others after their lag (M99)."""
    address = user(skype).sip_address
    skype.parts.settings.front_end_lag_s = 60
    skype(
        "param($U) Set-CsUserCallForwardingSettings -User $U -EnableForwarding tel:+431 -UnansweredToVoicemail", address
    )
    ask = "param($U) (Get-CsUserCallForwardingSettings -User $U).ForwardDestination"
    assert sorted(str(skype(ask, address)[0]) for _ in range(3)) == ["", "", "tel:+431"]
    skype.parts.clock.advance(60)
    assert [skype(ask, address) for _ in range(3)] == [["tel:+431"]] * 3


def test_delegates_and_team_are_lists_that_change(skype: ScriptRunner) -> None:
    """Add and Remove change the list; strangers and wrong waits are refused."""
    boss, helper = user(skype).sip_address, user(skype, 1).sip_address
    change = "param($U, $D) Set-CsUserDelegates -User $U -Delegates @{Add=$D}"
    skype(change, boss, helper)
    assert one(skype, "param($U) Get-CsUserDelegates -User $U", boss)["Delegates"] == [helper]
    skype(change, boss, "sip:stranger@contoso.example")
    assert len(skype.errors) == 1
    skype("param($U, $D) Set-CsUserTeamMembers -User $U -Team $D", boss, [helper])
    assert one(skype, "param($U) Get-CsUserTeamMembers -User $U", boss)["Team"] == [helper]
    skype("param($U) Set-CsUserCallForwardingSettings $U -EnableForwarding Delegates -DelegateRingWaitTime 7", boss)
    assert "0, 5, 10 or 15" in skype.errors[0].message
    skype("param($U) Set-CsUserCallForwardingSettings -User $U -EnableSimulRing tel:+431 -DisableForwarding", boss)
    assert skype.error_ids[0].startswith("AmbiguousParameterSet")


# The server itself


def test_the_server_tells_about_itself(skype: ScriptRunner) -> None:
    """Version, hosting provider, pools with three front ends, and which replica is stale (M78)."""
    skype.parts.settings.stale_replicas = ("fe2.contoso.example",)
    assert "(7.0.2046.524)" in str(skype("Get-CsServerVersion")[0])
    assert skype("(Get-CsHostingProvider).ProxyFqdn") == ["sipfed.online.lync.com"]
    assert len(skype("(Get-CsPool)[0].Computers")) == 3
    stale = "Get-CsManagementStoreReplicationStatus | Where-Object UpToDate -eq $false"
    assert one(skype, stale)["ReplicaFqdn"] == "fe2.contoso.example"


def test_a_fault_hits_a_server_cmdlet(skype: ScriptRunner) -> None:
    """A refused PIN leaves none behind."""
    skype.parts.faults.add({"name": "unavailable", "match": {"operation": "Set-CsClientPin"}, "times": 1})
    address = user(skype).sip_address
    skype("param($I) Set-CsClientPin $I -Pin 73915", address)
    assert len(skype.errors) == 1
    assert one(skype, "param($I) Get-CsClientPinInfo $I", address)["IsPinSet"] is False
