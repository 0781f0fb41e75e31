"""The lab's Teams cmdlets: parameters, connecting, numbers and the call log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.script_runner import ASSIGN, FREE, REMOVE, ScriptRunner, last_call, licensed


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ScriptRunner]:
    """Give a runspace that is connected to Teams."""
    runner = ScriptRunner(tmp_path, users=24)
    yield runner
    runner.parts.calls.close()


# Binding


@pytest.mark.parametrize(
    ("text", "error_id"),
    [
        ("Get-CsOnlineUser -Nonsense 1", "NamedParameterNotFound"),
        ("Get-CsOnlineUser a b", "PositionalParameterNotFound"),
        ("Get-CsOnlineUser -ResultSize many", "CannotConvertArgumentNoMessage"),
        ("Get-CsOnlineUser -AccountType Robot", "ParameterArgumentValidationError"),
        ("Get-CsOnlineUser -Identity", "MissingArgument"),
        ("Get-CsOnlineUser -Identity a -Identity b", "ParameterAlreadyBound"),
        ("Get-CsOnlineUser -S 1", "AmbiguousParameter"),
        ("Set-CsPhoneNumberAssignment -Identity a", "AmbiguousParameterSet"),
        (
            "Set-CsPhoneNumberAssignment -Identity a -EnterpriseVoiceEnabled 1 -TelephoneNumber b",
            "AmbiguousParameterSet",
        ),
        ("Set-CsPhoneNumberAssignment -Identity a -EnterpriseVoiceEnabled 'True'", "CannotConvertArgumentNoMessage"),
        ("Remove-CsPhoneNumberAssignment -Identity a -TelephoneNumber b", "MissingMandatoryParameter"),
        ("Grant-CsTenantDialPlan -Rank 1", "MissingMandatoryParameter"),
    ],
)
def test_wrong_parameters_are_binding_errors(run: ScriptRunner, text: str, error_id: str) -> None:
    """Wrong, missing and exclusive parameters are refused before anything is called."""
    assert run(text) == []
    assert [found.partition(",")[0] for found in run.error_ids] == [error_id]
    assert run.errors[0].exception.endswith("ParameterBindingException")
    assert run.parts.calls.since(0) == []


@pytest.mark.parametrize(
    "text",
    ["get-csonlineuser -identity {0}", "Get-CsOnlineUser {0}", "Get-CsOnlineUser -Id {0}", "'{0}' | Get-CsOnlineUser"],
)
def test_names_ignore_case_and_may_be_short(run: ScriptRunner, text: str) -> None:
    """Names in any case, abbreviations, positions and pipeline input all bind."""
    user = licensed(run, with_number=True)
    found = run(text.format(user.upn))
    assert [row["Identity"] for row in found if isinstance(row, dict)] == [user.id]


def test_aliases_bind(run: ScriptRunner) -> None:
    """PhoneNumber and PhoneNumberType are other names of the same parameters."""
    user = licensed(run, with_number=False)
    run(
        "param($I, $N) Set-CsPhoneNumberAssignment -Identity $I -PhoneNumber $N -PhoneNumberType directrouting",
        user.upn,
        FREE,
    )
    assert run.errors == []
    assert run.tenant.numbers[FREE].target_id == user.id


def test_old_module_lacks_new_parameters(run: ScriptRunner) -> None:
    """A parameter and a cmdlet exist from the module version that brought them."""
    run(f"{REMOVE} -AssignmentBlockedDays 3", "nobody", FREE)
    assert run.error_ids[0].startswith("NamedParameterNotFound")
    run("Set-CsPhoneNumberAssignmentBlock -TelephoneNumber '+1' -AssignmentBlockedDays 3")
    assert run.error_ids == ["CommandNotFoundException"]
    run.parts.settings.module_version = "7.5.0"
    run("param($N) Set-CsPhoneNumberAssignmentBlock -TelephoneNumber $N -AssignmentBlockedDays 3", FREE)
    assert run.errors == []
    found = run("param($N) Get-CsPhoneNumberAssignment -TelephoneNumber $N", FREE)
    assert [row["AssignmentBlockedState"] for row in found if isinstance(row, dict)] == ["BlockedUntil"]


# Connecting


def test_teams_needs_a_connection(tmp_path: Path) -> None:
    """Without Connect-MicrosoftTeams a Teams cmdlet ends with the documented words."""
    run = ScriptRunner(tmp_path, users=1, connected=False)
    run("Get-CsTenant; 'on'")
    assert "Connect-MicrosoftTeams" in run.errors[0].message
    run.parts.calls.close()


def tokens(run: ScriptRunner, graph: str, teams: str, **claims: str) -> list[object]:
    """Sign two tokens for two audiences."""
    sign = run.parts.tokens.sign
    return [sign({"aud": aud, "appid": "app", **claims}, lifetime_s=3600) for aud in (graph, teams)]


GRAPH, TEAMS = "https://graph.microsoft.com", "48ac35b8-9aa8-4d74-927d-1f4a14a0b239"


def test_two_tokens_connect_and_are_not_logged(run: ScriptRunner) -> None:
    """The right pair of tokens connects; the log shows that it happened, not with what."""
    run.host.connection = None
    found = run("param($T) Connect-MicrosoftTeams -AccessTokens $T", tokens(run, GRAPH, TEAMS))
    assert isinstance(found[0], dict)
    assert found[0]["TenantId"] == run.tenant.tenant_id
    assert last_call(run)["parameters"] == {"AccessTokens": "***"}
    run("Disconnect-MicrosoftTeams; Get-CsTenant")
    assert len(run.errors) == 1


@pytest.mark.parametrize(("graph", "teams"), [(TEAMS, GRAPH), (GRAPH, GRAPH), (TEAMS, TEAMS)])
def test_wrong_audiences_do_not_connect(run: ScriptRunner, graph: str, teams: str) -> None:
    """Tokens for the wrong audiences, or in the wrong order, are refused."""
    run.host.connection = None
    run("param($T) Connect-MicrosoftTeams -AccessTokens $T", tokens(run, graph, teams))
    assert run.errors[0].category == "AuthenticationError"
    assert run.host.connection is None


def test_expired_tokens_are_noticed_later(run: ScriptRunner) -> None:
    """Tokens that were handed in are not renewed: a later call fails."""
    assert run.host.connection is not None
    run.host.connection.expires = 1.0
    run("Get-CsTenant")
    assert "expired" in run.errors[0].message


@pytest.mark.parametrize(
    ("text", "connects"),
    [
        ("-TenantId contoso.example -ApplicationId {app} -CertificateThumbprint " + "A1" * 20, True),
        ("-TenantId contoso.example -ApplicationId {app} -CertificateThumbprint short", False),
        ("-TenantId contoso.example -ApplicationId nonsense -CertificateThumbprint " + "A1" * 20, False),
        ("-TenantId other.example -ApplicationId {app} -CertificateThumbprint " + "A1" * 20, False),
        ("", False),
    ],
)
def test_certificate_forms_are_checked_by_shape(run: ScriptRunner, text: str, *, connects: bool) -> None:
    """An application with a certificate connects when tenant, id and thumbprint look right."""
    run.host.connection = None
    run("Connect-MicrosoftTeams " + text.format(app="5c1de2ab-0c4f-4b6c-8b7e-6f6ce1d0f001"))
    assert (run.host.connection is not None) == connects


# Numbers


def test_assignment_gives_number_and_enterprise_voice(run: ScriptRunner) -> None:
    """Setting a number says nothing, switches Enterprise Voice on and is one logged write with its effects."""
    user = licensed(run, with_number=False)
    assert run(ASSIGN, user.upn, FREE) == []
    shown = run("param($I) Get-CsOnlineUser -Identity $I | Select-Object LineUri, EnterpriseVoiceEnabled", user.id)
    assert shown == [{"LineUri": f"tel:{FREE}", "EnterpriseVoiceEnabled": True}]
    line = run.parts.calls.since(0)[0]
    assert (line["protocol"], line["operation"], line["write"]) == ("powershell", "Set-CsPhoneNumberAssignment", True)
    assert line["effects"] == [
        {"object": f"number:{FREE}", "attribute": "assignmentTargetId", "before": None, "after": user.id},
        {"object": f"user:{user.id}", "attribute": "isEnterpriseVoiceEnabled", "before": False, "after": True},
    ]


def test_pipeline_objects_bind_by_property(run: ScriptRunner) -> None:
    """Set-CsPhoneNumberAssignment takes rows from a pipeline, one call each."""
    user = licensed(run, with_number=False)
    text = "param($I, $N) [pscustomobject]@{ Identity = $I; TelephoneNumber = $N; NumberType = 'DirectRouting' }"
    run(text + " | Set-CsPhoneNumberAssignment", user.id, FREE)
    assert run.errors == []
    assert run.tenant.numbers[FREE].target_id == user.id


def test_refusal_is_a_record_with_its_code(run: ScriptRunner) -> None:
    """A number that is taken is refused with the documented message, the code as error id, and changes nothing."""
    holder, other = licensed(run, with_number=True), licensed(run, with_number=False)
    number = next(iter(run.tenant.numbers_of[holder.id]))
    run(ASSIGN, other.id, number)
    assert run.errors[0].message == f"Telephone Number '{number}' has already been assigned to another user"
    assert run.error_ids[0].startswith("BadRequest,Microsoft.Teams.ConfigAPI.Cmdlets")
    assert last_call(run)["error"] == run.errors[0].message
    assert last_call(run)["effects"] == []


def test_old_module_returns_code_and_message(run: ScriptRunner) -> None:
    """Before 4.2.1 the same refusal is an object on the output, and no error."""
    run.parts.settings.module_version = "4.1.0"
    found = run(ASSIGN, "nobody@contoso.example", FREE)
    assert isinstance(found[0], dict)
    assert found[0]["Code"] == "NotFound"
    assert run.errors == []


def test_error_action_stop_makes_a_refusal_catchable(run: ScriptRunner) -> None:
    """With -ErrorAction Stop the refusal ends in the catch block, with its record."""
    found = run(
        "param($I, $N) try { " + ASSIGN.partition(") ")[2] + " -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }",
        "x",
        FREE,
    )
    assert str(found[0]).startswith("NotFound,")


def test_removal_frees_the_number(run: ScriptRunner) -> None:
    """Removing all numbers takes Enterprise Voice too."""
    user = licensed(run, with_number=True)
    run("param($I) Remove-CsPhoneNumberAssignment -Identity $I -RemoveAll", user.id)
    assert not run.tenant.numbers_of[user.id]
    assert run.tenant.voice(user.id).enterprise_voice is False


def test_attribute_and_location_sets(run: ScriptRunner) -> None:
    """The other parameter sets change Enterprise Voice and the location; the text null clears."""
    user, place = licensed(run, with_number=True), next(iter(run.tenant.locations))
    number = next(iter(run.tenant.numbers_of[user.id]))
    run("param($I) Set-CsPhoneNumberAssignment -Identity $I -EnterpriseVoiceEnabled $false", user.id)
    assert run.tenant.voice(user.id).enterprise_voice is False
    run("param($N, $L) Set-CsPhoneNumberAssignment -TelephoneNumber $N -LocationId $L", number, place)
    assert run.tenant.numbers[number].location_id == place
    run("param($N) Set-CsPhoneNumberAssignment -TelephoneNumber $N -LocationId null", number)
    assert run.tenant.numbers[number].location_id is None
    assert run.errors == []


def test_what_if_does_nothing(run: ScriptRunner) -> None:
    """-WhatIf tells and neither changes nor logs."""
    user = licensed(run, with_number=False)
    run(ASSIGN + " -WhatIf", user.id, FREE)
    assert run.tenant.numbers[FREE].target_id is None
    assert run.parts.calls.since(0) == []


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ("-TelephoneNumber +431934609001", 1),
        ("-TelephoneNumber 431934609001", 1),
        ("-TelephoneNumberStartsWith +43193460900 -PstnAssignmentStatus Unassigned", 10),
        ("-Filter \"TelephoneNumber -like '+43193460900*' -and NumberType -eq 'DirectRouting'\"", 10),
        ("-TelephoneNumberStartsWith +43193460900 -Top 4 -Skip 8", 2),
        ("-NumberType CallingPlan -CapabilitiesContain 'UserAssignment' -Top 5", 5),
    ],
)
def test_inventory_is_filtered(run: ScriptRunner, parameters: str, count: int) -> None:
    """The inventory is found by number, prefix, status, filter and page."""
    found = run(f"Get-CsPhoneNumberAssignment {parameters}")
    assert run.errors == []
    assert len(found) == count
    numbers = [str(row["TelephoneNumber"]) for row in found if isinstance(row, dict)]
    assert numbers == sorted(numbers)


def test_inventory_by_holder(run: ScriptRunner) -> None:
    """A holder is found by UPN, and the row says who and how."""
    user = licensed(run, with_number=True)
    (row,) = run("param($I) Get-CsPhoneNumberAssignment -AssignedPstnTargetId $I", user.upn)
    assert isinstance(row, dict)
    assert (row["AssignedPstnTargetId"], row["PstnAssignmentStatus"]) == (user.id, "UserAssigned")
    assert row["AssignmentCategory"] == "Primary"
