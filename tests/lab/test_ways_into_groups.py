"""The way from a user up into a group, through our own connector: what an explanation names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from config.settings import read_settings
from engine.explain_groups import memberships
from engine.opening import open_systems
from lab.catalogue import E5
from lab.records import Licence
from lab.server import Lab
from tests.fakes.lab_environment import environment_of


def test_the_way_into_a_group_is_read_upwards(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """M103: who is in a group through others is told with those in between; and which group gives a licence."""
    for name, value in environment_of(lab.endpoints, tmp_path).items():
        monkeypatch.setenv(name, value)
    tenant = lab.tenant
    groups = {group.display_name: group for group in tenant.groups.values()}
    department = next(each for each in groups["All Employees"].members if each in tenant.groups)
    user = tenant.users[next(each for each in tenant.groups[department].members if each in tenant.users)]
    held = Licence(E5, tenant.clock.now(), by_group=department)
    tenant.put_user(replace(user, licences=(held,)))
    with open_systems(read_settings()) as systems:
        given = systems.graph.licence_groups(user.id)
        found = memberships(systems.graph, user.id, {"All Employees": ["all"]}, {given[E5][0]: ["SPE_E5"]})
    name = tenant.groups[department].display_name
    by_group = {each.group: each for each in found}
    assert by_group["All Employees"].through == (name,)
    assert (by_group[name].through, by_group[name].licences) == ((), ("SPE_E5",))
