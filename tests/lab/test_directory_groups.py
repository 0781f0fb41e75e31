"""The ActiveDirectory module beyond users' attributes: groups, members, accounts made, switched, moved, removed."""

from __future__ import annotations

from typing import Any

import pytest

from lab.posh_values import SecureString
from lab.records import Group
from tests.fakes.script_runner import ScriptRunner, last_call

MEMBERS = "param($G) (Get-ADGroupMember -Identity $G -Recursive).SamAccountName"


def one(run: ScriptRunner, text: str, *arguments: object) -> dict[str, Any]:
    """Run a script with one object as its output."""
    (found,) = run(text, *arguments)
    assert isinstance(found, dict)
    assert run.errors == []
    return found


def logons(run: ScriptRunner, count: int) -> list[str]:
    """Give some logon names of people."""
    return [str(user.text("onPremisesSamAccountName")) for user in list(run.tenant.users.values())[:count]]


def test_members_are_added_listed_and_removed(teams: ScriptRunner) -> None:
    """A new group takes people once; a repetition matters only when asked; Remove takes them (M52)."""
    first, second = logons(teams, 2)
    one(teams, "New-ADGroup -Name Voice -GroupScope Global -PassThru")
    add = "param($M) Add-ADGroupMember -Identity Voice -Members $M"
    teams(add, [first, second])
    assert last_call(teams)["effects"][0]["attribute"] == "members"
    teams(add, [first])
    assert teams.errors == []
    teams(add + " -DisablePermissiveModify", [first])
    assert "already exists" in teams.errors[0].message
    assert teams(MEMBERS, "Voice") == [first, second]
    teams("param($M) Remove-ADGroupMember -Identity Voice -Members $M -Confirm:$false", [first])
    assert teams("param($I) (Get-ADPrincipalGroupMembership $I).Name", second)[-1] == "Voice"
    assert teams(MEMBERS, "Voice") == [second]


def test_recursion_gives_people_only_and_ends(teams: ScriptRunner) -> None:
    """Nested groups are expanded to people, once, also in a circle (M103)."""
    found = teams(MEMBERS, "Ring A")
    assert len(found) == len(set(map(str, found))) > 0
    direct = teams("(Get-ADGroupMember 'Ring A').ObjectClass")
    assert set(direct) == {"group"}


def test_too_many_members_are_refused(teams: ScriptRunner) -> None:
    """The web service lists 5,000 members of a group and no more."""
    for count in (5000, 5001):
        teams.tenant.put_group(Group("big", "Big", tuple(f"id{index}" for index in range(count))))
        teams("Get-ADGroupMember Big")
    assert "size limit" in teams.errors[0].message


def test_an_account_is_made_switched_moved_and_removed(teams: ScriptRunner) -> None:
    """New, Enable, Disable, Move, Set, Remove; without an answer to the question nothing is removed (M82)."""
    new = "param($P) New-ADUser -Name 'New Hire' -SamAccountName hire -AccountPassword $P -Enabled $true -PassThru "
    made = one(teams, new + "-Department Sales -OtherAttributes @{ipPhone='4711'}", SecureString("secret word"))
    assert (made["Enabled"], made["UserPrincipalName"]) == (True, "hire@contoso.example")
    assert teams.tenant.ad_users["hire"].attributes == {"department": "Sales", "ipPhone": "4711"}
    assert "secret word" not in str(teams.parts.calls.since(0))
    teams(new, SecureString("x"))
    assert "ADIdentityAlreadyExistsException" in teams.error_ids[0]
    teams("Disable-ADAccount hire; Move-ADObject hire -TargetPath 'OU=Left,DC=contoso,DC=example'")
    teams("Set-ADObject -Identity hire -Replace @{description='gone'}")
    found = one(teams, "Get-ADUser 'CN=New Hire,OU=Left,DC=contoso,DC=example' -Properties description")
    assert (found["Enabled"], found["description"]) == (False, "gone")
    teams("Remove-ADUser hire")
    assert "does not support prompts" in teams.errors[0].message
    teams("Enable-ADAccount hire; Unlock-ADAccount hire; Remove-ADUser hire -Confirm:$false; Get-ADUser hire")
    assert len(teams.errors) == 1
    assert "ADIdentityNotFoundException" in teams.error_ids[0]


def test_a_removed_account_is_soft_deleted_in_the_cloud(teams: ScriptRunner) -> None:
    """The cloud follows after the synchronisation, and keeps the number."""
    sam = logons(teams, 1)[0]
    user_id = teams.tenant.by_sam[sam.casefold()]
    teams.parts.settings.directory_sync_delay_s = 1800
    teams("param($I) Remove-ADUser $I -Confirm:$false", sam)
    assert user_id in teams.tenant.users
    teams.parts.clock.advance(1800)
    teams.tenant.settle()
    assert user_id in teams.tenant.deleted


@pytest.mark.parametrize(
    "text",
    [
        "Get-ADGroup Nope",
        "Get-ADGroup -Filter \"Colour -eq 'red'\"",
        "Add-ADGroupMember 'Ring A' -Members nobody",
        "Remove-ADGroupMember 'All Employees' -Members 'Ring A' -Confirm:$false",
        "New-ADGroup 'Ring A' -GroupScope Global",
        "Disable-ADAccount nobody",
        "Set-ADAccountPassword nobody -Reset -NewPassword x",
    ],
)
def test_wrong_calls_are_refused(teams: ScriptRunner, text: str) -> None:
    """Unknown groups and people, names twice, filters over nothing."""
    teams(text)
    assert len(teams.errors) == 1


def test_groups_are_found_by_name(teams: ScriptRunner) -> None:
    """Filter and identity find groups."""
    assert len(teams("Get-ADGroup -Filter \"Name -like 'Ring*'\"")) == 2
    assert one(teams, "Get-ADGroup 'Ring A'")["GroupCategory"] == "Security"
    assert len(teams("Get-ADGroup -Filter *")) == len(teams.tenant.groups)
