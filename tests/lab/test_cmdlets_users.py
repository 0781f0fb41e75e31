"""The lab's Teams cmdlets: users, policies, commands and modules, and how faults show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.script_runner import ASSIGN, FREE, ScriptRunner, last_call, licensed


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ScriptRunner]:
    """Give a runspace that is connected to Teams."""
    runner = ScriptRunner(tmp_path, users=24)
    yield runner
    runner.parts.calls.close()


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
        "Set-CsPhoneNumberPolicyAssignment",
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


@pytest.mark.parametrize(
    ("version", "more", "effective", "direct"),
    [("7.1.1", "", True, True), ("7.1.0", "", False, True), ("8.0.0", " -SkipUserPolicies", False, False)],
)
def test_policies_show_as_the_module_and_the_call_want(
    run: ScriptRunner, version: str, more: str, *, effective: bool, direct: bool
) -> None:
    """Effective policies come from module 7.1.1 on; -SkipUserPolicies leaves all of them out."""
    run.parts.settings.module_version = version
    user = licensed(run, with_number=True)
    (found,) = run(f"Get-CsOnlineUser -Identity {user.id}{more}")
    assert isinstance(found, dict)
    assert ("EffectivePolicyAssignments" in found) == effective
    assert ("TenantDialPlan" in found) == direct
