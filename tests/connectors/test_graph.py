"""The directory: pages, slices, deltas and records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from connectors.errors import Invalid, NotFound
from datasets.directory import UserDelta
from datasets.users import DirectoryUser
from tests.fakes.scripted_graph import ROOT, ok, page, refused, scripted

ADA = {
    "id": "u1",
    "userPrincipalName": "ada@example.test",
    "displayName": "Ada",
    "givenName": None,
    "mail": "",
    "accountEnabled": False,
    "usageLocation": "AT",
    "employeeId": "00042",
    "assignedLicenses": [{"skuId": "sku-1", "disabledPlans": []}],
}
BOB = {"id": "u2", "userPrincipalName": "bob@example.test", "employeeId": "00043"}


def _query(request: httpx.Request) -> dict[str, list[str]]:
    return parse_qs(urlsplit(str(request.url)).query)


def test_users_come_page_by_page_as_records() -> None:
    """All pages are read through their links; null and missing fields become defaults."""
    stand = scripted(page(ADA, next=f"{ROOT}/users?$skiptoken=2"), page(BOB))
    ada, bob = stand.graph.users()
    assert ada.given_name == ""
    assert ada.mail is None
    assert not ada.account_enabled
    assert ada.sku_ids == ("sku-1",)
    assert ada.employee_id == "00042"
    assert bob.account_enabled
    assert _query(stand.script.requests[0])["$top"] == ["999"]
    assert _query(stand.script.requests[1]) == {"$skiptoken": ["2"]}


def test_users_that_nobody_reads_are_not_asked_for() -> None:
    """The second page is read only when the reader comes to it."""
    stand = scripted(page(ADA, next=f"{ROOT}/users?$skiptoken=2"), page(BOB))
    assert next(stand.graph.users()).id == "u1"
    assert len(stand.script.requests) == 1


def test_page_that_links_to_itself_ends_in_an_error() -> None:
    """A service that never comes to an end is refused."""
    link = f"{ROOT}/users?$skiptoken=2"
    with pytest.raises(Invalid, match="next page"):
        list(scripted(page(ADA, next=link)).graph.users())


def test_user_that_does_not_exist_is_none() -> None:
    """Asking for nobody is no error."""
    assert scripted(refused(404)).graph.user("nobody@example.test") is None


def test_users_by_employee_ids_come_in_slices_with_duplicates() -> None:
    """Ids are asked fifteen at a time, each once, and all accounts of an id are given."""
    twin = {**BOB, "id": "u3"}
    stand = scripted(page(ADA), page(BOB, twin))
    ids = [f"{number:05}" for number in range(42, 60)]
    found = stand.graph.users_by_employee_ids(iter([*ids, "00042", ""]))
    assert {employee: [user.id for user in users] for employee, users in found.items()} == {
        "00042": ["u1"],
        "00043": ["u2", "u3"],
    }
    filters = [_query(request)["$filter"][0] for request in stand.script.requests]
    assert [text.count("'") // 2 for text in filters] == [15, 3]


def test_users_by_ids_are_found_under_the_asked_spelling() -> None:
    """Object ids are compared without regard to case, and the answer uses the caller's spelling."""
    assert list(scripted(page(ADA)).graph.users_by_ids(["U1", "U9"])) == ["U1"]


def test_users_are_found_by_any_name_twenty_in_a_request() -> None:
    """Object ids and UPNs first; whoever is left is looked for by SIP address, and one that two have is nobody's."""
    names = [f"user{number}@example.test" for number in range(24)]
    known: dict[str, Mapping[str, object]] = {names[0]: ADA, names[23]: BOB}

    def answer(request: httpx.Request) -> httpx.Response:
        parts = json.loads(request.content)["requests"]
        return ok({"responses": [{"id": part["id"], **_found(unquote(part["url"]), known)} for part in parts]})

    stand = scripted(answer)
    found = stand.graph.users_named([*names, "o'hara@sip.test", "twice@sip.test", "0042", names[0]])
    assert {name: user.id for name, user in found.items()} == {names[0]: "u1", names[23]: "u2", "o'hara@sip.test": "u3"}
    assert [request.url.path.rsplit("/", 1)[1] for request in stand.script.requests] == ["$batch"] * 4


def _found(url: str, known: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Answer a part of a batch: users by name, or those with a SIP address."""
    if "$filter" in url:
        carol = {"id": "u3", "userPrincipalName": "carol@example.test"}
        users: dict[str, list[Mapping[str, object]]] = {"'o''hara@sip.test'": [carol], "'twice@sip.test'": [carol, BOB]}
        value = next((found for text, found in users.items() if f"imAddresses/any(i:i eq {text})" in url), [])
        return {"status": 200, "body": {"value": value}}
    user = known.get(url.removeprefix("/users/").partition("?")[0])
    return {"status": 200, "body": dict(user)} if user else {"status": 404, "body": {"error": {"code": "NotFound"}}}


def test_value_in_a_filter_is_quoted() -> None:
    """An apostrophe in a value ends no literal."""
    stand = scripted(page())
    assert stand.graph.group_by_name("O'Hara' or 1 eq 1") is None
    assert _query(stand.script.requests[0])["$filter"] == ["displayName eq 'O''Hara'' or 1 eq 1'"]


def test_group_name_that_several_carry_is_refused() -> None:
    """A name does not say which of two groups is meant."""
    with pytest.raises(Invalid, match="2 groups"):
        scripted(page({"id": "g1", "displayName": "Voice"}, {"id": "g2", "displayName": "Voice"})).graph.group_by_name(
            "Voice"
        )


def test_transitive_members_come_once_each() -> None:
    """A user reached by two ways is one member."""
    stand = scripted(page({"id": "u1"}, {"id": "u2"}, {"id": "u1"}))
    assert list(stand.graph.transitive_members("g1")) == ["u1", "u2"]
    assert stand.script.requests[0].headers["ConsistencyLevel"] == "eventual"


def test_delta_gives_only_what_was_sent_and_the_next_link() -> None:
    """A change carries the attributes that the service named; removed users say how."""
    gone = {"id": "u2", "@removed": {"reason": "changed"}}
    stand = scripted(page({"id": "u1", "department": "Voice", "mail": None}, gone, delta=f"{ROOT}/users/delta?t=9"))
    (only,) = stand.graph.users_delta(f"{ROOT}/users/delta?t=8")
    assert only.changes[0].attributes == {"department": "Voice", "mail": None}
    assert only.changes[1].removed == "changed"
    assert only.delta_link == f"{ROOT}/users/delta?t=9"


@pytest.mark.parametrize(
    "answer", [refused(410), refused(400, code="syncStateNotFound"), refused(404, code="SyncStateNotFound")]
)
def test_expired_delta_link_is_not_found(answer: httpx.Response) -> None:
    """An expired link is gone: the caller reads everything again."""
    with pytest.raises(NotFound, match="read everything again"):
        list(scripted(answer).graph.users_delta(f"{ROOT}/users/delta?t=8"))


def test_delta_applies_to_a_known_user() -> None:
    """Attributes that were not sent keep their value."""
    ada = DirectoryUser(id="u1", user_principal_name="ada@example.test", display_name="Ada")
    changed = UserDelta(id="u1", attributes={"department": "Voice"}).applied_to(ada)
    assert changed == ada.model_copy(update={"department": "Voice"})
    assert UserDelta(id="u1", removed="deleted").applied_to(ada) is None
    assert UserDelta(id="u9", attributes={"department": "Voice"}).applied_to(None) is None


def test_subscribed_skus_and_organization_are_read() -> None:
    """Licence counts and the tenant's name come as records."""
    sku = {"skuId": "s", "skuPartNumber": "MCOEV", "consumedUnits": 3, "prepaidUnits": {"enabled": 10}}
    (read,) = scripted(page(sku)).graph.subscribed_skus()
    assert (read.enabled_units, read.consumed_units) == (10, 3)
    assert scripted(page({"id": "t", "displayName": "Contoso"})).graph.organization().display_name == "Contoso"


def test_licence_calls_carry_both_lists() -> None:
    """The service wants both keys; one of them is empty."""
    stand = scripted(ok({}))
    stand.graph.assign_licence("u1", "s")
    stand.graph.remove_licence("u1", "s")
    assert stand.script.body(0) == {"addLicenses": [{"skuId": "s", "disabledPlans": []}], "removeLicenses": []}
    assert stand.script.body(1) == {"addLicenses": [], "removeLicenses": ["s"]}


def test_probe_tells_each_condition() -> None:
    """A probe of a working tenant is a list of good findings; a failing call gives one with a remedy."""
    assert all(finding.ok for finding in scripted(page({"id": "t", "displayName": "Contoso"})).graph.probe()[:3])
    findings = scripted(refused(403)).graph.probe()
    assert [finding.name for finding in findings if not finding.ok] == ["graph tenant", "graph users", "graph licences"]
    assert all(finding.fix.startswith("grant") for finding in findings if not finding.ok)


def test_members_are_found_by_name_or_id_of_the_group() -> None:
    """A group may be named either way; one that does not exist is None."""
    group = {"id": "4b1d0e2c-7a11-4c3e-9d55-000000000001", "displayName": "Voice"}
    assert scripted(page(group), page({"id": "u1"})).graph.member_ids("Voice") == frozenset({"u1"})
    assert scripted(page({"id": "u1"})).graph.member_ids(group["id"]) == frozenset({"u1"})
    assert scripted(page()).graph.member_ids("Voice") is None
    assert scripted(refused(404)).graph.member_ids(group["id"]) is None
