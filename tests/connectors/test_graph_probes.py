"""Probes: what is missing or wrong, in words a person can act on."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from connectors.graph_probes import REQUIRED_ROLES, probe_permissions, probe_time
from tests.fakes.scripted_graph import ok, scripted

NOON = datetime(2026, 10, 21, 12, tzinfo=UTC)


def test_missing_permissions_are_named() -> None:
    """The roles in our own token tell what was not granted; the right to write includes the right to read."""
    stand = scripted(ok({}))
    stand.tokens.roles = [role for role in REQUIRED_ROLES if not role.startswith(("Teams", "User.Read.All"))]
    (finding,) = probe_permissions(stand.graph.rest)
    assert not finding.ok
    assert finding.detail == (
        "missing: TeamsTelephoneNumber.ReadWrite.All, TeamsUserConfiguration.Read.All, "
        "TeamsPolicyUserAssign.ReadWrite.All"
    )
    assert finding.fix


def test_all_permissions_are_a_good_finding() -> None:
    """With every role granted nothing is missing."""
    stand = scripted(ok({}))
    stand.tokens.roles = list(REQUIRED_ROLES)
    assert [finding.ok for finding in probe_permissions(stand.graph.rest)] == [True]


def test_token_without_roles_says_nothing() -> None:
    """A token that we cannot read is no finding."""
    assert probe_permissions(scripted(ok({})).graph.rest) == []


@pytest.mark.parametrize(("date", "is_right"), [("11:58:00", True), ("11:50:00", False), ("12:06:00", False)])
def test_clock_that_is_wrong_is_told(date: str, is_right: bool) -> None:
    """More than five minutes from the service's time is a finding with a remedy."""
    answer = httpx.Response(200, json={}, headers={"Date": f"Wed, 21 Oct 2026 {date} GMT"})
    (finding,) = probe_time(scripted(answer).graph.rest, now=lambda: NOON)
    assert finding.ok is is_right
    assert bool(finding.fix) is not is_right


@pytest.mark.parametrize("answer", [httpx.Response(200, json={}), httpx.Response(403)])
def test_service_that_tells_no_time_is_no_finding(answer: httpx.Response) -> None:
    """Without a date there is nothing to compare."""
    assert probe_time(scripted(answer).graph.rest) == []
