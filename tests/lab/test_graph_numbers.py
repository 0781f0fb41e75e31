"""Numbers, voice users and policies on the lab's Graph end."""

from __future__ import annotations

from typing import Any

import pytest

from lab.catalogue import OPERATOR_CONNECT_FIRST
from lab.clock import Clock
from lab.records import opaque_id
from tests.fakes.graph_client import ASSIGNMENTS, GraphClient
from tests.fakes.lab_people import FREE_NUMBER, ready, with_number, without_licence

POLICY = "/admin/teams/policy"
CONFIGURATIONS = "/admin/teams/userConfigurations"


def operation(graph: GraphClient, response: Any) -> dict[str, Any]:
    """Read the operation an accepted call points to."""
    assert response.status_code == 202, response.text
    found: dict[str, Any] = graph.get(response.headers["Location"]).raise_for_status().json()
    return found


def test_an_assignment_takes_its_time(graph: GraphClient, clock: Clock) -> None:
    """An operation goes from notStarted over running to succeeded, the number pending."""
    (user,) = ready(graph.lab.tenant, 1)
    free = next(n for n in graph.lab.tenant.numbers.values() if n.target_id is None).telephone_number
    graph.lab.settings.assignment_delay_s = 10
    kind = graph.lab.tenant.numbers[free].number_type
    accepted = graph.assign(free, user.id, kind)
    assert operation(graph, accepted)["status"] == "notStarted"
    assert graph.number(free)["activationState"] == "assignmentPending"  # type: ignore[index]  # it is there
    clock.advance(5)
    assert operation(graph, accepted)["status"] == "running"
    assert graph.lab.calls.since()[-1]["operation"] != "numberAssignments.assign"
    clock.advance(5)
    done = operation(graph, accepted)
    assert (done["status"], done["numbers"][0]["status"]) == ("succeeded", "succeeded")
    assert graph.number(free)["assignmentTargetId"] == user.id  # type: ignore[index]  # it is there


def test_the_log_line_comes_with_the_effect(graph: GraphClient) -> None:
    """An assignment is logged when it is done, with owner and Enterprise Voice as effects."""
    (user,) = ready(graph.lab.tenant, 1)
    graph.assign(FREE_NUMBER, user.id)
    line = graph.lab.calls.since()[-1]
    assert (line["operation"], line["status"], line["target"]) == ("numberAssignments.assign", 202, FREE_NUMBER)
    assert [e["attribute"] for e in line["effects"]] == ["assignmentTargetId", "isEnterpriseVoiceEnabled"]  # type: ignore[union-attr,index,call-overload]  # JSON


def test_a_refused_assignment_fails_in_its_operation(graph: GraphClient) -> None:
    """A number in use is accepted with 202 and fails with the documented text."""
    (user,), holder = ready(graph.lab.tenant, 1), with_number(graph.lab.tenant)[0]
    number = graph.lab.tenant.numbers_held_by(holder.id)[0].telephone_number
    failed = operation(graph, graph.assign(number, user.id))
    assert failed["status"] == "failed"
    assert "has already been assigned to another user" in failed["numbers"][0]["statusDetail"]
    assert graph.lab.calls.since()[-2]["error"] == failed["numbers"][0]["statusDetail"]


def test_two_assignments_of_one_number_have_one_winner(graph: GraphClient, clock: Clock) -> None:
    """Both are accepted; the first wins when they are carried out."""
    first, second = ready(graph.lab.tenant, 2)
    graph.lab.settings.assignment_delay_s = 10
    accepted = [graph.assign(FREE_NUMBER, user.id) for user in (first, second)]
    clock.advance(10)
    assert [operation(graph, answer)["status"] for answer in accepted] == ["succeeded", "failed"]
    assert graph.lab.tenant.numbers[FREE_NUMBER].target_id == first.id


@pytest.mark.parametrize(
    "change",
    [{"telephoneNumber": "12 34"}, {"numberType": "fax"}, {"assignmentTargetId": ""}, {"assignmentCategory": "third"}],
    ids=str,
)
def test_malformed_assignments_are_refused_at_once(graph: GraphClient, change: dict[str, str]) -> None:
    """What is no number, type, target or category is 400 and begins nothing."""
    body = {"telephoneNumber": FREE_NUMBER, "numberType": "directRouting", "assignmentTargetId": "x", **change}
    assert graph.post(f"{ASSIGNMENTS}/assignNumber", body).status_code == 400
    assert graph.lab.tenant.operations == {}


def test_a_number_is_released(graph: GraphClient) -> None:
    """A release is accepted and switches Enterprise Voice off."""
    holder = with_number(graph.lab.tenant)[0]
    (number,) = graph.lab.tenant.numbers_held_by(holder.id)
    body = {"telephoneNumber": number.telephone_number, "numberType": number.number_type}
    assert operation(graph, graph.post(f"{ASSIGNMENTS}/unassignNumber", body))["status"] == "succeeded"
    assert graph.get(f"{CONFIGURATIONS}/{holder.id}").json()["isEnterpriseVoiceEnabled"] is False


def test_an_attribute_is_updated_at_once(graph: GraphClient) -> None:
    """An update answers 200 and the location is there."""
    number, place = f"+{OPERATOR_CONNECT_FIRST}", opaque_id("location", "London")
    assert (
        graph.post(f"{ASSIGNMENTS}/updateNumber", {"telephoneNumber": number, "locationId": place}).status_code == 200
    )
    row = graph.number(number)
    assert row is not None
    assert (row["locationId"], row["isoCountryCode"]) == (place, "GB")
    assert graph.get(f"{ASSIGNMENTS}/{row['id']}").json() == row


def test_the_inventory_is_paged_and_ascending(graph: GraphClient) -> None:
    """Pages of the inventory give every number once, ascending; $skip works here."""
    numbers = [row["telephoneNumber"] for row in graph.all(ASSIGNMENTS, _top=50)]
    assert numbers == sorted(graph.lab.tenant.numbers)
    assert graph.get(ASSIGNMENTS, _skip=3, _top=1).json()["value"][0]["telephoneNumber"] == numbers[3]
    assert graph.get(ASSIGNMENTS, _top=1001).status_code == 400


@pytest.mark.parametrize(
    "text",
    [
        "assignmentStatus eq 'unassigned' and capabilities/any(c:c eq 'userAssignment')",
        "numberType eq 'callingPlan'",
        "startswith(telephoneNumber,'+4319')",
        "assignmentTargetId ne null",
        "locationId eq '00000000-0000-0000-0000-000000000000'",
    ],
)
def test_the_inventory_is_filtered(graph: GraphClient, text: str) -> None:
    """Each filter selects some numbers, not all."""
    assert 0 < len(graph.all(ASSIGNMENTS, _filter=text, _top=1000)) < len(graph.lab.tenant.numbers)


def test_numbers_of_several_people_at_once(graph: GraphClient) -> None:
    """`in` over targets finds exactly the numbers of these people."""
    holders = with_number(graph.lab.tenant)[:3]
    text = ",".join(f"'{user.id}'" for user in holders)
    rows = graph.all(ASSIGNMENTS, _filter=f"assignmentTargetId in ({text})")
    assert {row["assignmentTargetId"] for row in rows} == {user.id for user in holders}


def test_id_and_city_cannot_be_filtered(graph: GraphClient) -> None:
    """The two properties the documentation excludes are refused."""
    assert graph.get(ASSIGNMENTS, _filter="city eq 'London'").status_code == 501


def test_a_voice_user_shows_numbers_features_and_policies(graph: GraphClient) -> None:
    """One configuration tells Enterprise Voice, features, numbers and policies."""
    user = with_number(graph.lab.tenant)[0]
    found = graph.get(f"{CONFIGURATIONS}/{user.id}").json()
    direct = {
        p["policyType"]
        for p in found["effectivePolicyAssignments"]
        if p["policyAssignment"]["assignmentType"] == "direct"
    }
    assert found["isEnterpriseVoiceEnabled"] is True
    assert "PhoneSystem" in found["featureTypes"]
    assert found["telephoneNumbers"][0]["assignmentCategory"] == "primary"
    assert direct >= {"OnlineVoiceRoutingPolicy", "TenantDialPlan"}


def test_everybody_is_in_the_list_of_voice_users(graph: GraphClient) -> None:
    """The list is paged; people without a licence are unknown unless the header asks for more."""
    listed = graph.all(CONFIGURATIONS, _top=11, _select="id,accountType")
    assert {row["id"] for row in listed} == set(graph.lab.tenant.users)
    new = without_licence(graph.lab.tenant)[0]
    assert graph.get(f"{CONFIGURATIONS}/{new.id}").json()["accountType"] == "unknown"
    preferred = {"Prefer": "include-unknown-enum-members"}
    assert graph.get(f"{CONFIGURATIONS}/{new.id}", headers=preferred).json()["accountType"] == "ineligibleUser"


@pytest.mark.parametrize(
    "text",
    ["isEnterpriseVoiceEnabled eq true", "featureTypes/any(f:f eq 'PhoneSystem')", "accountType eq 'resourceAccount'"],
)
def test_voice_users_are_filtered(graph: GraphClient, text: str) -> None:
    """Each filter selects some users, not all."""
    assert 0 < len(graph.all(CONFIGURATIONS, _filter=text)) < len(graph.lab.tenant.users)


def test_a_voice_user_is_found_by_number(graph: GraphClient) -> None:
    """The holder of a number is found by a lambda over the numbers."""
    user = with_number(graph.lab.tenant)[0]
    number = graph.lab.tenant.numbers_held_by(user.id)[0].telephone_number
    (found,) = graph.all(CONFIGURATIONS, _filter=f"telephoneNumbers/any(t:t/telephoneNumber eq '{number}')")
    assert found["id"] == user.id


def test_policies_are_granted_by_opaque_id(graph: GraphClient) -> None:
    """The id of a policy is looked up, granted with 204, and taken back."""
    (user,) = ready(graph.lab.tenant, 1)
    kind = "TenantDialPlan"
    (identity,) = graph.get(f"{POLICY}/getPolicyId(type='{kind}',name='DP-Vienna')").json()["value"]
    row = {"userId": user.id, "policyType": kind, "policyId": identity["policyId"]}
    assert graph.post(f"{POLICY}/userAssignments/assign", {"value": [row]}).status_code == 204
    assert graph.lab.tenant.voice(user.id).policies == {kind: "DP-Vienna"}
    del row["policyId"]
    assert graph.post(f"{POLICY}/userAssignments/unassign", {"value": [row]}).status_code == 204
    assert graph.lab.tenant.voice(user.id).policies == {}


def test_an_unknown_policy_has_no_id(graph: GraphClient) -> None:
    """A name that does not exist gives an empty collection; an unknown type is refused."""
    assert graph.get(f"{POLICY}/getPolicyId(type='TenantDialPlan',name='It''s not')").json()["value"] == []
    assert graph.get(f"{POLICY}/getPolicyId(type='Nonsense',name='x')").status_code == 400


def test_policies_are_granted_all_or_none(graph: GraphClient) -> None:
    """One wrong row leaves the right ones undone."""
    (user,) = ready(graph.lab.tenant, 1)
    policy = graph.lab.tenant.policy("TenantDialPlan", "DP-Vienna")
    right = {"userId": user.id, "policyType": "TenantDialPlan", "policyId": policy.policy_id}
    for wrong in ({**right, "policyId": "nonsense"}, {**right, "policyType": "TeamsCallingPolicy"}):
        assert graph.post(f"{POLICY}/userAssignments/assign", {"value": [right, wrong]}).status_code == 400
    assert graph.lab.tenant.voice(user.id).policies == {}
