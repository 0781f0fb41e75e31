"""`$batch` of the lab's Graph end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.graph_client import GraphClient
from tests.fakes.lab_people import without_licence

JSON = {"Content-Type": "application/json"}


def part(key: str, url: str = "/organization", **more: Any) -> dict[str, Any]:
    """Make one request of a batch."""
    return {"id": key, "method": "GET", "url": url, **more}


def batch(graph: GraphClient, *parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Send a batch; gives the responses by id."""
    answer = graph.post("/$batch", {"requests": list(parts)}).raise_for_status()
    return {response["id"]: response for response in answer.json()["responses"]}


def test_parts_are_answered_one_by_one(graph: GraphClient) -> None:
    """The batch is 200 although a part is 404, and each part is logged."""
    user = without_licence(graph.lab.tenant)[0]
    patch = part("c", f"/users/{user.id}", method="PATCH", body={"usageLocation": "SE"}, headers=JSON)
    found = batch(graph, part("a", "/users?$top=2&$select=id"), part("b", "users/nobody"), patch)
    assert {key: response["status"] for key, response in found.items()} == {"a": 200, "b": 404, "c": 204}
    assert len(found["a"]["body"]["value"]) == 2
    assert [line["operation"] for line in graph.lab.calls.since()[-3:]] == ["users.list", "users.get", "users.update"]


@pytest.mark.parametrize(
    "parts",
    [
        [part(str(index)) for index in range(21)],
        [part("a"), part("a")],
        [part("a", dependsOn=["b"])],
        [part("a", dependsOn=["b"]), part("b", dependsOn=["a"])],
        [],
    ],
    ids=["too many", "doubled id", "unknown dependency", "circle", "empty"],
)
def test_malformed_batches_are_refused(graph: GraphClient, parts: list[dict[str, Any]]) -> None:
    """A batch that breaks the rules is 400 as a whole."""
    assert graph.post("/$batch", {"requests": parts}).status_code == 400


def test_dependents_of_a_failure_are_not_made(graph: GraphClient) -> None:
    """What depends on a failed part is 424; the order follows the dependencies."""
    found = batch(graph, part("z", dependsOn=["a"]), part("a", "/users/nobody"), part("m"))
    assert {key: response["status"] for key, response in found.items()} == {"z": 424, "a": 404, "m": 200}


def test_a_body_needs_its_content_type(graph: GraphClient) -> None:
    """A part with a body and no Content-Type is 400."""
    assert batch(graph, part("a", method="POST", body={}))["a"]["status"] == 400


def test_parts_are_throttled_one_by_one(graph: GraphClient) -> None:
    """A 429 with its Retry-After hides inside a 200."""
    graph.lab.faults.add({"name": "throttle", "match": {"operation": "users.get"}, "retry_after_s": 7})
    found = batch(graph, part("a", "/users/x"), part("b"))
    assert (found["a"]["status"], found["a"]["headers"]["Retry-After"], found["b"]["status"]) == (429, "7", 200)
