"""Nested groups through our own connector: templates are given by groups, and tenants nest them in circles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cli.main import main
from config.settings import read_settings
from deployments.environment import PROJECT
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
