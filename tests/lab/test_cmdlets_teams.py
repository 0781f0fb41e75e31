"""The lab's Teams cmdlets: parameters, effects, error styles, faults and the call log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.catalogue import E5
from lab.records import User
from tests.fakes.script_runner import ScriptRunner


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ScriptRunner]:
    """Give a runspace that is connected to Teams."""
    runner = ScriptRunner(tmp_path, users=24)
    yield runner
    runner.parts.calls.close()


def licensed(run: ScriptRunner, *, with_number: bool) -> User:
    """Find a person with a number, or make one who may have one and has none."""
    tenant = run.tenant
    people = [user for user in tenant.users.values() if user.account_type == "user" and user.text("usageLocation")]
    if with_number:
        return next(user for user in people if tenant.numbers_of.get(user.id))
    bare = next(user for user in people if not user.licences and not tenant.voice(user.id).on_prem_line_uri)
    tenant.assign_licence(bare.id, E5)
    return tenant.users[bare.id]


def last_call(run: ScriptRunner) -> dict[str, Any]:
    """Give the newest line of the call log."""
    line: dict[str, Any] = dict(run.parts.calls.since(0)[-1])
    return line


REMOVE = "param($I, $N) Remove-CsPhoneNumberAssignment -Identity $I -TelephoneNumber $N -NumberType DirectRouting"
ASSIGN = "param($I, $N) Set-CsPhoneNumberAssignment -Identity $I -TelephoneNumber $N -NumberType DirectRouting"
FREE = "+431934609001"


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
        ("Grant-CsTenantDialPlan -Group g", "MissingMandatoryParameter"),
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


# Users


@pytest.mark.parametrize(
    "text",
    [
        "FeatureTypes -contains 'PhoneSystem' -and LineUri -ne $null",
        "LineUri -like 'tel:+*'",
        "(EnterpriseVoiceEnabled -eq $true) -and -not (AccountType -eq 'ResourceAccount')",
        "OnlineVoiceRoutingPolicy -like 'VRP-*'",
    ],
)
def test_user_filters(run: ScriptRunner, text: str) -> None:
    """The documented forms of -Filter find users with numbers."""
    found = run("param($F) Get-CsOnlineUser -Filter $F -ResultSize 5", text)
    assert run.errors == []
    assert 0 < len(found) <= 5
    assert all(str(row["LineUri"]).startswith("tel:+") for row in found if isinstance(row, dict))


@pytest.mark.parametrize("text", ["Nonsense -eq 1", "LineUri -match 'x'", "LineUri -eq", "'; drop", "LineUri -eq $x"])
def test_bad_user_filters_are_refused(run: ScriptRunner, text: str) -> None:
    """Unknown properties and operators and broken text are refused."""
    assert run("param($F) Get-CsOnlineUser -Filter $F", text) == []
    assert len(run.errors) == 1


def test_quotes_in_a_filter_value_are_doubled(run: ScriptRunner) -> None:
    """A doubled quote is one quote of the value, and nothing behind it is a filter."""
    user = licensed(run, with_number=True)
    run.tenant.patch_user(user.id, {"displayName": "O'Hara' -or LineUri -like '*"}, forced=True)
    text = "DisplayName -eq 'O''Hara'' -or LineUri -like ''*'"
    found = run("param($F) Get-CsOnlineUser -Filter $F", text)
    assert [row["Identity"] for row in found if isinstance(row, dict)] == [user.id]


def test_users_include_the_ones_to_filter_out(run: ScriptRunner) -> None:
    """Guests, resource accounts and soft-deleted users are listed, with what tells them apart."""
    found = [row for row in run("Get-CsOnlineUser") if isinstance(row, dict)]
    kinds = {row["AccountType"] for row in found}
    assert {"User", "ResourceAccount", "Guest", "IneligibleUser"} <= kinds
    assert sum(row["SoftDeletionTimestamp"] is not None for row in found) == 1
    assert run("Get-CsOnlineUser -ResultSize 0") == []


def test_chosen_properties_and_order(run: ScriptRunner) -> None:
    """-Properties keeps the five that are always there; -Sort orders."""
    found = [row for row in run("Get-CsOnlineUser -Properties LineUri -Sort 'Alias desc'") if isinstance(row, dict)]
    assert set(found[0]) == {"Identity", "UserPrincipalName", "Alias", "AccountEnabled", "DisplayName", "LineUri"}
    aliases = [str(row["Alias"]).lower() for row in found]
    assert aliases == sorted(aliases, reverse=True)


def test_unknown_user_is_not_found(run: ScriptRunner) -> None:
    """An unknown identity is an error record, not an empty answer."""
    assert run("Get-CsOnlineUser -Identity ghost@contoso.example") == []
    assert run.errors[0].category == "ObjectNotFound"


# Policies


def test_grant_and_take_a_policy(run: ScriptRunner) -> None:
    """A grant shows on the user as an object with a name; a null name takes it away."""
    user = licensed(run, with_number=False)
    run("param($I) Grant-CsOnlineVoiceRoutingPolicy -Identity $I -PolicyName 'international'", user.id)
    read = "param($I) (Get-CsOnlineUser $I).OnlineVoiceRoutingPolicy.Name"
    assert run(read, user.id) == ["International"]
    run("param($I) Grant-CsOnlineVoiceRoutingPolicy $I $null", user.id)
    assert run(read, user.id) == []


def test_effective_policies_name_their_source(run: ScriptRunner) -> None:
    """Direct and group grants are told apart; a type that is absent is Global."""
    user = licensed(run, with_number=False)
    group = next(iter(run.tenant.groups_of[user.id]))
    run("param($G) Grant-CsTeamsCallParkPolicy -Group $G -PolicyName Reception -Rank 1", group)
    run("param($I) Grant-CsTenantDialPlan $I DP-Vienna -PassThru", user.id)
    found = [row for row in run("param($I) Get-CsUserPolicyAssignment -Identity $I", user.id) if isinstance(row, dict)]
    sources = {row["PolicyType"]: row["PolicySource"][0]["AssignmentType"] for row in found}
    assert (sources["TenantDialPlan"], sources["TeamsCallParkPolicy"]) == ("Direct", "Group")


def test_unknown_policy_is_refused(run: ScriptRunner) -> None:
    """A policy that does not exist is not granted."""
    run("param($I) Grant-CsTenantDialPlan $I Nowhere", licensed(run, with_number=False).id)
    assert run.error_ids[0].startswith("NotFound")


def test_policies_are_listed_with_their_tag(run: ScriptRunner) -> None:
    """Identities carry the Tag: prefix except Global, and usages and rules are shown."""
    policies = [row for row in run("Get-CsOnlineVoiceRoutingPolicy -Filter 'Tag:VRP-*'") if isinstance(row, dict)]
    assert all(str(row["Identity"]).startswith("Tag:VRP-") and row["OnlinePstnUsages"] for row in policies)
    (plan,) = run("Get-CsTenantDialPlan -Identity DP-Vienna")
    assert isinstance(plan, dict)
    assert plan["NormalizationRules"][0]["Pattern"] == "^(\\d{4})$"


def test_locations_are_found_by_city(run: ScriptRunner) -> None:
    """Emergency locations are filtered by their parameters, whatever the alphabet."""
    (row,) = run("Get-CsOnlineLisLocation -City 東京")
    assert isinstance(row, dict)
    assert row["CountryOrRegion"] == "JP"


# Commands and modules


def test_get_command_tells_what_may_run(run: ScriptRunner) -> None:
    """Get-Command answers for names and wildcards and reports a missing one."""
    assert run("(Get-Command Set-CsPhone*, Get-ADUser).Name") == [
        "Set-CsPhoneNumberAssignment",
        "Set-CsPhoneNumberTag",
        "Get-ADUser",
    ]
    assert run("Get-Command No-SuchThing") == []
    assert run.error_ids[0].startswith("CommandNotFoundException")


def test_modules_have_versions(run: ScriptRunner) -> None:
    """The module list shows the version the settings name."""
    assert run("Get-Module -ListAvailable -Name MicrosoftTeams | Select-Object Name, Version") == [
        {"Name": "MicrosoftTeams", "Version": "7.4.0"}
    ]


# Faults


def test_false_success_changes_nothing(run: ScriptRunner) -> None:
    """A false success says nothing, does nothing, and is logged without effects."""
    user = licensed(run, with_number=False)
    run.parts.faults.add({"name": "false_success", "match": {"operation": "Set-CsPhone*"}})
    assert run(ASSIGN, user.id, FREE) == []
    assert run.errors == []
    assert run.tenant.numbers[FREE].target_id is None
    assert last_call(run)["effects"] == []


def test_dropped_reply_comes_after_the_effect(run: ScriptRunner) -> None:
    """The effect is done and logged, then the connection is lost."""
    user = licensed(run, with_number=False)
    run.parts.faults.add({"name": "drop_reply", "match": {"operation": "Set-CsPhone*", "target": user.upn}})
    run(ASSIGN, user.id, FREE)
    assert (run.cuts, run.tenant.numbers[FREE].target_id) == (1, user.id)


def test_throttle_warns_and_waits(run: ScriptRunner) -> None:
    """Throttling is a warning with the delay, and the delay."""
    run.parts.faults.add({"name": "throttle", "retry_after_s": 2.5, "times": 1})
    run("Get-CsTenant; Get-CsTenant")
    assert run.messages == [("warning", "Micro delay applied. Actual delayed: 2500 msecs")]
    assert run.slept == [2.5]


@pytest.mark.parametrize(
    ("fault", "error_id", "words"),
    [
        ({"name": "unavailable"}, "BadRequest", "Service is unavailable. Please try again"),
        ({"name": "error", "status": 403, "code": "Forbidden", "message": "not you"}, "Forbidden", "not you"),
    ],
)
def test_refusing_faults(run: ScriptRunner, fault: dict[str, Any], error_id: str, words: str) -> None:
    """A refusing fault for one user becomes the error of exactly that user's call."""
    user, other = licensed(run, with_number=False), licensed(run, with_number=True)
    run.parts.faults.add({**fault, "match": {"target": user.upn}})
    run("param($A, $B) Get-CsOnlineUser $A; Get-CsOnlineUser $B | Out-Null", user.id, other.id)
    assert [(found.message, found.error_id) for found in run.errors] == [(words, error_id)]


def test_latency_is_waited(run: ScriptRunner) -> None:
    """Latency and the general delay add up."""
    run.parts.settings.operation_delay_s = 0.5
    run.parts.faults.add({"name": "latency", "seconds": 1.5})
    run("Get-CsTenant")
    assert run.slept == [2.0]


def test_lag_shows_the_past(run: ScriptRunner) -> None:
    """A lagging read shows the state before the write."""
    user = licensed(run, with_number=False)
    run.parts.clock.advance(60)
    run(ASSIGN, user.id, FREE)
    run.parts.faults.add({"name": "lag", "seconds": 30, "times": 1, "match": {"operation": "Get-*"}})
    read = "param($I) Get-CsOnlineUser $I | Select-Object -ExpandProperty LineUri"
    assert run(read, user.id) == []
    assert run(read, user.id) == [f"tel:{FREE}"]
