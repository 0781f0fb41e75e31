"""Policies for many: batches, groups with ranks, the tenant's default, effective policies, upgrade warnings."""

from __future__ import annotations

from typing import Any

import pytest

from lab.records import Group, User
from tests.fakes.script_runner import ScriptRunner, licensed

BATCH = "param($U, $P) New-CsBatchPolicyAssignmentOperation -PolicyType TeamsCallingPolicy -PolicyName $P -Identity $U"
STATUS = "param($O) Get-CsBatchPolicyAssignmentOperation -OperationId $O"
GRANT = "param($G, $P, $R) Grant-CsTeamsCallHoldPolicy -Group $G -PolicyName $P -Rank $R"
HOLD = "Corporate-Music"


def people(run: ScriptRunner, count: int) -> list[User]:
    """Give some people."""
    return [user for user in run.tenant.users.values() if user.account_type == "user"][:count]


def batch(run: ScriptRunner, operation: Any) -> dict[str, Any]:
    """Ask how far a batch is."""
    (found,) = run(STATUS, operation)
    assert isinstance(found, dict)
    return found


def group(run: ScriptRunner, name: str, *members: str) -> str:
    """Make a group."""
    run.tenant.put_group(Group(name, name, members))
    return name


def test_a_batch_grants_to_everybody_it_finds(teams: ScriptRunner) -> None:
    """Ids and SIP addresses are found, a stranger is `User not found`, doubles count once, the whole is Completed."""
    one, two = people(teams, 2)
    (operation,) = teams(BATCH, [one.id, f"sip:{two.upn}", one.id, "nobody"], "Frontline")
    found = batch(teams, operation)
    assert (found["OverallStatus"], found["CompletedCount"], found["ErrorCount"]) == ("Completed", 3, 1)
    assert [row["Result"] for row in found["UserState"]] == ["Success", "Success", "User not found"]
    assert teams.tenant.voice(two.id).policies["TeamsCallingPolicy"] == "Frontline"
    lines = [dict(call) for call in teams.parts.calls.since(0) if call["write"]]
    assert [str(line["operation"]) for line in lines] == ["New-CsBatchPolicyAssignmentOperation"]
    teams(BATCH, [one.id, two.id], None)
    assert "TeamsCallingPolicy" not in teams.tenant.voice(one.id).policies


def test_a_upn_that_is_no_sip_address_is_not_found(teams: ScriptRunner) -> None:
    """After a change of the UPN only the SIP address and the object id name the user."""
    (user,) = people(teams, 1)
    teams.tenant.patch_user(user.id, {"userPrincipalName": "new.name@contoso.example"}, forced=True)
    (operation,) = teams(BATCH, ["new.name@contoso.example", user.upn], "Frontline")
    assert [row["Result"] for row in batch(teams, operation)["UserState"]] == ["User not found", "Success"]


def test_a_batch_takes_its_time(teams: ScriptRunner) -> None:
    """NotStarted, InProgress, Completed; the effect comes at the end."""
    teams.parts.settings.batch_delay_s = 100
    (user,) = people(teams, 1)
    (operation,) = teams(BATCH, [user.id], "Frontline")
    states = []
    for _ in range(3):
        states.append(batch(teams, operation)["OverallStatus"])
        granted = teams.tenant.voice(user.id).policies.get("TeamsCallingPolicy") == "Frontline"
        assert granted == (states[-1] == "Completed")
        teams.parts.clock.advance(50)
    assert states == ["NotStarted", "InProgress", "Completed"]


def test_batches_are_forgotten_after_thirty_days(teams: ScriptRunner) -> None:
    """On the thirtieth day a batch is still there, a second later it is not."""
    (operation,) = teams(BATCH, [people(teams, 1)[0].id], "Frontline")
    teams.parts.clock.advance(30 * 86400 - 1)
    assert len(teams("Get-CsBatchPolicyAssignmentOperation -Status Completed")) == 1
    teams.parts.clock.advance(1)
    assert teams("Get-CsBatchPolicyAssignmentOperation") == []
    teams(STATUS, operation)
    assert "is not found" in teams.errors[0].message


def test_five_thousand_users_are_enough(teams: ScriptRunner) -> None:
    """5,000 are taken, 5,001 are refused."""
    teams.parts.settings.batch_delay_s = 1
    assert len(teams(BATCH, [f"user {index}" for index in range(5000)], "Frontline")) == 1
    assert teams(BATCH, [f"user {index}" for index in range(5001)], "Frontline") == []
    assert "5000" in teams.errors[0].message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("-PolicyType OnlineVoicemailPolicy -PolicyName Transcription-Off", "is not supported for batch"),
        ("-PolicyType TeamsCallingPolicy -PolicyName Nonsense", "is not found"),
    ],
)
def test_wrong_batches_are_refused(teams: ScriptRunner, parameters: str, message: str) -> None:
    """Some types cannot be batched; the policy must exist."""
    teams(f"New-CsBatchPolicyAssignmentOperation -Identity a {parameters}")
    assert message in teams.errors[0].message


def test_only_a_few_batches_run_at_once(teams: ScriptRunner) -> None:
    """The sixth has to wait until one is over."""
    teams.parts.settings.batch_delay_s = 10
    for _ in range(6):
        answer = teams(BATCH, ["a"], "Frontline")
    assert answer == []
    assert "Too many" in teams.errors[0].message
    teams.parts.clock.advance(10)
    teams.tenant.settle()
    assert len(teams(BATCH, ["a"], "Frontline")) == 1


# Groups


@pytest.mark.parametrize("spelling", ["{id}", "{ID}", "{mail}", "sip:{mail}"])
def test_a_group_is_named_by_id_mail_or_sip(teams: ScriptRunner, spelling: str) -> None:
    """Granting, reading and taking away find the same group; without a rank the grant comes last."""
    made = next(item for item in teams.tenant.groups.values() if item.mail)
    name = spelling.format(id=made.id, ID=made.id.upper(), mail=made.mail.upper())
    teams("param($G) Grant-CsTeamsCallHoldPolicy -Group $G -PolicyName Global", name)
    assert teams.errors == []
    (found,) = teams("param($G) Get-CsGroupPolicyAssignment -GroupId $G -PolicyType TeamsCallHoldPolicy", name)
    assert isinstance(found, dict)
    assert (found["GroupId"], found["Rank"]) == (made.id, 1)
    teams("param($G) Remove-CsGroupPolicyAssignment -GroupId $G -PolicyType TeamsCallHoldPolicy", name)
    assert not [grant for grant in teams.tenant.group_policies if grant.policy_type == "TeamsCallHoldPolicy"]


def test_a_stranger_is_no_group(teams: ScriptRunner) -> None:
    """An address that no group has is refused by that name."""
    teams("Grant-CsTeamsCallHoldPolicy -Group nobody@contoso.example -PolicyName Global -Rank 1")
    assert teams.errors[0].message == "Group 'nobody@contoso.example' is not found"


def test_ranks_are_positions(teams: ScriptRunner) -> None:
    """A new grant pushes the others down; without a rank it comes last; Remove closes the gap."""
    first, second, third = (group(teams, name) for name in ("g1", "g2", "g3"))
    teams(GRANT, first, HOLD, 1)
    teams(GRANT, second, HOLD, 1)
    teams(f"New-CsGroupPolicyAssignment -GroupId {third} -PolicyType TeamsCallHoldPolicy -PolicyName {HOLD}")
    ranks = "(Get-CsGroupPolicyAssignment -PolicyType TeamsCallHoldPolicy).GroupId"
    assert teams(ranks) == [second, first, third]
    teams(f"Set-CsGroupPolicyAssignment -GroupId {third} -PolicyType TeamsCallHoldPolicy -Rank 1")
    teams(f"Remove-CsGroupPolicyAssignment -GroupId {second} -PolicyType TeamsCallHoldPolicy")
    assert teams(ranks) == [third, first]
    assert [g.rank for g in teams.tenant.group_policies if g.policy_type == "TeamsCallHoldPolicy"] == [1, 2]
    assert teams.errors == []


def test_sixty_four_groups_are_enough(teams: ScriptRunner) -> None:
    """A policy type goes to at most 64 groups; the same group again is no new one."""
    for index in range(65):
        teams(GRANT, group(teams, f"g{index}"), HOLD, 1)
    assert "maximum of 64 groups" in teams.errors[0].message
    teams(GRANT, "g0", HOLD, 5)
    assert teams.errors == []


def test_every_grant_that_reaches_a_user_is_shown(teams: ScriptRunner) -> None:
    """Direct before group, groups by rank, nested groups not at all; the first one works."""
    (user,) = people(teams, 1)
    inner, other = group(teams, "inner", user.id), group(teams, "other", user.id)
    outer = group(teams, "outer", inner)
    for name in (outer, other, inner):
        teams(GRANT, name, HOLD, 1)
    teams("param($I, $P) Grant-CsTeamsCallHoldPolicy -Identity $I -PolicyName $P", user.id, HOLD)
    (row,) = teams("param($I) Get-CsUserPolicyAssignment -Identity $I -PolicyType TeamsCallHoldPolicy", user.id)
    assert isinstance(row, dict)
    sources = [(source["AssignmentType"], source["Reference"]) for source in row["PolicySource"]]
    assert sources == [("Direct", None), ("Group", "inner"), ("Group", "other")]


def test_a_group_policy_works_after_its_delay(teams: ScriptRunner) -> None:
    """Propagation takes time; a direct grant works at once."""
    (user,) = people(teams, 1)
    teams.parts.settings.group_policy_delay_s = 3600
    teams(GRANT, group(teams, "g", user.id), HOLD, 1)
    ask = "param($I) (Get-CsUserPolicyAssignment -Identity $I -PolicyType TeamsCallHoldPolicy).PolicyName"
    assert teams(ask, user.id) in ([], [None])
    teams.parts.clock.advance(3600)
    assert teams(ask, user.id) == [HOLD]
    shown = teams("param($I) (Get-CsOnlineUser $I).EffectivePolicyAssignments.PolicyAssignment.groupId", user.id)
    assert "g" in shown


@pytest.mark.parametrize("kind", ["TeamsUpgradePolicy", "TeamsEmergencyCallRoutingPolicy"])
def test_some_types_do_not_go_to_groups(teams: ScriptRunner, kind: str) -> None:
    """Five types are granted directly only."""
    text = "param($T, $G) New-CsGroupPolicyAssignment -GroupId $G -PolicyType $T -PolicyName Global"
    teams(text, kind, group(teams, "g"))
    assert "can not be assigned to a group" in teams.errors[0].message


# Upgrade


def test_upgrading_warns_whatever_one_says(teams: ScriptRunner) -> None:
    """-WarningAction does not silence TeamsUpgradePolicy, and the mode follows the instance."""
    (user,) = people(teams, 1)
    text = (
        "param($I) Grant-CsTeamsUpgradePolicy -Identity $I -PolicyName UpgradeToTeams -WarningAction SilentlyContinue"
    )
    teams(text, user.id)
    assert [stream for stream, _ in teams.messages] == ["warning", "warning"]
    assert teams("param($I) (Get-CsOnlineUser $I).TeamsUpgradeEffectiveMode", user.id) == ["TeamsOnly"]


def test_the_tenant_default_is_refused_while_people_are_on_premises(teams: ScriptRunner) -> None:
    """UpgradeToTeams for all waits until nobody is homed on premises; then it is everybody's mode."""
    user = licensed(teams, with_number=False)
    teams.tenant.change_voice(teams.tenant.voice(user.id), homed_on_premises=True)
    text = "Grant-CsTeamsUpgradePolicy -Global -PolicyName UpgradeToTeams"
    teams(text)
    assert "on-premises deployment" in teams.errors[0].message
    teams.tenant.change_voice(teams.tenant.voice(user.id), homed_on_premises=False)
    teams(text)
    assert teams("param($I) (Get-CsOnlineUser $I).TeamsUpgradeEffectiveMode", user.id) == ["TeamsOnly"]
