"""Calling settings in Teams in the cache: few users at a time, touched ones first, shown like every other column."""

from __future__ import annotations

import pytest

from connectors.database import Database
from connectors.errors import NotFound, Unreachable
from engine import cache, cache_calls, user_search
from engine.cache_few import some_users
from engine.cache_sources import everything
from engine.cache_sync import SyncResult, sync
from engine.cache_touched import Touched
from engine.runtime import Runtime
from tests.fakes.calling import FakeCalling
from tests.fakes.plans import continue_until_settled, define_pool, fresh, runtime_on, store_plan
from tests.fakes.tenant import FakeTenant

SALES = "sip:sales@lab.test"
VOICED = [f"id-{number}" for number in range(1, 6)]


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant of ten users, five of them with Enterprise Voice."""
    found = fresh(10)
    FakeCalling(found)
    for key in VOICED:
        found.users[key].enterprise_voice = True
    return found


@pytest.fixture
def calling(tenant: FakeTenant) -> FakeCalling:
    """Give its calling settings."""
    assert isinstance(tenant.calling, FakeCalling)
    return tenant.calling


@pytest.fixture
def runtime(database: Database, tenant: FakeTenant) -> Runtime:
    """Give what a sync needs, once on each database."""
    return runtime_on(database, tenant)


def run(runtime: Runtime, most: int = 100) -> SyncResult:
    """Sync the whole tenant."""
    return sync(runtime, everything(runtime, calls=most))


def columns(runtime: Runtime, text: str) -> dict[str, dict[str, str]]:
    """Give what a search for a text shows, by user."""
    with runtime.database.read() as connection:
        return {each.key: each.columns for each in user_search.page(connection, text)}


def as_of(runtime: Runtime, key: str) -> str:
    """Say when the calling settings of a user were read."""
    with runtime.database.read() as connection:
        return cache_calls.as_of(connection, key)


def forward(calling: FakeCalling, user_id: str, **more: str) -> None:
    """Let a user forward calls to the sales department."""
    settings = {"ForwardingType": "Immediate", "ForwardingTargetType": "SingleTarget", "ForwardingTarget": SALES}
    calling.groups[user_id] = {"forwarding": {"IsForwardingEnabled": True, **settings, **more}}


def test_where_calls_go_is_shown(runtime: Runtime, tenant: FakeTenant, calling: FakeCalling) -> None:
    """M62: "sales" finds exactly two rows, one by its voicemail policy and one by where its calls go in Teams."""
    tenant.users["id-7"].policies = {"OnlineVoicemailPolicy": "Sales"}
    forward(calling, "id-3")
    calling.delegates["id-4"] = ["sip:user9@lab.test", "sip:user8@lab.test"]
    forward(calling, "id-5", ForwardingType="Simultaneous", ForwardingTarget="+431")
    assert not run(runtime).is_degraded
    assert set(columns(runtime, "SALES")) == {"id-3", "id-7"}
    found = columns(runtime, "voicemail after 20 s")
    assert sorted(found) == VOICED
    assert found["id-3"]["teams_forwarding"] == SALES
    assert found["id-4"]["delegates"] == "sip:user8@lab.test, sip:user9@lab.test"
    assert (found["id-5"]["teams_rings_too"], found["id-5"].get("teams_forwarding")) == ("+431", None)


def test_only_users_with_voice_are_asked_for_and_everybody_has_a_turn(
    runtime: Runtime, tenant: FakeTenant, calling: FakeCalling
) -> None:
    """One sync asks for so many: those never read first, then those read longest ago; with 0 nobody is."""
    rounds: list[list[str]] = []
    for _ in range(4):
        calling.asked.clear()
        assert not run(runtime, 2).is_degraded
        rounds.append([*calling.asked])
        tenant.clock.sleep(60)
    assert rounds == [["id-1", "id-2"], ["id-3", "id-4"], ["id-5", "id-1"], ["id-2", "id-3"]]
    assert as_of(runtime, "id-1") > as_of(runtime, "id-4") > as_of(runtime, "id-9") == ""
    calling.asked.clear()
    run(runtime, 0)
    assert calling.asked == []


def test_whom_we_changed_is_asked_for_first(runtime: Runtime, tenant: FakeTenant, calling: FakeCalling) -> None:
    """A user whom we changed since the last read comes before those who were read longer ago, also in a refresh."""
    run(runtime)
    define_pool(runtime)
    tenant.users["id-9"].enterprise_voice = False
    store_plan(runtime, tenant, ["id-9"])
    continue_until_settled(runtime, tenant)
    calling.asked.clear()
    run(runtime, 1)
    assert calling.asked == ["id-9"]
    forward(calling, "id-9")
    assert not sync(
        runtime, some_users(runtime, Touched(runtime.now(), frozenset({"id-8", "id-9"})), calls=5)
    ).is_degraded
    assert calling.asked == ["id-9", "id-9"]
    assert set(columns(runtime, "sales")) == {"id-9"}


def test_unchanged_settings_change_no_user(runtime: Runtime, tenant: FakeTenant, calling: FakeCalling) -> None:
    """What is read again and is as it was rewrites nobody's row; only the moment moves on."""
    forward(calling, "id-3")
    run(runtime)
    first = as_of(runtime, "id-3")
    tenant.clock.sleep(60)
    assert run(runtime).views == 0
    assert as_of(runtime, "id-3") > first


def test_who_has_no_voice_any_more_is_forgotten(runtime: Runtime, tenant: FakeTenant, calling: FakeCalling) -> None:
    """Without Enterprise Voice nothing is shown, and nobody asks."""
    for key in VOICED:
        forward(calling, key)
    run(runtime)
    for key in VOICED[1:]:
        tenant.users[key].enterprise_voice = False
    calling.asked.clear()
    assert not run(runtime).is_degraded
    assert (calling.asked, set(columns(runtime, "sales"))) == (["id-1"], {"id-1"})


def test_a_source_that_is_out_keeps_what_was_known(runtime: Runtime, tenant: FakeTenant, calling: FakeCalling) -> None:
    """M100: PowerShell that does not answer degrades this source alone; nobody is asked for long."""
    forward(calling, "id-3")
    run(runtime)
    calling.asked.clear()

    def fail(name: str, _target: str) -> None:
        if name == "calling.calls":
            raise Unreachable("the management host does not answer")

    tenant.before = fail
    tenant.users["id-8"].usage_location = "DE"
    result = run(runtime)
    assert {each.source: each.trouble for each in result.sources if each.trouble} == {
        "teams_calls": "the management host does not answer"
    }
    assert len(calling.asked) == 3
    assert (set(columns(runtime, "sales")), set(columns(runtime, "DE"))) == ({"id-3"}, {"id-8"})
    with runtime.database.read() as connection:
        states = {each.source: each.state for each in cache.freshness(connection)}
    assert (states["teams_calls"], states["voice"]) == ("degraded", "fresh")


def test_one_odd_and_one_silent_user_spoil_nothing(runtime: Runtime, tenant: FakeTenant, calling: FakeCalling) -> None:
    """Who is not known there has no settings; who is not answered keeps what was read and has the next turn."""
    forward(calling, "id-2")
    run(runtime)
    tenant.clock.sleep(60)

    def fail(name: str, target: str) -> None:
        if name == "calling.calls" and target == "id-1":
            raise NotFound("nobody of this name")
        if name == "calling.calls" and target == "id-2":
            raise Unreachable("too slow")

    tenant.before = fail
    assert not run(runtime).is_degraded
    assert set(columns(runtime, "sales")) == {"id-2"}
    assert as_of(runtime, "id-2") < as_of(runtime, "id-1")


def test_nobody_is_asked_when_the_users_cannot_be_listed(runtime: Runtime, tenant: FakeTenant) -> None:
    """Without a list of users nothing is known of Enterprise Voice: that is trouble, and not an empty answer."""

    def fail(name: str, _target: str) -> None:
        if name == "teams.voice_users":
            raise Unreachable("Teams does not answer")

    tenant.before = fail
    troubles = {each.source for each in run(runtime).sources if each.trouble}
    assert troubles == {"voice", "teams_calls"}
