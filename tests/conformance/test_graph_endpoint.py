"""What we need of Microsoft Graph: the lab here, a real tenant by `make conformance TENANT_ID=…`.

Reads only; the last part writes the usage location of a test user that is named on purpose, with the value it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from connectors.errors import Refused
from connectors.graph import Graph
from connectors.graph_calls import Call
from connectors.graph_listing import GraphListing
from connectors.teams import Teams
from tests.fakes.conformance_target import GraphTarget, lab_graph, named_graph

NOBODY = "00000000-0000-4000-a000-00000000dead"


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest) -> GraphTarget:
    """Give what the suite is pointed at; a lab is started only when nothing is named."""
    return named_graph() or lab_graph(request.getfixturevalue("endpoints"))


@pytest.fixture(scope="module")
def graph(target: GraphTarget) -> Iterator[Graph]:
    """Give our connector, signed in once."""
    with target.connector() as graph:
        yield graph


def test_probes_find_nothing_wrong(graph: Graph) -> None:
    """Sign-in, clock, address and permissions are as the doctor wants them."""
    assert not [finding for finding in graph.probe() if not finding.ok]


def test_pages_are_linked(graph: Graph) -> None:
    """A page of one user links to the next, which holds another."""
    call = Call("read the users", "users", params={"$select": "id", "$top": "1"})
    first, second = islice(graph.rest.pages(call), 2)
    assert len(first["value"]) == len(second["value"]) == 1
    assert first["value"] != second["value"]


def test_users_are_found_by_id_and_by_name(graph: Graph) -> None:
    """A user of the list is the same user by id, by name and in an `in` filter."""
    user = next(graph.users())
    assert graph.user(user.id) == user
    assert graph.user(user.user_principal_name) == user
    assert graph.users_by_ids([user.id, NOBODY]) == {user.id: user}


def test_who_does_not_exist_is_none(graph: Graph) -> None:
    """Absence is an answer, no error."""
    teams = Teams(graph)
    assert graph.user(NOBODY) is None
    assert teams.voice_user(NOBODY) is None
    assert teams.number("+999999999999999") is None
    assert graph.users_by_employee_ids(["callwright-nobody"]) == {}


def test_a_filter_that_is_not_understood_is_refused(graph: Graph) -> None:
    """A wrong property is told as such instead of giving everybody."""
    with pytest.raises(Refused):
        list(graph.users("callwrightNothing eq 'a'"))


def test_quotes_in_values_are_data(graph: Graph) -> None:
    """A name with quotes finds nobody and breaks nothing."""
    assert graph.group_by_name("callwright 'nobody' or true") is None


def test_delta_ends_with_a_link_that_can_be_followed(graph: Graph) -> None:
    """Everything once, then only what changed since."""
    pages = list(graph.users_delta())
    assert pages[-1].delta_link
    following = list(graph.users_delta(pages[-1].delta_link))
    assert following[-1].delta_link
    assert sum(len(page.changes) for page in following) <= sum(len(page.changes) for page in pages)


def test_many_are_read_in_one_request(graph: Graph) -> None:
    """A batch answers each part, those that do not exist too."""
    teams = Teams(graph)
    users = [user.id for user in islice(teams.voice_users(), 25)]
    assert set(teams.voice_users_by_ids([*users, NOBODY])) == set(users)


def test_groups_and_nested_members_are_read(graph: Graph) -> None:
    """Members of a group are users of its transitive members, each once."""
    group = next(GraphListing(graph).groups(), None)
    if group is None:
        pytest.skip("the tenant has no group")
    members = list(graph.transitive_members(group.id))
    assert len(set(members)) == len(members)


def test_licences_numbers_and_policies_are_readable(graph: Graph) -> None:
    """What planning reads is readable and has the form that we expect."""
    teams = Teams(graph)
    assert all(sku.sku_id and sku.enabled_units >= 0 for sku in graph.subscribed_skus())
    numbers = list(islice(teams.numbers(), 50))
    assert all(number.telephone_number.startswith("+") for number in numbers)
    assert teams.policy_id("TeamsCallingPolicy", "callwright-nobody") is None


def test_the_usage_location_of_the_test_user_is_written_as_it_is(graph: Graph, target: GraphTarget) -> None:
    """A write is accepted and changes nothing else."""
    if target.test_user is None:
        pytest.skip("nothing is written without TEST_USER")
    before = graph.user(target.test_user)
    assert before is not None, f"TEST_USER {target.test_user} does not exist"
    assert before.usage_location, f"TEST_USER {target.test_user} has no usage location"
    graph.set_usage_location(before.id, before.usage_location)
    assert graph.user(before.id) == before
