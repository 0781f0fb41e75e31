"""Dial plans and rules, unassigned numbers, shared calling, caller ids, calling settings and delegates."""

from __future__ import annotations

from typing import Any

import pytest

from lab.catalogue import CALLING_PLAN_FIRST
from tests.fakes.script_runner import ScriptRunner, licensed

RULE = r"New-CsVoiceNormalizationRule -Parent P -Name {0} -Pattern '{1}' -Translation '{2}' -InMemory"
PLAN = "New-CsTenantDialPlan -Identity P -NormalizationRules "


def one(run: ScriptRunner, text: str, *arguments: object) -> dict[str, Any]:
    """Run a script with one object as its output."""
    (found,) = run(text, *arguments)
    assert isinstance(found, dict)
    assert run.errors == []
    return found


def rule(name: str, pattern: str, translation: str) -> str:
    """Give the text that makes a rule in memory."""
    return "(" + RULE.format(name, pattern, translation) + ")"


def names(run: ScriptRunner) -> list[object]:
    """Give the names of the plan's rules, in order."""
    return run("(Get-CsTenantDialPlan P).NormalizationRules.Name")


def test_a_plan_keeps_the_order_of_its_rules(teams: ScriptRunner) -> None:
    """Rules are made in memory, handed over in order, added and removed by name (M13)."""
    first, second = rule("a", r"^(\d{4})$", "+4312$1"), rule("b", r"^0(\d+)$", "+43$1")
    teams(PLAN + f"@({second}, {first})")
    assert names(teams) == ["b", "a"]
    teams(f"$r = {rule('c', '^9$', '112')}; Set-CsTenantDialPlan -Identity P -NormalizationRules @{{Add=$r}}")
    teams("$p = Get-CsTenantDialPlan P; $gone = $p.NormalizationRules | Where-Object Name -eq 'b'")
    teams("$p = Get-CsTenantDialPlan P; Set-CsTenantDialPlan P -NormalizationRules @{Remove=$p.NormalizationRules[0]}")
    assert names(teams) == ["a", "c"]
    assert teams.errors == []


def test_a_new_plan_has_one_rule(teams: ScriptRunner) -> None:
    """A plan made without rules gets the default one, and its name as simple name."""
    made = one(teams, "New-CsTenantDialPlan -Identity P -Description 'for tests'")
    assert (made["Identity"], made["SimpleName"], made["Description"]) == ("Tag:P", "P", "for tests")
    assert len(made["NormalizationRules"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "New-CsVoiceNormalizationRule -Parent P -Name a",
        "New-CsVoiceNormalizationRule -Parent P -Name a -InMemory -Pattern '('",
        "New-CsVoiceNormalizationRule -Parent P -InMemory",
        "New-CsTenantDialPlan -Identity 'with space'",
        "New-CsTenantDialPlan -Identity " + "a" * 50,
        "New-CsTenantDialPlan -Identity P -SimpleName Vienna",
        "New-CsTenantDialPlan -Identity P -Description " + "a" * 1041,
        "New-CsTenantDialPlan -Identity P -NormalizationRules @{Add=@{Name='a'}}",
        "New-CsTenantDialPlan -Identity P -NormalizationRules ([pscustomobject]@{Name='a'; Pattern='1'})",
    ],
)
def test_wrong_plans_and_rules_are_refused(teams: ScriptRunner, text: str) -> None:
    """A rule outside of memory, a broken one, wrong and taken names, things that are no rules."""
    teams(text)
    assert len(teams.errors) == 1
    assert teams.tenant.find_policy("TenantDialPlan", "P") is None


@pytest.mark.parametrize(("count", "accepted"), [(25, True), (26, False)])
def test_a_plan_holds_25_rules(teams: ScriptRunner, count: int, *, accepted: bool) -> None:
    """The limit is a setting; at its default 25 rules are taken and 26 are not."""
    text = "param($N) $rules = foreach ($n in $N) { New-CsVoiceNormalizationRule -Parent P -Name $n -InMemory }; "
    teams(text + PLAN + "$rules", [f"r{index}" for index in range(count)])
    assert (teams.tenant.find_policy("TenantDialPlan", "P") is not None) == accepted


def test_the_first_match_wins(teams: ScriptRunner) -> None:
    """A test of the effective plan says which rule matched; the country's plan comes after the tenant's."""
    teams(PLAN + f"@({rule('a', '^1(.*)$', '+431$1')}, {rule('b', '^12(.*)$', '+439$1')})")
    user = licensed(teams, with_number=True)
    teams.tenant.patch_user(user.id, {"usageLocation": "AT"}, forced=True)
    teams("param($I) Grant-CsTenantDialPlan $I -PolicyName P", user.id)
    test = "param($I, $N) Test-CsEffectiveTenantDialPlan -Identity $I -DialedNumber $N"
    assert one(teams, test, user.id, "123")["TranslatedNumber"] == "+43123"
    assert one(teams, test, user.id, "0664123")["TranslatedNumber"] == "+43664123"
    assert one(teams, test + " -TenantScopeOnly", user.id, "0664123")["TranslatedNumber"] is None
    plan = one(teams, "param($I) Get-CsEffectiveTenantDialPlan $I", user.id)
    assert plan["EffectiveTenantDialPlanName"] == f"{teams.tenant.tenant_id}_AT_P"
    named = "param($P) Test-CsEffectiveTenantDialPlan -EffectiveTenantDialPlanName $P -DialedNumber 123"
    assert one(teams, named, plan["EffectiveTenantDialPlanName"])["MatchingRule"]["Name"] == "a"


def test_one_rule_is_tried_alone(teams: ScriptRunner) -> None:
    """Test-CsVoiceNormalizationRule takes a rule of the same runspace; named groups of .NET work."""
    make = r"New-CsVoiceNormalizationRule -Parent P -Name a -Pattern '^(?<n>\d{3})$' -Translation '+1${n}' -InMemory"
    text = f"$r = {make}; "
    assert one(teams, text + "Test-CsVoiceNormalizationRule -DialedNumber 123 -NormalizationRule $r") == {
        "TranslatedNumber": "+1123"
    }


# Unassigned numbers, shared calling, caller ids


def test_treatments_follow_their_priority(teams: ScriptRunner) -> None:
    """The lowest priority wins, a priority is there once, the pattern is anchored, the target exists."""
    text = "New-CsTeamsUnassignedNumberTreatment -Identity {0} -Pattern '{1}' -TargetType {2} -Target {3} "
    text += "-TreatmentPriority {4}"
    teams(text.format("Wide", r"^\+431\d*$", "Announcement", "sound", 5))
    teams(text.format("Narrow", r"^\+43193460\d*$", "ResourceAccount", "ra-reception1@contoso.example", 2))
    assert one(teams, "Test-CsTeamsUnassignedNumberTreatment -PhoneNumber +431934601")["Identity"] == "Narrow"
    for wrong in (
        ("C", "^1$", "User", "nobody", 9),
        ("C", "1", "Announcement", "a", 9),
        ("C", "^1$", "Announcement", "a", 2),
    ):
        teams(text.format(*wrong))
        assert len(teams.errors) == 1


def test_shared_calling_checks_account_and_emergency_numbers(teams: ScriptRunner) -> None:
    """The account has a number with a location; emergency numbers are free, alike and used by one policy only."""
    free, held = f"+{CALLING_PLAN_FIRST + 20}", f"+{CALLING_PLAN_FIRST + 1}"
    text = "New-CsTeamsSharedCallingRoutingPolicy -Identity {0} -ResourceAccount {1} -EmergencyNumbers {2}"
    account = "ra-reception1@contoso.example"
    made = one(teams, text.format("Seattle", account, free))
    assert made["EmergencyNumbers"] == [free]
    held_by_policy = teams("(Get-CsPhoneNumberAssignment -PstnAssignmentStatus PolicyAssigned).TelephoneNumber")
    assert held_by_policy == [free]
    assert teams.tenant.numbers[free].target_id in teams.tenant.policies_by_id
    user = licensed(teams, with_number=True)
    for name, holder, number in (
        ("A", user.upn, free),
        ("B", account, held),
        ("C", account, free),
        ("D", account, "+4399"),
    ):
        teams(text.format(name, holder, number))
        assert len(teams.errors) == 1


def test_emergency_numbers_come_back_with_the_policy(teams: ScriptRunner) -> None:
    """A number leaves the policy's hands when it is named no more, and when the policy goes."""
    first, second = f"+{CALLING_PLAN_FIRST + 20}", f"+{CALLING_PLAN_FIRST + 21}"
    new = "param($N) New-CsTeamsSharedCallingRoutingPolicy -Identity S -ResourceAccount ra-reception1@contoso.example"
    teams(new + " -EmergencyNumbers $N | Out-Null", [first])
    teams("param($N) Set-CsTeamsSharedCallingRoutingPolicy -Identity S -EmergencyNumbers $N", [second])
    assert [teams.tenant.numbers[key].target_type for key in (first, second)] == ["user", "policy"]
    assert teams.tenant.numbers[first].target_id is None
    teams("Remove-CsTeamsSharedCallingRoutingPolicy -Identity S")
    assert teams.tenant.numbers[second].target_id is None
    assert teams.errors == []


def test_a_caller_id_of_a_resource_needs_one(teams: ScriptRunner) -> None:
    """Resource wants a resource account, the others none."""
    text = "New-CsCallingLineIdentity -Identity A -CallingIDSubstitute "
    for wrong in ("Resource", "LineUri -ResourceAccount ra-reception1@contoso.example"):
        teams(text + wrong)
        assert len(teams.errors) == 1
    made = one(teams, text + "Resource -ResourceAccount ra-reception1@contoso.example -CompanyName Contoso")
    assert (made["BlockIncomingPstnCallerID"], made["CompanyName"]) == (False, "Contoso")


# Calling settings


def test_forwarding_is_set_as_a_group(teams: ScriptRunner) -> None:
    """A part of a group is refused; the whole is kept; switching off needs the switch only."""
    user = licensed(teams, with_number=True)
    change, ask = f"Set-CsUserCallingSettings {user.id} ", f"Get-CsUserCallingSettings {user.id}"
    assert one(teams, ask)["UnansweredDelay"] == "00:00:20"
    teams(change + "-IsForwardingEnabled $true -ForwardingType Immediate")
    assert "ForwardingTargetType" in teams.errors[0].message
    whole = "-IsForwardingEnabled $true -ForwardingType Simultaneous -ForwardingTargetType SingleTarget "
    teams(change + whole + "-ForwardingTarget sip:a@contoso.example")
    found = one(teams, ask)
    assert (found["IsForwardingEnabled"], found["ForwardingTarget"]) == (True, "sip:a@contoso.example")
    teams(change + "-IsForwardingEnabled $false")
    assert one(teams, ask)["IsForwardingEnabled"] is False


@pytest.mark.parametrize(
    "text",
    [
        "-IsUnansweredEnabled $true -UnansweredTargetType Voicemail -UnansweredDelay 61",
        "-IsUnansweredEnabled $true -UnansweredTargetType Voicemail -UnansweredDelay 12",
        "-IsUnansweredEnabled $true -UnansweredTargetType SingleTarget -UnansweredDelay 10",
        "-IsForwardingEnabled $true -ForwardingType Immediate -ForwardingTargetType Group",
        "-IsForwardingEnabled $true -ForwardingType Immediate -ForwardingTargetType MyDelegates",
        "-CallGroupOrder InOrder -CallGroupTargets 1,2,3,4,5,6",
        "-CallGroupOrder InOrder",
    ],
)
def test_wrong_calling_settings_are_refused(teams: ScriptRunner, text: str) -> None:
    """Delays, missing targets, empty and too large groups."""
    user = licensed(teams, with_number=True)
    teams(f"Set-CsUserCallingSettings {user.id} {text}")
    assert len(teams.errors) == 1
    assert teams.tenant.calling == {}


def test_delegates_are_seen_from_both_sides(teams: ScriptRunner) -> None:
    """New adds, Set changes, Remove takes; the other one sees whose delegate it is."""
    boss, helper = licensed(teams, with_number=True), licensed(teams, with_number=False)
    tail = f"-Identity {boss.id} -Delegate {helper.id}"
    teams(f"Set-CsUserCallingDelegate {tail} -MakeCalls $false")
    assert "is not a delegate" in teams.errors[0].message
    teams(f"New-CsUserCallingDelegate {tail}; Set-CsUserCallingDelegate {tail} -MakeCalls $false")
    (seen,) = one(teams, f"Get-CsUserCallingSettings {boss.id}")["Delegates"]
    assert (seen["Id"], seen["MakeCalls"], seen["ManageSettings"]) == (f"sip:{helper.upn}", False, True)
    assert one(teams, f"Get-CsUserCallingSettings {helper.id}")["Delegators"] == [f"sip:{boss.upn}"]
    teams(f"Remove-CsUserCallingDelegate {tail}; Remove-CsUserCallingDelegate {tail}")
    assert len(teams.errors) == 1
