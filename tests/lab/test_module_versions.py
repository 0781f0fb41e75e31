"""What a version of the Teams module has: parameter sets, parameters, values of a parameter and properties."""

from __future__ import annotations

import pytest

from tests.fakes.script_runner import ASSIGN, FREE, ScriptRunner, licensed

THUMBPRINT = "A1" * 20
APPLICATION = "5c1de2ab-0c4f-4b6c-8b7e-6f6ce1d0f001"
CONNECT = f"Connect-MicrosoftTeams -TenantId contoso.example -ApplicationId {APPLICATION}"
BEFORE_AFTER = [
    (f"Set-CsPhoneNumberAssignment -PhoneNumber '{FREE}' -LocationId 'null'", "5.3.0", "5.3.1-preview"),
    (f"Set-CsPhoneNumberAssignment -PhoneNumber '{FREE}' -NetworkSiteId 'HQ'", "5.5.0", "5.5.1-preview"),
    (f"{CONNECT} -CertificateThumbprint {THUMBPRINT}", "4.7.0", "4.7.1-preview"),
    ("Connect-MicrosoftTeams -Identity", "5.8.0", "5.8.1-preview"),
    ("Get-CsPhoneNumberAssignment -Top 1", "3.0.0", "4.0.0"),
    ("Get-CsPhoneNumberAssignment -AssignmentCategory Alternate", "7.5.0", "7.6.0"),
    ("Get-CsOnlineUser -ResultSize 1 -Properties City", "6.8.0", "6.9.0"),
    ("Set-CsUserCallingSettings nobody -BusyOnBusyOption RingUser", "7.9.0", "8.0.0"),
    ("Grant-CsTeamsCallHoldPolicy -Group nobody@contoso.example -PolicyName Global", "4.5.0", "4.5.1-preview"),
]
BINDING = {
    "NamedParameterNotFound",
    "AmbiguousParameterSet",
    "MissingMandatoryParameter",
    "ParameterArgumentValidationError",
    "CommandNotFoundException",
}


def refusals(run: ScriptRunner, text: str, version: str) -> set[str]:
    """Run a script with a version of the module; gives the ids of the errors that mean: there is no such thing."""
    run.parts.settings.module_version = version
    run(text)
    return {found.partition(",")[0] for found in run.error_ids} & BINDING


@pytest.mark.parametrize(("text", "before", "after"), BEFORE_AFTER, ids=[text[:40] for text, _, _ in BEFORE_AFTER])
def test_a_version_brings_something(teams: ScriptRunner, text: str, before: str, after: str) -> None:
    """The version before refuses to bind, the documented one binds."""
    assert refusals(teams, text, before)
    assert refusals(teams, text, after) == set()


def test_an_alternate_number_from_7_6(teams: ScriptRunner) -> None:
    """The value is none of the set before; a private line always was; afterwards the number is the second one."""
    user = licensed(teams, with_number=True)
    text = f"{ASSIGN} -AssignmentCategory Alternate"
    teams.parts.settings.module_version = "7.5.0"
    teams(text, user.id, FREE)
    assert 'does not belong to the set "Private,Primary"' in teams.errors[0].message
    teams.parts.settings.module_version = "7.6.0"
    teams(text, user.id, FREE)
    assert teams.errors == []
    assert teams.tenant.numbers[FREE].category == "alternate"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("LastName", "4.2.0", "4.2.1"),
        ("TelephoneNumbers", "6.8.0", "6.9.0"),
        ("EffectivePolicyAssignments", "7.1.0", "7.1.1"),
    ],
)
def test_a_property_comes_with_its_version(teams: ScriptRunner, name: str, before: str, after: str) -> None:
    """Get-CsOnlineUser shows a property from the documented version on."""
    found = []
    for version in (before, after):
        teams.parts.settings.module_version = version
        (row,) = teams("Get-CsOnlineUser -ResultSize 1")
        assert isinstance(row, dict)
        found.append(name in row)
    assert found == [False, True]


def test_what_happens_to_calls_while_busy(teams: ScriptRunner) -> None:
    """From module 8.0 the option is set and shown; before, nobody sees it."""
    user = licensed(teams, with_number=True)
    teams.parts.settings.module_version = "8.0.0"
    teams("param($I) Set-CsUserCallingSettings $I -BusyOnBusyOption PlayBusySignal", user.id)
    read = "param($I) (Get-CsUserCallingSettings $I).BusyOnBusyOption"
    assert (teams.errors, teams(read, user.id)) == ([], ["PlayBusySignal"])
    teams.parts.settings.module_version = "7.9.0"
    assert teams(read, user.id) in ([], [None])


def test_the_way_without_a_set_is_the_default(teams: ScriptRunner) -> None:
    """Before there was a set for locations, what is missing is missing for an assignment."""
    teams.parts.settings.module_version = "5.3.0"
    teams("Set-CsPhoneNumberAssignment")
    assert "TelephoneNumber NumberType" in teams.errors[0].message
