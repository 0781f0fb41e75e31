"""Numbers and policies: records, paging, operations and what is sent."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from connectors.errors import AlreadyThere, Ambiguous, Busy, ConnectorError, Invalid, NotAllowed, NotFound
from tests.fakes.scripted_graph import ROOT, ok, page, refused, scripted

NO_LOCATION = "00000000-0000-0000-0000-000000000000"
NUMBER = {"id": "n", "telephoneNumber": "+4311", "numberType": "directRouting", "locationId": NO_LOCATION}


def _operation(status: str, detail: str = "") -> httpx.Response:
    return ok({"id": "op", "status": status, "numbers": [{"status": status, "statusDetail": detail}]})


def test_zero_location_is_none() -> None:
    """Direct Routing numbers show a location of zeros, which is none."""
    number = scripted(page(NUMBER)).teams.number("+4311")
    assert number is not None
    assert number.location_id is None
    assert number.assignment_target_id is None


def test_number_that_is_not_in_the_inventory_is_none() -> None:
    """An empty list is an answer, and so is a list with only another number."""
    assert scripted(page()).teams.number("+4311") is None
    assert scripted(page(NUMBER)).teams.number("+4312") is None


def test_numbers_without_links_are_paged_by_skip() -> None:
    """A full page without a link to the next one is followed by another question."""
    full = [{**NUMBER, "telephoneNumber": f"+43{index:05}"} for index in range(1000)]
    stand = scripted(page(*full), page(NUMBER))
    assert len(list(stand.teams.numbers())) == 1001
    assert parse_qs(urlsplit(str(stand.script.requests[1].url)).query)["$skip"] == ["1000"]


def test_numbers_with_links_are_paged_by_links() -> None:
    """A link is followed as it stands, and the last page ends the reading."""
    stand = scripted(page(NUMBER, next=f"{ROOT}/numbers?$skiptoken=2"), page(NUMBER))
    assert len(list(stand.teams.numbers())) == 2
    assert len(stand.script.requests) == 2


def test_numbers_of_users_are_grouped_by_user() -> None:
    """Users without a number are left out."""
    held = {**NUMBER, "assignmentTargetId": "U1"}
    assert list(scripted(page(held)).teams.numbers_of(["u1", "u2"])) == ["u1"]


def test_voice_user_shows_primary_number_and_direct_policies_only() -> None:
    """The primary number comes first; group and global policies are not the user's own."""
    user = scripted(
        ok(
            {
                "id": "u1",
                "userPrincipalName": "ada@example.test",
                "isEnterpriseVoiceEnabled": True,
                "telephoneNumbers": [
                    {"telephoneNumber": "+432", "assignmentCategory": "private"},
                    {"telephoneNumber": "+431", "assignmentCategory": "primary"},
                ],
                "effectivePolicyAssignments": [
                    {"policyType": "A", "policyAssignment": {"displayName": "mine", "assignmentType": "direct"}},
                    {"policyType": "B", "policyAssignment": {"displayName": "ours", "assignmentType": "group"}},
                    {"policyType": "C", "policyAssignment": None},
                ],
            }
        )
    ).teams.voice_user("u1")
    assert user is not None
    assert user.number == "+431"
    assert user.policies == {"A": "mine"}


def test_voice_user_that_teams_does_not_know_yet_is_none() -> None:
    """A user who was licensed a moment ago may not be there."""
    assert scripted(refused(404)).teams.voice_user("u1") is None


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(202, headers={"Location": f"{ROOT}/x/operations('b64-_=')"}),
        httpx.Response(202, headers={"Location": f"{ROOT}/x/operations/b64-_="}),
        httpx.Response(202, json={"id": "b64-_="}),
    ],
    ids=["call form", "path form", "body"],
)
def test_assigning_gives_the_operation_to_follow(answer: httpx.Response) -> None:
    """The operation's id is found in each form of the answer, and only what is needed is sent."""
    stand = scripted(answer)
    assert stand.teams.assign_number("+4311", "u1", "directRouting") == "b64-_="
    sent = {"telephoneNumber": "+4311", "assignmentTargetId": "u1", "numberType": "directRouting"}
    assert stand.script.body() == sent


def test_assigning_without_an_operation_is_ambiguous() -> None:
    """An acceptance that names no operation leaves open what happened."""
    with pytest.raises(Ambiguous):
        scripted(httpx.Response(202)).teams.unassign_number("+4311", "directRouting")


def test_operation_is_read_bare_or_wrapped() -> None:
    """The documented example wraps the operation in `value`, its type does not."""
    bare = {"id": "op", "status": "running", "numbers": []}
    assert scripted(ok(bare)).teams.operation("op") == scripted(ok({"value": bare})).teams.operation("op")


def test_waiting_asks_ever_less_often() -> None:
    """Pauses between questions grow from 2 to 30 seconds."""
    stand = scripted(*[_operation("running")] * 6, _operation("succeeded"))
    stand.teams.wait_for_operation("op", 600)
    assert stand.clock.slept == [2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("detail", "kind"),
    [
        ("Telephone Number '+4311' has already been assigned to another user", AlreadyThere),
        ("Telephone Number '+4311' is not found from tenant 't'", NotFound),
        ("User 'u1' lacks appropriate licenses to assign a 'directRouting' number", Invalid),
        ("Service is unavailable. Please try again", Busy),
        ("something new", Invalid),
    ],
)
def test_failed_operation_raises_what_its_text_means(detail: str, kind: type[ConnectorError]) -> None:
    """The text of a failure decides whether to repeat, to stop or to look."""
    with pytest.raises(ConnectorError, match=r" ; .+") as caught:
        scripted(_operation("failed", detail)).teams.wait_for_operation("op", 600)
    assert type(caught.value) is kind


def test_operation_that_does_not_end_is_ambiguous() -> None:
    """The write was accepted; that its end was not seen in time does not undo it."""
    stand = scripted(_operation("running"))
    with pytest.raises(Ambiguous):
        stand.teams.wait_for_operation("op", 60)
    assert sum(stand.clock.slept) <= 60


@pytest.mark.parametrize("trouble", [httpx.ConnectError("down"), refused(403), refused(404)], ids=str)
def test_trouble_while_waiting_never_says_that_nothing_was_done(trouble: httpx.Response | Exception) -> None:
    """Whatever keeps us from seeing the end of an accepted write, its outcome is open."""
    with pytest.raises(Ambiguous):
        scripted(trouble).teams.wait_for_operation("op", 30)
    scripted(trouble, _operation("succeeded")).teams.wait_for_operation("op", 30)


def test_policy_id_is_found_once_and_remembered() -> None:
    """Ids are asked once; names are compared without regard to case and quoted in the address."""
    stand = scripted(page({"name": "O'Hara / Vienna", "policyId": "p1"}))
    assert [stand.teams.policy_id("TeamsCallingPolicy", "o'hara / vienna") for _ in range(2)] == ["p1", "p1"]
    assert len(stand.script.requests) == 1
    path = stand.script.requests[0].url.raw_path.decode()
    assert path.endswith("getPolicyId(type='TeamsCallingPolicy',name='o%27%27hara%20%2F%20vienna')")


@pytest.mark.parametrize("answer", [page(), refused(404)], ids=["empty", "404"])
def test_policy_that_does_not_exist_has_no_id(answer: httpx.Response) -> None:
    """An unknown policy is None and is asked again next time."""
    stand = scripted(answer)
    assert [stand.teams.policy_id("TeamsCallingPolicy", "Vienna") for _ in range(2)] == [None, None]
    assert len(stand.script.requests) == 2


def test_policies_travel_in_one_call() -> None:
    """Granting and revoking send one request each, whatever the number of policies."""
    stand = scripted(httpx.Response(204))
    stand.teams.grant_policies("u1", {"A": "p1", "B": "p2"})
    stand.teams.revoke_policies("u1", ["A"])
    kind = "#microsoft.graph.teamsAdministration.teamsPolicyUserAssignment"
    assert stand.script.body(0) == {
        "value": [
            {"@odata.type": kind, "userId": "u1", "policyType": "A", "policyId": "p1"},
            {"@odata.type": kind, "userId": "u1", "policyType": "B", "policyId": "p2"},
        ]
    }
    assert stand.script.body(1) == {"value": [{"@odata.type": kind, "userId": "u1", "policyType": "A"}]}


def test_location_is_cleared_with_an_empty_text() -> None:
    """The service keeps a location that is null and clears one that is empty."""
    stand = scripted(httpx.Response(200, json={}))
    stand.teams.update_number_location("+4311", None)
    assert stand.script.body() == {"telephoneNumber": "+4311", "locationId": ""}


def test_probe_reads_one_of_each() -> None:
    """A probe looks at numbers and users and finds nothing wrong with empty ones."""
    assert [finding.ok for finding in scripted(page()).teams.probe()] == [True, True]


def _batch(*parts: dict[str, object]) -> httpx.Response:
    return ok({"responses": [{"headers": {}, "body": {}, **part} for part in parts]})


def test_voice_users_are_read_twenty_at_a_time() -> None:
    """Users come in batches, in any order; unknown ones are left out."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["requests"]
        answers = [{"id": part["id"], "status": 200, "body": {"id": part["url"][-3:]}} for part in reversed(asked)]
        answers[0] |= {"status": 404, "body": {"error": {"code": "NotFound", "message": "no"}}}
        return _batch(*answers)

    stand = scripted(answer)
    ids = [f"u{number:02}" for number in range(45)]
    found = stand.teams.voice_users_by_ids([*ids, "u00"])
    assert [voice.id for voice in found.values()] == list(found)
    assert set(ids) - set(found) == {"u19", "u39", "u44"}
    assert len(stand.script.requests) == 3


def test_throttled_part_of_a_batch_is_asked_again_after_the_pause() -> None:
    """A pause inside a batch holds the endpoint class, and only the missing parts are asked again."""
    busy = {"id": "1", "status": 429, "headers": {"Retry-After": "9"}, "body": {"error": {"code": "x"}}}
    stand = scripted(
        _batch({"id": "0", "status": 200, "body": {"id": "u1"}}, busy),
        _batch({"id": "1", "status": 200, "body": {"id": "u2"}}),
    )
    assert list(stand.teams.voice_users_by_ids(["u1", "u2"])) == ["u1", "u2"]
    assert sum(stand.clock.slept) >= 9
    assert stand.script.body() == {
        "requests": [{"id": "1", "method": "GET", "url": "/admin/teams/userConfigurations/u2"}]
    }


def test_the_longest_pause_of_a_batch_is_kept() -> None:
    """Parts of one request may ask to wait for different times: nobody calls before the longest is over."""
    parts = [
        {"id": str(number), "status": 429, "headers": {"Retry-After": asked}}
        for number, asked in enumerate(("9", "2", "4"))
    ]
    known = {"status": 200, "body": {"id": "u"}}
    stand = scripted(_batch(*parts), _batch(*({"id": str(number), **known} for number in range(3))))
    stand.teams.voice_users_by_ids(["u1", "u2", "u3"])
    assert stand.script.moments[1] - stand.script.moments[0] == 9


@pytest.mark.parametrize(("status", "kind"), [(403, NotAllowed), (500, Busy)])
def test_part_of_a_batch_that_stays_refused_is_an_error(status: int, kind: type[ConnectorError]) -> None:
    """A batch never leaves a user out because reading it failed."""
    refusal = {"error": {"code": "x", "message": "no"}}
    with pytest.raises(kind):
        scripted(_batch({"id": "0", "status": status, "body": refusal})).teams.voice_users_by_ids(["u1"])
