"""Users delta of the lab's Graph end."""

from __future__ import annotations

from typing import Any

import pytest

from lab.clock import Clock
from tests.fakes.graph_client import GraphClient
from tests.fakes.lab_people import without_licence

SELECT = "id,displayName,usageLocation"
WEEK_S = 7 * 86400.0


def collect(graph: GraphClient, link: str, **query: str) -> tuple[list[dict[str, Any]], str]:
    """Follow a delta round to its end; gives the values and the delta link."""
    pages = list(graph.pages(link, **query))
    return [value for page in pages for value in page["value"]], pages[-1]["@odata.deltaLink"]


def test_the_first_round_gives_everybody(graph: GraphClient) -> None:
    """Without a token everybody comes, with the selected properties."""
    values, _ = collect(graph, "/users/delta", _select=SELECT)
    assert {value["id"] for value in values} == set(graph.lab.tenant.users)
    assert set(values[0]) == set(SELECT.split(","))


def test_changes_come_once_and_then_nothing(graph: GraphClient) -> None:
    """Changed, new, soft-deleted and purged accounts come once, and no more."""
    changed, deleted, purged = without_licence(graph.lab.tenant)[:3]
    _, link = collect(graph, "/users/delta", _select=SELECT)
    graph.call("PATCH", f"/users/{changed.id}", json={"usageLocation": "SE"})
    graph.lab.tenant.delete_user(deleted.id)
    graph.lab.tenant.purge_user(purged.id)
    new = graph.lab.tenant.create_user({"userPrincipalName": "new@contoso.example"})
    values, link = collect(graph, link)
    by_id = {value["id"]: value for value in values}
    assert set(by_id) == {changed.id, deleted.id, purged.id, new.id}
    assert by_id[changed.id]["usageLocation"] == "SE"
    assert by_id[deleted.id]["@removed"] == {"reason": "changed"}
    assert by_id[purged.id]["@removed"] == {"reason": "deleted"}
    assert collect(graph, link)[0] == []


def test_many_changes_are_paged(graph: GraphClient) -> None:
    """More changes than a page come over several pages without loss."""
    _, link = collect(graph, "/users/delta")
    made = {graph.lab.tenant.create_user({"userPrincipalName": f"n{i}@contoso.example"}).id for i in range(450)}
    values, _ = collect(graph, link)
    assert {value["id"] for value in values} == made


def test_latest_starts_from_now(graph: GraphClient) -> None:
    """The token `latest` gives nothing but a link."""
    values, link = collect(graph, "/users/delta", _deltatoken="latest")
    assert values == []
    assert collect(graph, link)[0] == []


def test_an_old_token_is_gone(graph: GraphClient, clock: Clock) -> None:
    """A token works for seven days; then 410 points to the start."""
    _, link = collect(graph, "/users/delta")
    clock.advance(WEEK_S)
    assert graph.get(link).status_code == 200
    clock.advance(1)
    answer = graph.get(link)
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "syncStateNotFound")
    assert graph.get(answer.headers["Location"]).status_code == 200


def test_a_lagging_delta_delivers_later(graph: GraphClient, clock: Clock) -> None:
    """What has not replicated yet is not lost: a later round brings it."""
    _, link = collect(graph, "/users/delta", _select=SELECT)
    graph.lab.settings.replication_lag_s = 60
    user = without_licence(graph.lab.tenant)[0]
    graph.call("PATCH", f"/users/{user.id}", json={"usageLocation": "SE"})
    values, link = collect(graph, link)
    assert values == []
    clock.advance(60)
    values, _ = collect(graph, link)
    assert [value["usageLocation"] for value in values] == ["SE"]


@pytest.mark.parametrize("option", ["top", "filter", "orderby", "expand"])
def test_unsupported_options_are_refused(graph: GraphClient, option: str) -> None:
    """Delta takes no paging, ordering or expansion."""
    assert graph.get(f"/users/delta?${option}=x").status_code == 400
