"""The fault plan: each fault through the Graph end, and how faults are chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.clock import Clock
from lab.faults import Faults, Verdict
from lab.pacing import Bucket
from lab.records import Json
from lab.rules import Refusal
from lab.server import Lab
from tests.fakes.graph_client import GraphClient
from tests.fakes.lab_people import FREE_NUMBER, ready, with_number, without_licence
from tests.fakes.slow_clock import SlowClock


def play(graph: GraphClient, name: str, operation: str = "*", **more: Any) -> None:
    """Add a fault over the control port."""
    match = {"operation": operation, "target": more.pop("target", "*")}
    graph.lab.control("POST", "/faults", {"name": name, "match": match, **more})


def test_latency_makes_calls_slow(tmp_path: Path) -> None:
    """A call waits for the latency of its fault and that of the setting."""
    clock = SlowClock()
    clock.over.set()
    with Lab(folder=tmp_path, users=2, clock=clock) as lab, GraphClient(lab) as graph:
        play(graph, "latency", "organization.list", seconds=0.5)
        lab.settings.operation_delay_s = 0.25
        graph.get("/organization").raise_for_status()
    assert clock.waits == [0.75]


def test_lag_shows_the_state_before_the_write(graph: GraphClient, clock: Clock) -> None:
    """A lagging read does not see a fresh assignment, on either side of it; later it does."""
    (user,) = ready(graph.lab.tenant, 1)
    clock.advance(1000)
    play(graph, "lag", "*.list", seconds=30)
    play(graph, "lag", "userConfigurations.get", seconds=30)
    graph.assign(FREE_NUMBER, user.id)
    path = f"/admin/teams/userConfigurations/{user.id}"
    assert graph.number(FREE_NUMBER) is None
    assert graph.get(path).json()["telephoneNumbers"] == []
    clock.advance(30)
    assert graph.number(FREE_NUMBER) is not None
    assert graph.get(path).json()["isEnterpriseVoiceEnabled"] is True


def test_a_dropped_reply_has_its_effect(graph: GraphClient) -> None:
    """The connection closes without an answer, the change is made, the log has one line."""
    user = without_licence(graph.lab.tenant)[0]
    play(graph, "drop_reply", "users.update", times=1)
    before = len(graph.lab.calls.since())
    with pytest.raises(httpx.TransportError):
        graph.call("PATCH", f"/users/{user.id}", json={"usageLocation": "SE"})
    assert graph.lab.tenant.users[user.id].text("usageLocation") == "SE"
    assert [line["operation"] for line in graph.lab.calls.since(before)] == ["users.update"]
    assert graph.get(f"/users/{user.id}").status_code == 200


def test_a_dropped_assignment_goes_on(graph: GraphClient, clock: Clock) -> None:
    """An assignment whose reply was lost is carried out all the same, once."""
    (user,) = ready(graph.lab.tenant, 1)
    graph.lab.settings.assignment_delay_s = 10
    play(graph, "drop_reply", "numberAssignments.assign", times=1)
    with pytest.raises(httpx.TransportError):
        graph.assign(FREE_NUMBER, user.id)
    clock.advance(10)
    assert graph.number(FREE_NUMBER) is not None
    assert sum(line["operation"] == "numberAssignments.assign" for line in graph.lab.calls.since()) == 1


def test_false_success_does_nothing(graph: GraphClient) -> None:
    """Every write says yes, no effect is logged and nothing has changed."""
    (user,), holder = ready(graph.lab.tenant, 1), with_number(graph.lab.tenant)[0]
    play(graph, "false_success")
    accepted = graph.assign(FREE_NUMBER, user.id)
    assert graph.get(accepted.headers["Location"]).json()["status"] == "succeeded"
    assert graph.call("PATCH", f"/users/{holder.id}", json={"usageLocation": "SE"}).status_code == 204
    assert FREE_NUMBER not in graph.lab.tenant.numbers
    assert all(line["effects"] == [] for line in graph.lab.calls.since() if line["write"])


@pytest.mark.parametrize("named", ["id", "upn"])
def test_a_fault_can_be_about_one_person(graph: GraphClient, named: str) -> None:
    """One person's writes are refused, whatever name is used; other people's work."""
    first, second = ready(graph.lab.tenant, 2)
    text = "Service is unavailable. Please try again"
    target = first.id if named == "id" else first.upn.upper()
    play(graph, "error", "users.update", target=target, status=400, code="BadRequest", message=text)
    refused = graph.call("PATCH", f"/users/{first.id}", json={"usageLocation": "SE"})
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, text)
    assert graph.call("PATCH", f"/users/{second.id}", json={"usageLocation": "SE"}).status_code == 204


def test_a_fault_can_name_an_address(graph: GraphClient) -> None:
    """A glob over method and path chooses calls as well as one over the operation's name."""
    play(graph, "unavailable", "GET /organ*")
    assert graph.get("/organization").status_code == 503
    assert graph.get("/subscribedSkus").status_code == 200


def test_throttling_says_how_long(graph: GraphClient) -> None:
    """Two calls are throttled after one passed; then all is well."""
    play(graph, "throttle", "users.list", retry_after_s=3, times=2, after=1)
    answers = [graph.get("/users", _top=1) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 429, 429, 200]
    assert answers[1].headers["Retry-After"] == "3"


def test_throttling_by_rate_counts_who_does_not_wait(graph: GraphClient) -> None:
    """Two calls pass, the third is refused, and who calls on inside the pause is counted."""
    bucket = Bucket(rate_per_s=2, burst=2, hold_s=1)
    moments = [0.0, 0.1, 0.2, 0.22, 0.9, 1.3]
    assert [bucket.admits(moment) for moment in moments] == [True, True, False, False, False, True]
    assert bucket.early == 1
    play(graph, "throttle", "organization.list", rate_per_s=1, burst=2, retry_after_s=60)
    assert [graph.get("/organization").status_code for _ in range(4)] == [200, 200, 429, 429]


def test_unavailable_does_nothing(graph: GraphClient) -> None:
    """A 503 comes before any work."""
    user = without_licence(graph.lab.tenant)[0]
    play(graph, "unavailable", "users.update", times=1)
    assert graph.call("PATCH", f"/users/{user.id}", json={"usageLocation": "SE"}).status_code == 503
    assert graph.lab.tenant.users[user.id] == user


def test_a_fault_can_be_taken_back(graph: GraphClient) -> None:
    """A removed fault is not played, and the list shows how often each one was."""
    made = graph.lab.faults.add({"name": "unavailable", "match": {"operation": "organization.*"}})
    graph.get("/organization")
    listed = graph.lab.faults.listed()[0]
    assert (listed["seen"], listed["played"]) == (1, 1)
    graph.lab.control("DELETE", f"/faults/{made}")
    assert graph.get("/organization").status_code == 200


def test_probability_comes_from_a_seed() -> None:
    """The same seed plays the same calls; about the right share of them."""
    fault: dict[str, Json] = {"name": "unavailable", "probability": 0.3}
    runs = []
    for _ in range(2):
        faults = Faults(seed=7)
        faults.add(fault)
        runs.append([faults.before("any").unavailable for _ in range(1000)])
    assert runs[0] == runs[1]
    assert 250 < sum(runs[0]) < 350


def test_several_faults_add_up() -> None:
    """Latencies add, the longest lag counts, and a dropped reply stays one."""
    faults = Faults()
    for name, seconds in (("latency", 1), ("latency", 2), ("lag", 5)):
        faults.add({"name": name, "seconds": seconds})
    faults.add({"name": "drop_reply", "match": {"target": "a*"}})
    assert faults.before("x", "b", "A1") == Verdict(latency_s=3, lag_s=5, drop_reply=True)


def test_unknown_faults_are_refused() -> None:
    """A misspelt fault is an error, not a silent nothing."""
    with pytest.raises(Refusal, match="there is no fault 'drop_replies'"):
        Faults().add({"name": "drop_replies"})
