"""Nested groups through our own connector: templates are given by groups, and tenants nest them in circles."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import read_settings
from engine.opening import open_systems
from lab.server import Lab
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
