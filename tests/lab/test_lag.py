"""Lagging reads: what was changed a moment ago is not seen yet, whatever it is, and a moment later it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.catalogue import E5
from lab.clock import Clock
from tests.fakes.graph_client import GraphClient
from tests.fakes.lab_people import ready, without_licence
from tests.fakes.script_runner import ScriptRunner

# What: the change, and a read that gives a list.
CMDLETS = {
    "policy": (
        "New-CsOnlineVoiceRoutingPolicy -Identity New | Out-Null",
        "Get-CsOnlineVoiceRoutingPolicy -Filter '*New'",
    ),
    "route": (
        "New-CsOnlineVoiceRoute -Identity New -OnlinePstnUsages Vienna-National | Out-Null",
        "Get-CsOnlineVoiceRoute -Filter New",
    ),
    "usages": (
        "Set-CsOnlinePstnUsage -Identity Global -Usage @{Add='New'}",
        "(Get-CsOnlinePstnUsage).Usage | Where-Object { $_ -eq 'New' }",
    ),
    "address": (
        "New-CsOnlineLisCivicAddress -CompanyName C -City Graz -CountryOrRegion AT -Description New | Out-Null",
        "Get-CsOnlineLisCivicAddress -City Graz",
    ),
    "location": (
        "New-CsOnlineLisCivicAddress -CompanyName C -City Graz -CountryOrRegion AT -Description New | Out-Null",
        "Get-CsOnlineLisLocation -City Graz",
    ),
    "grant to a group": (
        "Grant-CsTeamsCallHoldPolicy -Group department-sales@contoso.example -PolicyName Global -Rank 1",
        "Get-CsGroupPolicyAssignment -PolicyType TeamsCallHoldPolicy",
    ),
    "group": ("New-ADGroup -Name New -GroupScope Global", "Get-ADGroup -Filter 'Name -eq \"New\"'"),
}


@pytest.mark.parametrize(("change", "read"), CMDLETS.values(), ids=CMDLETS)
def test_cmdlets_see_a_change_later(teams: ScriptRunner, change: str, read: str) -> None:
    """The read finds nothing before the lag is over, and the new thing afterwards."""
    teams.parts.clock.advance(1000)
    teams.parts.faults.add({"name": "lag", "seconds": 30})
    teams(change)
    assert (teams.errors, teams.failure) == ([], None)
    early = teams(read)
    teams.parts.clock.advance(30)
    late = teams(read)
    assert (early, len(late)) == ([], 1)


def test_what_is_gone_is_seen_for_a_while(teams: ScriptRunner) -> None:
    """A policy that was removed still shows, with what it had."""
    teams("New-CsOnlineVoiceRoutingPolicy -Identity Gone -OnlinePstnUsages Vienna-National | Out-Null")
    teams.parts.clock.advance(1000)
    teams.parts.settings.replication_lag_s = 30
    teams("Remove-CsOnlineVoiceRoutingPolicy -Identity Gone")
    assert teams("(Get-CsOnlineVoiceRoutingPolicy -Identity Gone).OnlinePstnUsages") == ["Vienna-National"]
    teams.parts.clock.advance(30)
    teams("Get-CsOnlineVoiceRoutingPolicy -Identity Gone")
    assert len(teams.errors) == 1


def members(graph: GraphClient, group: str) -> set[str]:
    """Read the direct members of a group."""
    return {row["id"] for row in graph.all(f"/groups/{group}/members")}


def test_graph_sees_members_later(graph: GraphClient, clock: Clock) -> None:
    """A new member is in neither list of the group yet, and gets no policy through it."""
    tenant = graph.lab.tenant
    group = next(row for row in tenant.groups.values() if row.mail and tenant.users)
    user = next(user for user in tenant.users.values() if user.id not in group.members)
    tenant.grant_policy_to_group(group.id, "TeamsCallHoldPolicy", "Global")
    clock.advance(1000)
    graph.lab.settings.replication_lag_s = 30
    body = {"@odata.id": f"{graph.base}/directoryObjects/{user.id}"}
    assert graph.post(f"/groups/{group.id}/members/$ref", body).status_code == 204

    def seen() -> tuple[bool, bool]:
        shown = graph.get(f"/admin/teams/userConfigurations/{user.id}").json()["effectivePolicyAssignments"]
        through = {row["policyAssignment"]["groupId"] for row in shown}
        return user.id in members(graph, group.id), group.id in through

    early = seen()
    clock.advance(30)
    late = seen()
    assert (early, late) == ((False, False), (True, True))


def units(graph: GraphClient) -> int:
    """Read how many units of the product are in use."""
    skus = graph.get("/subscribedSkus").json()["value"]
    return int(next(sku["consumedUnits"] for sku in skus if sku["skuId"] == E5))


def licences(graph: GraphClient, user_id: str) -> list[str]:
    """Read the products of a user."""
    found = graph.get(f"/users/{user_id}", _select="assignedLicenses").json()["assignedLicenses"]
    return [row["skuId"] for row in found]


def test_graph_sees_licences_later(graph: GraphClient, clock: Clock) -> None:
    """Neither the user's products nor the units in use have changed yet."""
    user, before = without_licence(graph.lab.tenant)[0], units(graph)
    clock.advance(1000)
    graph.lab.settings.replication_lag_s = 30
    graph.post(f"/users/{user.id}/assignLicense", {"addLicenses": [{"skuId": E5}], "removeLicenses": []})
    assert (licences(graph, user.id), units(graph)) == ([], before)
    clock.advance(30)
    assert (licences(graph, user.id), units(graph)) == ([E5], before + 1)


READS: dict[str, Callable[[GraphClient, str], Any]] = {
    "deleted": lambda graph, user_id: graph.get(f"/directory/deletedItems/{user_id}").status_code == 200,
    "live": lambda graph, user_id: graph.get(f"/users/{user_id}").status_code == 404,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_graph_sees_deletions_later(graph: GraphClient, clock: Clock, read: Callable[[GraphClient, str], Any]) -> None:
    """Somebody who was deleted is still there, and not among the deleted."""
    (user,) = ready(graph.lab.tenant, 1)
    clock.advance(1000)
    graph.lab.control("POST", "/faults", {"name": "lag", "seconds": 30})
    assert graph.call("DELETE", f"/users/{user.id}").status_code == 204
    early = read(graph, user.id)
    clock.advance(30)
    late = read(graph, user.id)
    assert (early, late) == (False, True)


def test_graph_knows_a_new_policy_later(graph: GraphClient, clock: Clock) -> None:
    """GetPolicyId finds nothing by a name that is too new."""
    clock.advance(1000)
    graph.lab.settings.replication_lag_s = 30
    graph.lab.tenant.store_policy("TenantDialPlan", "New", {})
    path = "/admin/teams/policy/getPolicyId(type='TenantDialPlan',name='New')"
    early = graph.get(path).json()["value"]
    clock.advance(30)
    late = graph.get(path).json()["value"]
    assert (early, [row["name"] for row in late]) == ([], ["New"])
