"""The directory part of the lab's Graph end, through a plain HTTPS client."""

from __future__ import annotations

from typing import Any

import pytest

from lab.catalogue import E5
from lab.records import opaque_id
from lab.server import Lab
from tests.fakes.graph_client import EVENTUAL, TEAMS_SCOPE, GraphClient
from tests.fakes.lab_people import without_licence

CAST = "microsoft.graph.user"


def code(response: Any) -> tuple[int, str]:
    """Give status and error code of an answer."""
    return response.status_code, response.json()["error"]["code"]


def test_a_call_without_a_token_is_refused(graph: GraphClient) -> None:
    """No token, garbage and a token for another service are all 401."""
    teams = graph.new_token(TEAMS_SCOPE)
    for token in ("x", "garbage.of.parts", teams):
        graph.token = token
        assert code(graph.get("/users")) == (401, "InvalidAuthenticationToken")


def test_an_expired_token_is_refused(graph: GraphClient) -> None:
    """A token that is over is 401, although the client cannot know."""
    graph.lab.settings.token_lifetime_s = -1
    graph.token = graph.new_token()
    assert code(graph.get("/users")) == (401, "InvalidAuthenticationToken")


def test_a_missing_role_is_forbidden(graph: GraphClient) -> None:
    """Without the application role the call is 403 in Graph's words."""
    graph.lab.control("PATCH", "/settings", {"roles": ["User.Read.All"]})
    user = graph.get("/users", _top=1).json()["value"][0]
    assert code(graph.call("PATCH", f"/users/{user['id']}", json={"usageLocation": "AT"})) == (
        403,
        "Authorization_RequestDenied",
    )


def test_errors_have_the_documented_body(graph: GraphClient) -> None:
    """An error carries code, message, date and both request ids."""
    answer = graph.get("/users/nobody@contoso.example", headers={"client-request-id": "mine"})
    error = answer.json()["error"]
    assert code(answer) == (404, "Request_ResourceNotFound")
    assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
    assert error["innerError"]["client-request-id"] == "mine"


def test_unknown_addresses_are_not_found(graph: GraphClient) -> None:
    """What Graph does not offer is 404, under both versions."""
    assert graph.get("/admin/teams/dialPlans").status_code == 404
    assert graph.call("GET", graph.base.replace("v1.0", "beta") + "/organization").status_code == 200


def test_pages_cover_everybody_once(graph: GraphClient) -> None:
    """Following opaque links gives every user exactly once."""
    pages = list(graph.pages("/users", _top=7, _select="id"))
    ids = [user["id"] for page in pages for user in page["value"]]
    assert len(pages) == 7
    assert sorted(ids) == sorted(graph.lab.tenant.users)


def test_only_selected_properties_come(graph: GraphClient) -> None:
    """Without $select the employee id is missing, as on the real service."""
    default = graph.get("/users", _top=1).json()["value"][0]
    chosen = graph.get("/users", _top=1, _select="employeeId,assignedLicenses").json()["value"][0]
    assert "employeeId" not in default
    assert set(chosen) == {"id", "employeeId", "assignedLicenses"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("employeeId eq '00000003'", 1),
        ("employeeId in ('00000003', '00000004','nobody')", 2),
        ("employeeId eq '00000003' or employeeId eq '00000004'", 2),
        ("startswith(employeeId,'0000000')", 9),
        ("startsWith(employeeId,'0000000') and (employeeId eq '00000003' or employeeId eq '00000010')", 1),
        ("userPrincipalName eq 'RA-RECEPTION1@contoso.example'", 1),
        ("displayName eq 'O''Nobody'", 0),
        ("userType eq 'Guest' and accountEnabled eq true", 1),
        ("usageLocation eq null and userType eq 'Member'", None),
        (f"assignedLicenses/any(l:l/skuId eq {E5})", None),
        ("proxyAddresses/any(p:startswith(p,'smtp:a'))", None),
        ("createdDateTime ge 2020-01-01T00:00:00Z", None),
    ],
)
def test_filters_select(graph: GraphClient, text: str, expected: int | None) -> None:
    """Each form of the grammar selects the right people; None: some, not all."""
    found = graph.all("/users", _filter=text, _select="id")
    if expected is None:
        assert 0 < len(found) < len(graph.lab.tenant.users)
    else:
        assert len(found) == expected


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"_filter": "nonsense eq 1"}, 501),
        ({"_filter": "employeeId eq"}, 400),
        ({"_filter": "employeeId eq 'x' garbage"}, 400),
        ({"_filter": "employeeId like 'x'"}, 400),
        ({"_filter": "((employeeId eq 'x')"}, 400),
        ({"_filter": "employeeId eq 'unfinished"}, 400),
        ({"_filter": "employeeId in (" + ",".join(["'1'"] * 16) + ")"}, 400),
        ({"_filter": "department ne 'Sales'"}, 400),
        ({"_filter": "not(department eq 'Sales')"}, 400),
        ({"_filter": "endswith(mail,'example')"}, 400),
        ({"_skip": "5"}, 400),
        ({"_top": "1000"}, 400),
        ({"_top": "0"}, 400),
        ({"_select": "homePhone"}, 400),
        ({"_skiptoken": "garbage"}, 400),
        ({"_orderby": "department"}, 400),
    ],
    ids=str,
)
def test_unsupported_queries_are_refused(graph: GraphClient, query: dict[str, Any], status: int) -> None:
    """What the real service refuses is refused, with a Graph error."""
    answer = graph.get("/users", **query)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "text", ["department ne 'Sales'", "not(department eq 'Sales')", "not startswith(department,'Sal')"]
)
def test_advanced_queries_need_their_header(graph: GraphClient, text: str) -> None:
    """With ConsistencyLevel and $count the advanced operators work, and the count is given."""
    answer = graph.get("/users", headers=EVENTUAL, _filter=text, _count="true", _top=999).json()
    assert answer["@odata.count"] == len(answer["value"]) > 0


def test_order_is_by_name(graph: GraphClient) -> None:
    """Users can be sorted by display name, over pages."""
    names = [user["displayName"].casefold() for user in graph.all("/users", _orderby="displayName", _top=9)]
    assert names == sorted(names)
    assert len(names) == len(graph.lab.tenant.users)


def test_one_user_by_every_key_form(graph: GraphClient) -> None:
    """Id, UPN and the parenthesised OData key mean the same user."""
    user = without_licence(graph.lab.tenant)[0]
    for path in (f"/users/{user.id}", f"/users/{user.upn}", f"/users('{user.id}')"):
        assert graph.get(path).json()["id"] == user.id


def test_a_usage_location_is_set(graph: GraphClient) -> None:
    """PATCH answers 204 and the log line has the effect."""
    user = without_licence(graph.lab.tenant)[0]
    assert graph.call("PATCH", f"/users/{user.id}", json={"usageLocation": "SE"}).status_code == 204
    line = graph.lab.calls.since()[-1]
    effect = {
        "object": f"user:{user.id}",
        "attribute": "usageLocation",
        "before": user.text("usageLocation"),
        "after": "SE",
    }
    assert (line["operation"], line["write"], line["status"], line["effects"]) == ("users.update", True, 204, [effect])


def test_licences_are_given_and_taken(graph: GraphClient) -> None:
    """Licence assignment wants both lists, answers the user, and consumes a unit."""
    user = without_licence(graph.lab.tenant)[0]
    before = _consumed(graph)
    body = {"addLicenses": [{"skuId": E5, "disabledPlans": []}], "removeLicenses": []}
    assert graph.post(f"/users/{user.id}/assignLicense", body).json()["id"] == user.id
    assert _consumed(graph) == before + 1
    assert code(graph.post(f"/users/{user.id}/assignLicense", {"addLicenses": []})) == (400, "BadRequest")
    graph.post(f"/users/{user.id}/assignLicense", {"addLicenses": [], "removeLicenses": [E5]})
    assert _consumed(graph) == before


@pytest.mark.parametrize("kind", ["members", "transitiveMembers"])
def test_the_user_cast_needs_its_header(graph: GraphClient, kind: str) -> None:
    """The cast to users works only as an advanced query, and leaves groups out."""
    path = f"/groups/{opaque_id('group', 'Ring A')}/{kind}/{CAST}"
    assert graph.get(path).status_code == 400
    users = graph.get(path, headers=EVENTUAL, _count="true", _top=999).json()["value"]
    assert {user["@odata.type"] for user in users} <= {f"#{CAST}"}
    assert bool(users) == (kind == "transitiveMembers")


def test_nested_groups_are_flattened(graph: GraphClient) -> None:
    """Transitive members are all people once; direct ones the departments (M103)."""
    (group,) = graph.all("/groups", _filter="displayName eq 'All Employees'")
    direct = graph.all(f"/groups/{group['id']}/members")
    people = [
        m["id"]
        for m in graph.all(f"/groups/{group['id']}/transitiveMembers", _top=10)
        if m["@odata.type"] == f"#{CAST}"
    ]
    assert {member["@odata.type"] for member in direct} == {"#microsoft.graph.group"}
    assert sorted(people) == sorted(u.id for u in graph.lab.tenant.users.values() if u.account_type == "user")


def test_members_join_and_leave(graph: GraphClient) -> None:
    """A member is added by reference once, and removed."""
    user, group = without_licence(graph.lab.tenant)[0], opaque_id("group", "Ring A")
    reference = {"@odata.id": f"{graph.base}/directoryObjects/{user.id}"}
    assert graph.post(f"/groups/{group}/members/$ref", reference).status_code == 204
    assert graph.post(f"/groups/{group}/members/$ref", reference).status_code == 400
    assert graph.call("DELETE", f"/groups/{group}/members/{user.id}/$ref").status_code == 204
    assert graph.call("DELETE", f"/groups/{group}/members/{user.id}/$ref").status_code == 404


def test_a_deleted_user_can_be_restored(graph: GraphClient) -> None:
    """DELETE moves the account to the deleted items, from where it comes back."""
    user = without_licence(graph.lab.tenant)[0]
    assert graph.call("DELETE", f"/users/{user.id}").status_code == 204
    assert user.id in {item["id"] for item in graph.all("/directory/deletedItems/microsoft.graph.user")}
    assert graph.post(f"/directory/deletedItems/{user.id}/restore", {}).json()["id"] == user.id
    assert graph.post(f"/users/{user.id}/revokeSignInSessions", {}).json()["value"] is True


def test_the_organisation_names_itself(graph: GraphClient, lab: Lab) -> None:
    """The organisation's id is the tenant id."""
    assert graph.get("/organization").json()["value"][0]["id"] == lab.endpoints["tenant_id"]


def _consumed(graph: GraphClient) -> int:
    return next(int(sku["consumedUnits"]) for sku in graph.all("/subscribedSkus") if sku["skuId"] == E5)
