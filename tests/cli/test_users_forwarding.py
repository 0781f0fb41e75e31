"""Call forwarding of users of Skype for Business Server in a search; two of three front ends are behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.server import Lab
from lab.settings import Settings
from lab.skype_records import Forwarding
from tests.fakes.command_line import Run
from tests.fakes.lab_environment import environment_of, skype_environment_of

pytestmark = pytest.mark.slow

LAG_S = 60.0
CMDLET = "Get-CsUserCallForwardingSettings"


@pytest.fixture
def lab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Point the settings at a small lab with people on the servers, whose front ends but one lag behind."""
    settings = Settings()
    settings.change({"hybrid_share": 0.5, "front_end_lag_s": LAG_S})
    with Lab(folder=folder / "lab", users=12, seed=3, settings=settings) as running:
        for name, value in (
            environment_of(running.endpoints, folder) | skype_environment_of(running.endpoints)
        ).items():
            monkeypatch.setenv(name, value)
        yield running


def homed(lab: Lab) -> str:
    """Give the account name of somebody who is homed on the servers."""
    return min(name for name, user in lab.tenant.skype.items() if user.pool is not None and user.enterprise_voice)


def forward(lab: Lab, account: str, target: str) -> None:
    """Let a user forward all calls, as the client does; the home front end knows it at once."""
    settings = Forwarding(forwarding=target)
    lab.tenant.forwarding.setdefault(account, []).append((lab.tenant.clock.now(), settings))


def found(run: Run, text: str) -> list[str]:
    """Give the ids of users with a text in the column."""
    users = run("users", "search", text, "--columns", "forwarding", "--json").json["users"]
    return [str(each["id"]) for each in users]


def test_the_newest_of_three_lagging_front_ends_is_found(lab: Lab, run: Run) -> None:
    """M99, M62: a new destination is found at once and stays, its age is shown, and that two front ends are behind."""
    account = homed(lab)
    user_id = lab.tenant.by_sam[account]
    forward(lab, account, "sip:reception@contoso.example")
    lab.tenant.clock.advance(LAG_S)
    assert run("users", "sync").code == 0
    assert found(run, "reception") == [user_id]
    forward(lab, account, "sip:sales@contoso.example")
    for _ in range(2):
        assert run("users", "sync").code == 0
        assert (found(run, "SALES"), found(run, "reception")) == ([user_id], [])
        assert "do not agree yet" in run("users", "show", user_id, "--json").json["forwarding_as_of"]
    lab.tenant.clock.advance(LAG_S)
    again = run("users", "sync", "--json").json
    assert (again["users_changed"], again["degraded"]) == (0, [])
    shown = run("users", "show", user_id, "--json").json
    assert shown["forwarding"] == "to sip:sales@contoso.example"
    assert "agree" not in shown["forwarding_as_of"]
    assert shown["as_of"]["forwarding"]
    assert {each["generation"] for each in run("users", "freshness", "--json").json} == {again["generation"]}
    assert f"generation {again['generation']} is shown" in run("users", "freshness").out


def test_a_front_end_that_is_out_and_all_of_them(lab: Lab, run: Run) -> None:
    """M99, M100: one front end that is out changes nothing; when none answers, what was known stays and it is said."""
    account = homed(lab)
    forward(lab, account, "sip:sales@contoso.example")
    lab.tenant.clock.advance(LAG_S)
    lab.control("POST", "/faults", {"name": "unavailable", "match": {"operation": CMDLET}, "times": 1})
    assert run("users", "sync").code == 0
    assert found(run, "sales") == [lab.tenant.by_sam[account]]
    lab.control("POST", "/faults", {"name": "unavailable", "match": {"operation": CMDLET}})
    ran = run("users", "sync", "--json")
    assert (ran.code, ran.json["degraded"]) == (1, ["forwarding"])
    assert found(run, "sales") == [lab.tenant.by_sam[account]]
    states = {each["source"]: each["state"] for each in run("users", "freshness", "--json").json}
    assert (states["skype"], states["forwarding"]) == ("fresh", "degraded")
