"""What a number carries: blocks, tags, policies of its own; the tenant's rules, filters, emergency locations."""

from __future__ import annotations

from typing import Any

import pytest

from lab.records import opaque_id
from tests.fakes.script_runner import FREE, ScriptRunner, licensed

WIEN, WIEN_ADDRESS = opaque_id("location", "Vienna"), opaque_id("civic", "Vienna")


def rows(found: list[object]) -> list[dict[str, Any]]:
    """Take the output as objects."""
    return [row for row in found if isinstance(row, dict)]


def test_tags_are_set_listed_found_and_removed(teams: ScriptRunner) -> None:
    """A tag ignores case, is listed once for the tenant and finds its numbers."""
    text = "param($N, $T) Set-CsPhoneNumberTag -PhoneNumber $N -Tag $T"
    for number, tag in ((FREE, "Engineering"), (FREE, "engineering"), ("+431934609002", "HR")):
        teams(text, number, tag)
    assert [row["TagValue"] for row in rows(teams("Get-CsPhoneNumberTag"))] == ["engineering", "HR"]
    found = rows(teams("Get-CsPhoneNumberAssignment -Filter \"Tags -contains ['Engineering']\""))
    assert [row["TelephoneNumber"] for row in found] == [FREE]
    teams("param($N) Remove-CsPhoneNumberTag -PhoneNumber $N -Tag ENGINEERING", FREE)
    assert teams.tenant.numbers[FREE].tags == ()
    assert teams.errors == []


@pytest.mark.parametrize("count", [50, 51])
def test_fifty_tags_are_enough(teams: ScriptRunner, count: int) -> None:
    """A number takes fifty tags and not one more."""
    text = "param($N, $T) foreach ($one in $T) { Set-CsPhoneNumberTag -PhoneNumber $N -Tag $one }"
    teams(text, FREE, [f"tag {index}" for index in range(count)])
    assert len(teams.tenant.numbers[FREE].tags) == 50
    assert len(teams.errors) == count - 50


def test_a_tag_of_51_letters_is_refused(teams: ScriptRunner) -> None:
    """A tag has at most fifty letters; one that is not there cannot be removed."""
    teams("param($N, $T) Set-CsPhoneNumberTag -PhoneNumber $N -Tag $T", FREE, "x" * 51)
    assert "at most 50" in teams.errors[0].message
    teams("param($N) Remove-CsPhoneNumberTag -PhoneNumber $N -Tag HR", FREE)
    assert "is not assigned" in teams.errors[0].message


def test_a_number_has_policies_of_its_own(teams: ScriptRunner) -> None:
    """A policy granted to a number is shown for it and goes with an empty name."""
    user = licensed(teams, with_number=True)
    number = next(iter(teams.tenant.numbers_of[user.id]))
    text = "param($N, $P) Set-CsPhoneNumberPolicyAssignment -TelephoneNumber $N -PolicyType CallingLineIdentity"
    teams(text + " -PolicyName $P", number, "Anonymous")
    (row,) = rows(teams("Get-CsPhoneNumberPolicyAssignment -PolicyType CallingLineIdentity"))
    assert (row["TelephoneNumber"], row["PolicyName"]) == (number[1:], "Anonymous")
    teams(text, number)
    assert teams("Get-CsPhoneNumberPolicyAssignment") == []
    assert teams.errors == []


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (FREE, "CallingLineIdentity", "is not assigned"),
        ("+4399", "CallingLineIdentity", "is not found from tenant"),
        (FREE, "TeamsCallingPolicy", "is not supported for telephone numbers"),
    ],
)
def test_policies_of_numbers_have_rules(teams: ScriptRunner, number: str, kind: str, message: str) -> None:
    """Only an assigned number takes one, and only of seven types."""
    text = "param($N, $T) Set-CsPhoneNumberPolicyAssignment -TelephoneNumber $N -PolicyType $T -PolicyName Anonymous"
    teams(text, number, kind)
    assert message in teams.errors[0].message


def test_the_tenant_may_block_every_released_number(teams: ScriptRunner) -> None:
    """With the tenant's default a released number is blocked without being told to (M58)."""
    user = licensed(teams, with_number=True)
    number = next(iter(teams.tenant.numbers_of[user.id]))
    teams("New-CsOnlineDirectRoutingTelephoneNumberUploadOrder -TelephoneNumber '" + number + "'")
    teams("Set-CsPhoneNumberTenantConfiguration -AssignmentBlockedDays 30")
    teams("param($I) Remove-CsPhoneNumberAssignment -Identity $I -RemoveAll", user.id)
    (row,) = rows(teams("param($N) Get-CsPhoneNumberAssignment -TelephoneNumber $N", number))
    assert row["AssignmentBlockedState"] == "BlockedUntil"
    teams("Remove-CsPhoneNumberTenantConfiguration")
    (shown,) = rows(teams("Get-CsPhoneNumberTenantConfiguration"))
    assert shown["AssignmentBlockedDays"] == 0


def test_the_two_tenant_blocks_exclude_each_other(teams: ScriptRunner) -> None:
    """A block for ever and one of days cannot both be the default."""
    teams("Set-CsPhoneNumberTenantConfiguration -AssignmentBlockedForever $true")
    teams("Set-CsPhoneNumberTenantConfiguration -AssignmentBlockedDays 3")
    assert "mutually exclusive" in teams.errors[0].message
    assert teams.tenant.phone_configuration.blocked_days == 0


def test_a_tenant_may_let_its_own_local_number_come_over(teams: ScriptRunner) -> None:
    """With AllowOnPremToOnlineMigration the holder's own local number becomes an online one."""
    user = licensed(teams, with_number=False)
    teams.tenant.set_ad_user(str(user.text("onPremisesSamAccountName")), {"msRTCSIP-Line": "tel:+431934605555"})
    number = teams.tenant.numbers_held_by(user.id)[0].telephone_number
    assign = "param($I, $N) Set-CsPhoneNumberAssignment -Identity $I -TelephoneNumber $N -NumberType DirectRouting"
    teams(assign, user.id, number)
    assert "on-premises Active Directory" in teams.errors[0].message
    teams("Set-CsPhoneNumberTenantConfiguration -AllowOnPremToOnlineMigration $true")
    teams(assign, user.id, number)
    assert teams.errors == []
    assert teams.tenant.numbers[number].source == "online"


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ('-Filter "IsOperatorConnect -eq $true" -Top 1000', 60),
        ("-Filter \"TargetType -eq 'ResourceAccount'\"", 2),
        ("-Filter \"AssignmentStatus -eq 'VoiceApplicationAssigned'\"", 2),
        ("-Filter \"SupportedCustomerActions -contains 'Release' -and NumberType -eq 'OperatorConnect'\"", 60),
        ("-Filter \"AcquiredCapabilities -contains 'ConferenceAssignment' -and IsoCountryCode -eq 'GB'\"", 60),
        ("-PstnAssignmentStatus VoiceApplicationAssigned", 2),
        ("-TelephoneNumberGreaterThan +431934609004 -TelephoneNumberLessThan 431934609010", 5),
        ("-TelephoneNumberContain 460900 -NumberType DirectRouting", 10),
        (f"-LocationId {opaque_id('location', 'Seattle')} -Top 3", 3),
    ],
)
def test_every_filter_finds(teams: ScriptRunner, parameters: str, count: int) -> None:
    """Filters over hidden attributes and the single parameters find what they say."""
    found = teams(f"Get-CsPhoneNumberAssignment {parameters}")
    assert teams.errors == []
    assert len(found) == count


@pytest.mark.parametrize("text", ["-Top 1001", "-Top 0", "-Skip -1", "-Filter \"Colour -eq 'red'\""])
def test_pages_and_filters_are_checked(teams: ScriptRunner, text: str) -> None:
    """A page is 1 to 1,000 rows; an attribute that does not exist is refused."""
    assert teams(f"Get-CsPhoneNumberAssignment {text}") == []
    assert len(teams.errors) == 1


# Emergency locations


def new_address(run: ScriptRunner) -> dict[str, Any]:
    """Make a civic address."""
    text = "New-CsOnlineLisCivicAddress -CompanyName Contoso -CountryOrRegion AT -City Graz -StreetName Hauptplatz"
    (row,) = rows(run(text))
    return row


def test_an_address_brings_its_default_location(teams: ScriptRunner) -> None:
    """A new address has one place at once, and more can be made in it."""
    address = new_address(teams)
    text = "param($A) New-CsOnlineLisLocation -CivicAddressId $A -Location 'Floor 2' -Elin 4711"
    (place,) = rows(teams(text, address["CivicAddressId"]))
    found = rows(teams("param($A) Get-CsOnlineLisLocation -CivicAddressId $A", address["CivicAddressId"]))
    assert [row["LocationId"] for row in found] == [address["DefaultLocationId"], place["LocationId"]]
    assert (place["City"], place["Elin"], place["NumberOfVoiceUsers"]) == ("Graz", "4711", -1)


def test_used_places_cannot_be_removed(teams: ScriptRunner) -> None:
    """An address goes only without further places and numbers, a place only without numbers."""
    address, remove = new_address(teams), "param($A) Remove-CsOnlineLisCivicAddress -CivicAddressId $A"
    make = "param($A) New-CsOnlineLisLocation -CivicAddressId $A -Location Lobby"
    (place,) = rows(teams(make, address["CivicAddressId"]))
    teams(remove, address["CivicAddressId"])
    assert "has locations" in teams.errors[0].message
    teams.tenant.update_number(FREE, location_id=place["LocationId"])
    drop = "param($L) Remove-CsOnlineLisLocation -LocationId $L"
    teams(drop, place["LocationId"])
    assert "is assigned to telephone numbers" in teams.errors[0].message
    teams.tenant.update_number(FREE, location_id="")
    teams(drop + "; Remove-CsOnlineLisCivicAddress -CivicAddressId " + address["CivicAddressId"], place["LocationId"])
    assert teams.errors == []
    assert address["CivicAddressId"] not in teams.tenant.addresses


def test_addresses_are_listed_with_counts(teams: ScriptRunner) -> None:
    """The counts are given when asked for; an edit of the address shows at its places."""
    teams.tenant.update_number(FREE, location_id=WIEN)
    (row,) = rows(teams("Get-CsOnlineLisCivicAddress -City Wien -PopulateNumberOfTelephoneNumbers"))
    assert (row["NumberOfTelephoneNumbers"], row["NumberOfVoiceUsers"]) == (1, -1)
    teams("param($A) Set-CsOnlineLisCivicAddress -CivicAddressId $A -CompanyName Fabrikam", WIEN_ADDRESS)
    teams("param($L) Set-CsOnlineLisLocation -LocationId $L -Location Entrance", WIEN)
    (place,) = rows(teams("param($L) Get-CsOnlineLisLocation -LocationId $L", WIEN))
    assert (place["CompanyName"], place["Location"]) == ("Fabrikam", "Entrance")


@pytest.mark.parametrize(
    "text",
    [
        "New-CsOnlineLisCivicAddress -CompanyName A -CountryOrRegion Austria",
        "New-CsOnlineLisLocation -CivicAddressId 0 -Location A",
        f"Remove-CsOnlineLisLocation -LocationId {WIEN}",
        "Set-CsOnlineLisLocation -LocationId 0 -Location A",
    ],
)
def test_wrong_addresses_are_refused(teams: ScriptRunner, text: str) -> None:
    """No country code, an unknown address, a default place: refused without an effect."""
    teams(text)
    assert len(teams.errors) == 1
    assert teams.parts.calls.since(0)[-1]["effects"] == []
