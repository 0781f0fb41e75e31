"""Bulk orders of numbers: upload, release, bulk updates, export; their limits, states and reports."""

from __future__ import annotations

from typing import Any

import pytest

from lab.records import opaque_id
from tests.fakes.script_runner import FREE, ScriptRunner, last_call, licensed

UPLOAD = "param($N) New-CsOnlineDirectRoutingTelephoneNumberUploadOrder -TelephoneNumber $N"
RELEASE = "param($N) New-CsOnlineTelephoneNumberReleaseOrder -TelephoneNumber $N"
CREATION = "DirectRoutingNumberCreation"
NEW = ["+431934650001", "+431934650002"]
WIEN = opaque_id("location", "Vienna")


def report(run: ScriptRunner, order_id: Any, kind: str) -> dict[str, Any]:
    """Ask how far an order is."""
    text = "param($O, $T) Get-CsOnlineTelephoneNumberOrder -OrderId $O -OrderType $T"
    (found,) = run(text, order_id, kind)
    assert isinstance(found, dict)
    return found


def test_upload_ends_with_numbers_in_the_inventory(teams: ScriptRunner) -> None:
    """An upload gives an id; when it is done each number is there, in the report and once in the log."""
    (order_id,) = teams(UPLOAD, f"{NEW[0]}, {NEW[1][1:]}")
    found = report(teams, order_id, CREATION)
    assert (found["Status"], found["TotalCount"], found["SuccessCount"]) == ("Success", 2, 2)
    assert found["SuccessPhoneNumbers"] == NEW
    assert all(teams.tenant.numbers[number].uploaded for number in NEW)
    lines: list[dict[str, Any]] = [dict(call) for call in teams.parts.calls.since(0) if call["write"]]
    assert [[effect["object"] for effect in line["effects"]] for line in lines] == [[f"number:{n}" for n in NEW]]


def test_an_order_takes_its_time(teams: ScriptRunner) -> None:
    """Nothing happens before the delay is over, and the states go forward."""
    teams.parts.settings.order_delay_s = 100
    (order_id,) = teams(UPLOAD, NEW[0])
    states = []
    for _ in range(3):
        states.append(report(teams, order_id, CREATION)["Status"])
        teams.parts.clock.advance(50)
    assert states == ["NotStarted", "InProgress", "Success"]
    assert NEW[0] in teams.tenant.numbers


def test_what_cannot_be_uploaded_is_named(teams: ScriptRunner) -> None:
    """A known number and nonsense fail by themselves; the others are uploaded."""
    (order_id,) = teams(UPLOAD, f"{FREE},abc,{NEW[0]}")
    found = report(teams, order_id, CREATION)
    assert found["Status"] == "PartialSuccess"
    assert found["FailedPhoneNumbers"] == [FREE, "abc"]
    assert found["SuccessPhoneNumbers"] == [NEW[0]]


def test_an_assigned_number_is_adopted(teams: ScriptRunner) -> None:
    """A Direct Routing number that was only assigned so far stays when it is unassigned after an upload."""
    user = licensed(teams, with_number=False)
    teams.tenant.assign_number(user.id, NEW[0], "directRouting")
    teams(UPLOAD, NEW[0])
    teams.tenant.unassign_all(user.id)
    assert teams.tenant.numbers[NEW[0]].target_id is None


def test_upload_by_range_and_by_file(teams: ScriptRunner) -> None:
    """A range is spelled out; a file is a column of numbers, perhaps with a header."""
    text = "New-CsOnlineDirectRoutingTelephoneNumberUploadOrder "
    teams(text + "-StartingNumber '+431934650010' -EndingNumber '+431934650019'")
    teams("param($F) " + text + "-FileContent $F", b"TelephoneNumber\r\n+431934650020\r\n431934650021\r\n")
    assert teams.errors == []
    assert [f"+4319346500{tail}" in teams.tenant.numbers for tail in (10, 19, 20, 21, 22)] == [True] * 4 + [False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "New-CsOnlineDirectRoutingTelephoneNumberUploadOrder -StartingNumber +4310000 -EndingNumber +4320000",
            "10000",
        ),
        ("New-CsOnlineTelephoneNumberReleaseOrder -StartingNumber +43100000 -EndingNumber +43101000", "1000"),
        ("New-CsOnlineTelephoneNumberReleaseOrder -StartingNumber +4312 -EndingNumber +4311", "not a valid range"),
        ("New-CsOnlineDirectRoutingTelephoneNumberUploadOrder", "At least one"),
        ("New-CsPhoneNumberBulkUpdateTagsOrder -PhoneNumbers '+431'", "1 to 10 tags"),
    ],
)
def test_limits_are_refused_at_once(teams: ScriptRunner, text: str, message: str) -> None:
    """An order over its limit, backwards or empty is an error and no order."""
    assert teams(text) == []
    assert message in teams.errors[0].message
    assert teams.tenant.orders == {}


@pytest.mark.parametrize(("count", "accepted"), [(10_000, True), (10_001, False)])
def test_ten_thousand_is_the_largest_upload(teams: ScriptRunner, count: int, *, accepted: bool) -> None:
    """The limit itself is allowed."""
    text = "param($S, $E) New-CsOnlineDirectRoutingTelephoneNumberUploadOrder -StartingNumber $S -EndingNumber $E"
    assert len(teams(text, "+431934700000", f"+{431934700000 + count - 1}")) == accepted


def test_release_takes_free_numbers_only(teams: ScriptRunner) -> None:
    """A free number leaves the inventory, an assigned one and one of Microsoft's stay; the state is Complete."""
    user = licensed(teams, with_number=True)
    held, delivered = next(iter(teams.tenant.numbers_of[user.id])), "+14255550050"
    (order_id,) = teams(RELEASE, f"{FREE},{held},{delivered},+4399")
    found = report(teams, order_id, "Release")
    assert found["Status"] == "Complete"
    assert found["SuccessPhoneNumbers"] == [FREE]
    assert found["FailedPhoneNumbers"] == [held, delivered, "+4399"]
    assert FREE not in teams.tenant.numbers


def test_the_order_type_must_be_right(teams: ScriptRunner) -> None:
    """Without a type a search order is meant, so that an upload is not found."""
    (order_id,) = teams(UPLOAD, NEW[0])
    teams("param($O) Get-CsOnlineTelephoneNumberOrder -OrderId $O", order_id)
    assert "is not found" in teams.errors[0].message


@pytest.mark.parametrize(
    ("parameters", "attribute", "value"),
    [
        (f"LocationId -LocationId {WIEN}", "location_id", WIEN),
        ("NetworkSiteId -NetworkSiteId HQ", "network_site_id", "HQ"),
        ("ReverseNumberLookup -ReverseNumberLookupToAdd skipInternalVoip", "reverse_lookup", ("SkipInternalVoip",)),
        ("Tags -TagsToAdd 'HR,Wien'", "tags", ("HR", "Wien")),
        (
            "DrNumberAcquiredCapabilities -AcquiredCapabilitiesToRemove 'UserAssignment,ConferenceAssignment'",
            "capabilities",
            ("voiceApplicationAssignment",),
        ),
    ],
)
def test_bulk_updates_change_every_number(teams: ScriptRunner, parameters: str, attribute: str, value: object) -> None:
    """Each kind of bulk update gives an id and a type, and reports what it could not find."""
    subject, rest = parameters.split(" ", 1)
    text = f"New-CsPhoneNumberBulkUpdate{subject}Order -PhoneNumbers '{FREE},+4399' {rest}"
    (placed,) = teams(text)
    assert isinstance(placed, dict)
    assert placed["OrderType"] == "NumberUpdate"
    assert getattr(teams.tenant.numbers[FREE], attribute) == value
    found = report(teams, placed["Id"], "NumberUpdate")
    assert (found["Status"], found["FailedPhoneNumbers"]) == ("PartialSuccess", ["+4399"])
    assert "is not found" in found["AdditionalDetails"][0]["Message"]


def test_an_accepted_order_may_do_nothing(teams: ScriptRunner) -> None:
    """Under `false_success` an order ends well and nothing has happened."""
    teams.parts.faults.add({"name": "false_success", "match": {"operation": "New-CsOnline*"}})
    (order_id,) = teams(UPLOAD, NEW[0])
    assert report(teams, order_id, CREATION)["Status"] == "Success"
    assert NEW[0] not in teams.tenant.numbers
    assert last_call(teams)["operation"] == "Get-CsOnlineTelephoneNumberOrder"
