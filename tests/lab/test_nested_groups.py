"""Nested groups through our own connector: templates are given by groups, and tenants nest them in circles."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cli.main import main
from config.settings import read_settings
from config.site_templates import LifecycleTemplate, Match, NumberSource
from connectors.database import Database
from datasets.people import Person
from deployments.environment import PROJECT
from engine.observe import Row, situations
from engine.opening import open_systems
from engine.runtime import Runtime
from lab.records import Group, User, opaque_id
from lab.server import Lab
from tests.fakes.graph_client import GraphClient
from tests.fakes.lab_environment import environment_of


def test_groups_that_hold_each_other_have_the_same_people(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M103: Ring A and Ring B hold each other; reading ends, and both have everybody below, groups left out."""
    for name, value in environment_of(lab.endpoints, tmp_path).items():
        monkeypatch.setenv(name, value)
    with open_systems(read_settings()) as systems:
        rings = [systems.graph.member_ids(name) for name in ("Ring A", "Ring B")]
    tenant = lab.tenant
    groups = {group.display_name: group for group in tenant.groups.values()}
    below = {each for ring in ("Ring A", "Ring B") for each in groups[ring].members if each not in tenant.groups}
    departments = {each for ring in ("Ring A", "Ring B") for each in groups[ring].members if each in tenant.groups}
    people = below | {each for name in departments for each in tenant.groups[name].members if each in tenant.users}
    assert rings == [frozenset(people), frozenset(people)]
    assert len(people) > 2


def test_depth_of_nesting_is_shown_by_the_doctor(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """M103: a group of groups in a circle ends, and the doctor says how many people and how deep."""
    site = tmp_path / "site"
    shutil.copytree(PROJECT / "config" / "sample", site)
    templates = site / "templates.toml"
    text = templates.read_text(encoding="utf-8")
    contractors = 'match = { worker_type = ["contractor"]'
    templates.write_text(text.replace(contractors, f'{contractors}, groups = ["Ring A"]', 1), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name, value in environment_of(lab.endpoints, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CALLWRIGHT_SITE", str(site))
    main(["doctor", "--json"])
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert "groups nested 2 deep" in findings["group Ring A"]["detail"]


# ---- random graphs

NAMES = [f"Circle {number}" for number in range(6)]
graphs = st.lists(st.sets(st.integers(0, 10), max_size=4), min_size=len(NAMES), max_size=len(NAMES))


def closure(graph: list[set[int]]) -> list[set[int]]:
    """Give the people below each group by brute force: members are groups 0 to 5 and people 6 to 10."""
    size = 11
    reach = [[inner in graph[outer] if outer < len(graph) else False for inner in range(size)] for outer in range(size)]
    for middle, outer, inner in itertools.product(range(size), repeat=3):
        reach[outer][inner] |= reach[outer][middle] and reach[middle][inner]
    return [{person for person in range(len(NAMES), size) if reach[group][person]} for group in range(len(NAMES))]


def put_graph(lab: Lab, people: Sequence[User], graph: list[set[int]]) -> None:
    """Make the groups of a graph in the tenant; one that holds itself does so through the others only."""
    ids = [*(opaque_id("group", name) for name in NAMES), *(user.id for user in people)]
    with lab.tenant.lock:
        for place, name in enumerate(NAMES):
            members = tuple(ids[member] for member in sorted(graph[place] - {place}))
            lab.tenant.put_group(Group(ids[place], name, members))


def test_random_nested_groups_choose_the_templates_that_brute_force_chooses(
    lab: Lab, sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M52, M103: whatever circles groups make, Graph, the connector and the choice of templates see the same people."""
    for name, value in environment_of(lab.endpoints, tmp_path).items():
        monkeypatch.setenv(name, value)
    people = [user for user in lab.tenant.users.values() if user.text("employeeId")][:5]
    rows = [Row("f-1", line, Person(employee_id=user.text("employeeId") or "")) for line, user in enumerate(people, 2)]
    templates = [
        LifecycleTemplate(
            name=f"t{place}", priority=place + 1, match=Match(groups=(name,)), number_source=NumberSource.NONE
        )
        for place, name in enumerate(NAMES)
    ]
    with open_systems(read_settings()) as systems, GraphClient(lab) as graph_client:
        runtime = Runtime(sqlite, systems.for_engine())

        @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
        @given(graphs)
        @example([{1}, {2}, {0, 6}, {3}, {5, 7}, {4, 8}])
        def check(graph: list[set[int]]) -> None:
            put_graph(lab, people, graph)
            below = closure([members - {place} for place, members in enumerate(graph)])
            for place, name in enumerate(NAMES):
                ids = frozenset(people[person - len(NAMES)].id for person in below[place])
                assert systems.graph.member_ids(name) == ids
                path = f"/groups/{opaque_id('group', name)}/transitiveMembers"
                shown = [m["id"] for m in graph_client.all(path) if m["@odata.type"] == "#microsoft.graph.user"]
                assert sorted(shown) == sorted(ids)
            for place, found in enumerate(situations(runtime, templates, rows)):
                fitting = [number for number in range(len(NAMES)) if len(NAMES) + place in below[number]]
                chosen = found.template.name if found.template else None
                assert chosen == (f"t{fitting[0]}" if fitting else None)

        check()
