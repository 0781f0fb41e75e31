"""SCIM at the endpoint: what a client may ask, what it is told, and what becomes of its users here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from config.errors import InputRefused
from datasets.feeds import Outcome
from datasets.people import Person, Status
from datasets.scim import ScimError, parse_filter, person_of
from datasets.scim_patch import patched
from engine import departures, feeds
from engine.departures import Known
from engine.events import feed_of
from engine.runtime import utc_now
from tests.fakes.doors import ENTERPRISE, OpenDoor, give_secret, open_door, scim_user
from tests.fakes.flow_site import FlowSite

pytestmark = pytest.mark.slow


@pytest.fixture
def door(at_site: FlowSite, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenDoor]:
    """Open the door of a site in memory."""
    give_secret(monkeypatch)
    with open_door(at_site) as opened:
        yield opened


def remember(door: OpenDoor, person: Person) -> None:
    """Let HR have said this of somebody before."""
    with door.work.database.write() as connection:
        departures.remember(connection, Known(person, "f-0", 1), utc_now())


def known_of(door: OpenDoor, employee_id: str) -> Known:
    """Give what HR said last of somebody."""
    with door.work.database.read() as connection:
        return departures.known(connection, [employee_id])[employee_id]


def test_a_user_lives_from_hire_to_leave(either: OpenDoor) -> None:
    """Created, found, changed, deactivated, deleted: each change is an event, what changes nothing is none."""
    made = either.scim("POST", "/Users", scim_user("00001"))
    assert made.status_code == 201
    assert made.headers["content-type"] == "application/scim+json"
    user_id = made.json()["id"]
    assert made.headers["location"] == made.json()["meta"]["location"] == f"https://door/scim/v2/Users/{user_id}"
    either.look()
    assert set(either.site.phones()) == {"id-1"}
    assert either.scim("GET", '/Users?filter=userName eq "U00001@CONTOSO.com"').json()["totalResults"] == 1
    assert either.scim("GET", '/Users?filter=externalId eq "nobody"').json()["Resources"] == []
    operations = [{"op": "Replace", "path": f"{ENTERPRISE}:department", "value": "Finance"}]
    changed = either.scim("PATCH", f"/Users/{user_id}", {"Operations": operations}).json()
    assert changed[ENTERPRISE]["department"] == "Finance"
    assert changed["meta"]["version"] == 'W/"2"'
    either.scim("PATCH", f"/Users/{user_id}", {"Operations": operations})
    same = either.scim("PUT", f"/Users/{user_id}", {**changed, "displayName": "Ada"})
    assert same.json()["displayName"] == "Ada"
    assert len(either.events()) == 3
    gone = either.scim("PATCH", f"/Users/{user_id}", {"Operations": [{"op": "replace", "value": {"active": "False"}}]})
    assert gone.json()["active"] is False
    assert either.events()[-1].rows[0]["status"] == "terminated"
    assert either.scim("DELETE", f"/Users/{user_id}").status_code == 204
    assert either.scim("GET", f"/Users/{user_id}").status_code == 404
    assert len(either.events()) == 4  # had left already


def test_deleting_somebody_who_is_active_is_a_leaver(door: OpenDoor) -> None:
    """DELETE alone lets somebody leave."""
    user_id = door.scim("POST", "/Users", scim_user("00001")).json()["id"]
    door.scim("DELETE", f"/Users/{user_id}")
    assert [event.rows[0]["status"] for event in door.events()] == ["active", "terminated"]


def test_the_same_key_makes_no_second_user(either: OpenDoor) -> None:
    """A request that is sent again under its key gets its first answer; another body under it is refused."""
    first = either.scim("POST", "/Users", scim_user("00001"), **{"Idempotency-Key": "a"})
    again = either.scim("POST", "/Users", scim_user("00001"), **{"Idempotency-Key": "a"})
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = either.scim("POST", "/Users", scim_user("00002"), **{"Idempotency-Key": "a"})
    assert other.status_code == 422
    taken = either.scim("POST", "/Users", scim_user("00001"))
    assert (taken.status_code, taken.json()["scimType"]) == (409, "uniqueness")
    assert len(either.events()) == 1


def test_a_bulk_is_one_event(either: OpenDoor) -> None:
    """Operations are answered one by one, refer to each other by bulkId, and their people are one feed."""
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "one", "data": scim_user("00001")},
        {"method": "POST", "path": "/Users", "bulkId": "two", "data": scim_user("00002")},
        {"method": "POST", "path": "/Users", "bulkId": "bad", "data": {"userName": "x"}},
        {
            "method": "PATCH",
            "path": "/Users/bulkId:one",
            "data": {"Operations": [{"op": "add", "path": "title", "value": "CEO"}]},
        },
        {"method": "DELETE", "path": "/Users/bulkId:nobody"},
        {"method": "POST", "path": "/Users", "data": scim_user("00003")},
    ]
    answer = either.scim("POST", "/Bulk", {"Operations": operations}).json()
    assert [each["status"] for each in answer["Operations"]] == ["201", "201", "400", "200", "409", "400"]
    assert answer["Operations"][2]["response"]["scimType"] == "invalidValue"
    (event,) = either.events()
    assert [(row["employee_id"], row.get("job_title")) for row in event.rows] == [("00001", "CEO"), ("00002", None)]
    either.look()
    assert set(either.site.phones()) == {"id-1", "id-2"}


def test_a_bulk_stops_where_its_sender_wants(door: OpenDoor) -> None:
    """After failOnErrors errors nothing more is done; more than the limit is refused whole."""
    bad = {"method": "POST", "path": "/Users", "bulkId": "x", "data": {}}
    answer = door.scim("POST", "/Bulk", {"failOnErrors": 1, "Operations": [bad, bad]})
    assert len(answer.json()["Operations"]) == 1
    assert door.scim("POST", "/Bulk", {"Operations": [bad] * 101}).status_code == 413


def test_many_leavers_in_a_bulk_are_not_believed(door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of a feed hold for a bulk."""
    for number in range(1, 4):
        door.scim("POST", "/Users", scim_user(f"0000{number}"))
    door.look()
    monkeypatch.setenv("CALLWRIGHT_FEED__LEAVERS", "2")
    users = door.scim("GET", "/Users").json()["Resources"]
    door.scim("POST", "/Bulk", {"Operations": [{"method": "DELETE", "path": f"/Users/{u['id']}"} for u in users]})
    door.look()
    assert door.states() == ["finished"] * 3 + ["refused"]
    assert len(door.site.phones()) == 3


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        pytest.param("POST", "/Users", {"userName": ""}, 400, "invalidValue", id="no name"),
        pytest.param("POST", "/Users", {"userName": "a@b.c"}, 400, "invalidValue", id="no employee number"),
        pytest.param("POST", "/Users", scim_user("1", active="maybe"), 400, "invalidValue", id="not active"),
        pytest.param("POST", "/Users", scim_user("1", userName="no address"), 400, "invalidValue", id="bad name"),
        pytest.param("POST", "/Users", [], 400, "invalidSyntax", id="list"),
        pytest.param("GET", '/Users?filter=userName co "a"', None, 400, "invalidFilter", id="filter"),
        pytest.param("GET", "/Users/u-nobody", None, 404, None, id="unknown"),
        pytest.param("PATCH", "/Users/u-nobody", {"Operations": []}, 404, None, id="patch unknown"),
        pytest.param("POST", "/Bulk", {"Operations": "x"}, 400, "invalidSyntax", id="bulk"),
    ],
)
def test_errors_have_the_form_of_the_standard(
    door: OpenDoor, method: str, path: str, body: object, status: int, kind: str | None
) -> None:
    """RFC 7644, section 3.12: schemas, status as text, scimType where there is one, and a sentence."""
    answer = door.scim(method, path, body)
    told = answer.json()
    assert (answer.status_code, told["status"], told.get("scimType")) == (status, str(status), kind)
    assert told["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert told["detail"]
    assert door.states() == []
    assert door.scim("GET", "/Users").json()["totalResults"] == 0


def test_what_is_supported_is_said(door: OpenDoor) -> None:
    """The three documents of discovery tell the truth: patch, bulk and filter, no sorting, no entity tags."""
    provider = door.scim("GET", "/ServiceProviderConfig").json()
    told = {name: part["supported"] for name, part in provider.items() if isinstance(part, dict)}
    wanted = {"patch": True, "bulk": True, "filter": True}
    assert told == {**wanted, "changePassword": False, "sort": False, "etag": False}
    assert door.scim("GET", "/ResourceTypes").json()["Resources"][0]["endpoint"] == "/Users"
    assert {each["id"] for each in door.scim("GET", "/Schemas").json()["Resources"]} >= {ENTERPRISE}


OPERATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a part": ({"op": "replace", "path": "name.givenName", "value": "Ada"}, {"name": {"givenName": "Ada"}}),
    "a member": (
        {"op": "add", "path": 'phoneNumbers[type eq "work"].value', "value": "+43"},
        {"phoneNumbers": [{"type": "work", "value": "+43"}]},
    ),
    "without a path": ({"op": "Add", "value": {"title": "CEO", f"{ENTERPRISE}:department": "HR"}}, {"title": "CEO"}),
    "removed": ({"op": "remove", "path": "displayName"}, {"displayName": None}),
    "in any case": ({"op": "replace", "path": "DISPLAYNAME", "value": "B"}, {"displayName": "B"}),
}


@pytest.mark.parametrize(("operation", "expected"), OPERATIONS.values(), ids=OPERATIONS)
def test_operations_of_a_patch(operation: dict[str, Any], expected: dict[str, Any]) -> None:
    """Paths to parts, to members of lists, to the extension, and none at all."""
    found = patched({"userName": "a@b.c", "displayName": "A"}, [operation])
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize("path", ["id", "emails[", "a.b.c", "userName.x", "meta.version"])
def test_a_patch_that_goes_nowhere_changes_nothing(path: str) -> None:
    """What cannot be changed or understood is refused, the user stays as it was."""
    user = {"userName": "a@b.c"}
    with pytest.raises(ScimError):
        patched(user, [{"op": "replace", "path": "title", "value": "x"}, {"op": "replace", "path": path, "value": "x"}])
    assert user == {"userName": "a@b.c"}


def test_the_fields_of_a_person() -> None:
    """Phones by type, mail and country also when there is only one; the external id where no number is."""
    user = {
        "userName": "a@b.c",
        "externalId": "7",
        "emails": [{"value": "a@b.c"}],
        "phoneNumbers": [{"type": "mobile", "value": "tel:+43660"}],
        "addresses": [{"type": "home", "country": "AT"}],
    }
    found = {name: value for name, value in person_of(user).items() if value}
    wanted = {"employee_id": "7", "upn": "a@b.c", "email": "a@b.c", "mobile_phone": "+43660", "usage_location": "AT"}
    assert found == wanted | {"status": "active"}
    assert parse_filter(' externalId EQ "a\\"b" ') == ("externalId", 'a"b')


def test_a_leaver_leaves(door: OpenDoor) -> None:
    """Deactivating somebody starts the steps of a leaver, as a feed would."""
    user_id = door.scim("POST", "/Users", scim_user("00001")).json()["id"]
    door.look()
    door.scim("PATCH", f"/Users/{user_id}", {"Operations": [{"op": "replace", "path": "active", "value": False}]})
    door.look()
    assert door.states() == ["finished", "finished"]
    with door.work.database.read() as connection:
        (row,) = feeds.rows_with(connection, feed_of(door.events()[-1].id), list(Outcome), 10)
    assert "next: forward on" in row.reason


def test_a_refused_operation_of_a_bulk_takes_no_effect(either: OpenDoor) -> None:
    """A name that is taken is 409: neither the hire nor the change of the other operations' user is in the event."""
    either.scim("POST", "/Users", scim_user("00001"))
    user_id = either.scim("POST", "/Users", scim_user("00002")).json()["id"]
    taken = scim_user("00003") | {"userName": "u00001@contoso.com"}
    moved = scim_user("00002", title="CEO") | {"userName": "u00001@contoso.com"}
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "taken", "data": taken},
        {"method": "PUT", "path": f"/Users/{user_id}", "data": moved},
        {"method": "POST", "path": "/Users", "bulkId": "good", "data": scim_user("00004")},
    ]
    answer = either.scim("POST", "/Bulk", {"Operations": operations}).json()
    assert [each["status"] for each in answer["Operations"]] == ["409", "409", "201"]
    assert [row["employee_id"] for row in either.events()[-1].rows] == ["00004"]


def test_one_employee_works_under_one_user(either: OpenDoor) -> None:
    """A second user for somebody active is 409; a rename is a change of userName, or delete and create in a bulk."""
    old = either.scim("POST", "/Users", scim_user("00001")).json()["id"]
    renamed = scim_user("00001") | {"userName": "ada@contoso.com"}
    refused = either.scim("POST", "/Users", renamed)
    assert (refused.status_code, refused.json()["scimType"]) == (409, "uniqueness")
    assert old in refused.json()["detail"]
    operations = [
        {"method": "DELETE", "path": f"/Users/{old}"},
        {"method": "POST", "path": "/Users", "bulkId": "new", "data": renamed},
    ]
    answer = either.scim("POST", "/Bulk", {"Operations": operations}).json()
    assert [each["status"] for each in answer["Operations"]] == ["204", "201"]
    (row,) = either.events()[-1].rows
    assert (row["upn"], row["status"]) == ("ada@contoso.com", "active")


def test_a_user_who_was_replaced_says_nothing_more(door: OpenDoor) -> None:
    """Once somebody is active under another user, changing or deleting the old one lets nobody leave."""
    old = door.scim("POST", "/Users", scim_user("00001")).json()["id"]
    off = {"Operations": [{"op": "replace", "path": "active", "value": False}]}
    door.scim("PATCH", f"/Users/{old}", off)
    door.scim("POST", "/Users", scim_user("00001") | {"userName": "ada@contoso.com"})
    assert door.scim("PUT", f"/Users/{old}", scim_user("00001", active=False, title="CEO")).status_code == 200
    on = {"Operations": [{"op": "replace", "path": "active", "value": True}]}
    assert door.scim("PATCH", f"/Users/{old}", on).status_code == 409
    assert door.scim("DELETE", f"/Users/{old}").status_code == 204
    assert [event.rows[0]["status"] for event in door.events()] == ["active", "terminated", "active"]


def test_the_employee_number_of_a_user_stays(door: OpenDoor) -> None:
    """Another number would leave the first employee behind for ever: it is refused, as the schema says."""
    user_id = door.scim("POST", "/Users", scim_user("00001")).json()["id"]
    operation = {"op": "replace", "path": f"{ENTERPRISE}:employeeNumber", "value": "00002"}
    refused = door.scim("PATCH", f"/Users/{user_id}", {"Operations": [operation]})
    assert (refused.status_code, refused.json()["scimType"]) == (400, "mutability")
    assert door.scim("GET", f"/Users/{user_id}").json()[ENTERPRISE]["employeeNumber"] == "00001"
    assert len(door.events()) == 1


def test_what_scim_does_not_say_stays_as_hr_said_it(either: OpenDoor) -> None:
    """Site, dates, manager and leave are kept; what the client took away is gone."""
    user_id = either.scim("POST", "/Users", scim_user("00001", title="CEO")).json()["id"]
    either.look()
    last = utc_now().date() + timedelta(days=30)
    told = {"location": "Vienna", "manager_employee_id": "00002", "termination_date": last, "job_title": "CEO"}
    remember(either, Person(employee_id="00001", status=Status.LEAVE, cost_center="7", usage_location="AT", **told))
    either.scim("PUT", f"/Users/{user_id}", scim_user("00001", displayName="Ada"))
    either.look()
    assert either.states() == ["finished", "finished"]
    found = known_of(either, "00001")
    assert found.changed_site is False
    person = found.person
    assert (person.display_name, person.job_title, person.department) == ("Ada", "", "Sales")
    assert (person.location, person.manager_employee_id, person.cost_center) == ("Vienna", "00002", "7")
    assert (person.termination_date, person.status) == (last, Status.LEAVE)


def test_a_refused_leaver_is_tried_again(either: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user is inactive already and the client sends nothing more: the event itself comes in again, once."""
    user_id = either.scim("POST", "/Users", scim_user("00001")).json()["id"]
    either.look()
    monkeypatch.setenv("CALLWRIGHT_FEED__LEAVERS", "0")
    either.scim("PATCH", f"/Users/{user_id}", {"Operations": [{"op": "replace", "path": "active", "value": False}]})
    either.look()
    assert either.states() == ["finished", "refused"]
    monkeypatch.delenv("CALLWRIGHT_FEED__LEAVERS")
    refused = either.events()[-1].id
    assert CliRunner().invoke(app, ["events", "retry", refused]).exit_code == 0
    either.look()
    assert sorted(either.states()) == ["finished", "finished", "retried"]
    assert known_of(either, "00001").person.status == Status.TERMINATED
    again = CliRunner().invoke(app, ["events", "retry", refused])
    assert isinstance(again.exception, InputRefused)
