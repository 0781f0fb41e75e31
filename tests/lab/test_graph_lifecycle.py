"""Graph beyond the everyday: deleted accounts to their end, expired tokens, sorting, wrapping, resource accounts."""

from __future__ import annotations

from typing import Any

import pytest

from lab import operations
from lab.clock import Clock
from lab.tenant import Tenant
from tests.fakes.graph_client import GraphClient
from tests.fakes.lab_people import FREE_NUMBER, ready, with_number, without_licence
from tests.fakes.script_runner import ScriptRunner

CONFIGURATIONS = "/admin/teams/userConfigurations"
DELETED = "/directory/deletedItems"
DAY_S = 86400.0


def test_a_deleted_account_is_found_restored_or_purged(graph: GraphClient) -> None:
    """It is read by its id, has a date, and is gone after a purge: its number belongs to a ghost then."""
    first, second = with_number(graph.lab.tenant)[:2]
    for user in (first, second):
        graph.call("DELETE", f"/users/{user.id}")
    found = graph.get(f"{DELETED}/{first.id}", _select="id,deletedDateTime").json()
    assert found["deletedDateTime"].startswith("2026-09-01")
    assert graph.post(f"{DELETED}/{first.id}/restore", {}).status_code == 200
    assert graph.call("DELETE", f"{DELETED}/{second.id}").status_code == 204
    assert graph.get(f"{DELETED}/{second.id}").status_code == 404
    assert graph.call("DELETE", f"{DELETED}/{second.id}").status_code == 404
    summary: Any = graph.lab.control("GET", "/state/summary")
    assert len(summary["ghosts"]) == 1


def test_a_deleted_account_is_kept_thirty_days(graph: GraphClient, clock: Clock) -> None:
    """A second before it can be restored, at the moment it is gone, its numbers are free, the delta says so."""
    user = with_number(graph.lab.tenant)[0]
    number = graph.lab.tenant.numbers_held_by(user.id)[0].telephone_number
    graph.call("DELETE", f"/users/{user.id}")
    link = list(graph.pages("/users/delta", _deltatoken="latest"))[-1]["@odata.deltaLink"]
    graph.lab.settings.delta_token_days = 60
    clock.advance(30 * DAY_S - 1)
    assert graph.get(f"{DELETED}/{user.id}").status_code == 200
    clock.advance(1)
    graph.lab.tenant.settle()
    assert graph.post(f"{DELETED}/{user.id}/restore", {}).status_code == 404
    assert graph.number(number) is None
    removed = [row for page in graph.pages(link) for row in page["value"]]
    assert {"id": user.id, "@removed": {"reason": "deleted"}} in removed


@pytest.mark.parametrize("status", [410, 400])
def test_an_expired_token_answers_in_either_form(graph: GraphClient, clock: Clock, status: int) -> None:
    """Gone or bad request, the code is syncStateNotFound."""
    graph.lab.settings.delta_expired_status = status
    link = list(graph.pages("/users/delta", _deltatoken="latest"))[-1]["@odata.deltaLink"]
    clock.advance(8 * DAY_S)
    answer = graph.get(link)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "syncStateNotFound")


def test_a_delta_page_is_as_small_as_preferred(graph: GraphClient) -> None:
    """`Prefer: odata.maxpagesize` makes pages smaller, never larger than usual."""
    small = graph.get("/users/delta", headers={"Prefer": "odata.maxpagesize=7"}).json()
    assert len(small["value"]) == 7
    rest = graph.get(small["@odata.nextLink"], headers={"Prefer": "odata.maxpagesize=100000"}).json()
    assert len(small["value"]) + len(rest["value"]) == len(graph.lab.tenant.users)


def test_voice_users_are_sorted_and_expanded(graph: GraphClient) -> None:
    """$orderby sorts, $expand brings the directory user with selected properties; nonsense is refused."""
    rows = graph.all(CONFIGURATIONS, _orderby="userPrincipalName desc", _select="userPrincipalName")
    names = [row["userPrincipalName"].casefold() for row in rows]
    assert names == sorted(names, reverse=True)
    user = with_number(graph.lab.tenant)[0]
    found = graph.get(f"{CONFIGURATIONS}/{user.id}", _expand="user($select=displayName)").json()
    assert found["user"] == {"displayName": user.text("displayName")}
    assert graph.get(CONFIGURATIONS, _orderby="tenantId").status_code == 400
    assert graph.get(CONFIGURATIONS, _expand="manager").status_code == 400


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_operation_may_be_wrapped(graph: GraphClient, *, wrapped: bool) -> None:
    """The example of the documentation wraps the operation in `value`, the resource type does not."""
    graph.lab.settings.wrapped_operations = wrapped
    (user,) = ready(graph.lab.tenant, 1)
    answer = graph.get(graph.assign(FREE_NUMBER, user.id).headers["Location"]).json()
    assert (answer["value"] if wrapped else answer)["status"] == "succeeded"


def test_a_batch_throttles_one_part(graph: GraphClient) -> None:
    """A part is refused with 429 and its header inside of a batch that answers 200."""
    user, other = without_licence(graph.lab.tenant)[:2]
    fault: dict[str, Any] = {"name": "throttle", "match": {"target": user.id}, "retry_after_s": 3}
    graph.lab.control("POST", "/faults", fault)
    requests = [{"id": str(n), "method": "GET", "url": f"/users/{one.id}"} for n, one in enumerate((user, other))]
    answer = graph.post("/$batch", {"requests": requests})
    parts = {part["id"]: part for part in answer.json()["responses"]}
    assert (answer.status_code, parts["0"]["status"], parts["1"]["status"]) == (200, 429, 200)
    assert parts["0"]["headers"]["Retry-After"] == "3"


# Resource accounts


def test_resource_accounts_need_a_person(teams: ScriptRunner) -> None:
    """An application may not read or make them."""
    teams("Get-CsOnlineApplicationInstance")
    assert "application-based" in teams.errors[0].message
    assert teams.parts.calls.since(0) == []


def test_resource_accounts_are_made_changed_and_paged(teams: ScriptRunner) -> None:
    """A person makes an account for a queue; it has no number until licensed."""
    assert teams.host.connection is not None
    teams.host.connection.app_only = False
    queue = "11cd3e2e-fccb-42ad-ad00-878b93575e07"
    text = "New-CsOnlineApplicationInstance -UserPrincipalName q@contoso.example -DisplayName Q -ApplicationId "
    (made,) = teams(text + queue)
    assert isinstance(made, dict)
    assert (made["ApplicationId"], made["PhoneNumber"]) == (queue, None)
    for wrong in (text + queue, text.replace("q@", "r@") + "nonsense", "Get-CsOnlineApplicationInstance nobody"):
        teams(wrong)
        assert len(teams.errors) == 1
    teams("Set-CsOnlineApplicationInstance q@contoso.example -DisplayName Queue")
    assert teams("(Get-CsOnlineApplicationInstance q@contoso.example).DisplayName") == ["Queue"]
    assert len(teams("Get-CsOnlineApplicationInstance -Skip 1 -ResultSize 1")) == 1
    assert teams("(Get-CsOnlineUser q@contoso.example).AccountType") == ["ResourceAccount"]


def test_old_operations_are_forgotten(tenant: Tenant) -> None:
    """A long rehearsal does not fill the memory: the oldest operations that are done go."""
    made = [operations.begin(tenant, f"+431{index:04d}", lambda: None, remembered=10) for index in range(12)]
    assert made[0].id not in tenant.operations
    assert made[-1].id in tenant.operations
    assert len(tenant.operations) <= 11
