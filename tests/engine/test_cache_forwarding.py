"""Call forwarding on-premises in the cache: the newest of several front ends, few users at a time."""

from __future__ import annotations

import pytest

from connectors.database import Database
from connectors.errors import NotFound, Unreachable, Unsupported
from engine import cache, cache_forwarding, user_search
from engine.cache_sources import everything
from engine.cache_sync import SyncResult, sync
from engine.runtime import Runtime
from tests.fakes.fake_skype import FakeSkype
from tests.fakes.plans import fresh, runtime_on
from tests.fakes.tenant import FakeTenant


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant of ten users, five of them homed on the servers."""
    found = fresh(10)
    found.skype = FakeSkype(found)
    for number in range(1, 6):
        found.skype.home(f"id-{number}")
    return found


@pytest.fixture
def server(tenant: FakeTenant) -> FakeSkype:
    """Give its servers."""
    assert tenant.skype is not None
    return tenant.skype


@pytest.fixture
def runtime(database: Database, tenant: FakeTenant) -> Runtime:
    """Give what a sync needs, once on each database."""
    return runtime_on(database, tenant)


def run(runtime: Runtime, most: int = 100) -> SyncResult:
    """Sync the whole tenant."""
    return sync(runtime, everything(runtime, forwarding=most))


def found(runtime: Runtime, text: str) -> set[str]:
    """Give the keys of users with a text in any column."""
    with runtime.database.read() as connection:
        return {each.key for each in user_search.page(connection, text)}


def as_of(runtime: Runtime, key: str) -> str:
    """Say when the call forwarding of a user was read."""
    with runtime.database.read() as connection:
        return cache_forwarding.as_of(connection, key)


def trouble(result: SyncResult) -> dict[str, str]:
    """Give what is wrong with which source."""
    return {each.source: each.trouble for each in result.sources if each.trouble}


def test_a_text_finds_voicemail_and_call_forwarding(runtime: Runtime, tenant: FakeTenant, server: FakeSkype) -> None:
    """M62: "sales" finds exactly two rows, one by its voicemail policy and one by where its calls go."""
    tenant.users["id-7"].policies = {"OnlineVoicemailPolicy": "Sales"}
    server.forwarding["user3@lab.test"] = ["sip:sales@lab.test"]
    assert not run(runtime).is_degraded
    assert found(runtime, "SALES") == {"id-3", "id-7"}


def test_the_newest_of_three_front_ends_stays_while_others_lag(
    runtime: Runtime, tenant: FakeTenant, server: FakeSkype
) -> None:
    """M99: the newest answer counts at once and on, its age is shown, and whether the front ends agree."""
    person = "user2@lab.test"
    server.forwarding[person] = ["tel:+431", "tel:+431", "tel:+431"]
    run(runtime)
    first = as_of(runtime, "id-2")
    for _ in range(2):
        tenant.clock.sleep(60)
        server.forwarding[person] = ["tel:+432", "tel:+431", "tel:+431"]
        run(runtime)
        assert (found(runtime, "to tel:+432"), found(runtime, "to tel:+431")) == ({"id-2"}, set())
        assert as_of(runtime, "id-2") > first
        assert "do not agree yet" in as_of(runtime, "id-2")
    server.forwarding[person] = ["tel:+432"] * 3
    assert run(runtime).views == 0
    assert "agree" not in as_of(runtime, "id-2")
    assert as_of(runtime, "id-9") == ""


def test_few_users_are_asked_for_and_everybody_has_a_turn(
    runtime: Runtime, tenant: FakeTenant, server: FakeSkype
) -> None:
    """One sync reads so many users homed on premises: those never read first, then those read longest ago."""
    rounds: list[list[str]] = []
    for _ in range(4):
        server.asked.clear()
        assert not run(runtime, 2).is_degraded
        rounds.append([*server.asked])
        tenant.clock.sleep(60)
    assert sorted({*rounds[0], *rounds[1], *rounds[2]}) == [f"user{number}@lab.test" for number in range(1, 6)]
    assert [len(each) for each in rounds] == [2, 2, 2, 2]
    assert set(rounds[3]).isdisjoint(rounds[2])
    server.asked.clear()
    run(runtime, 0)
    assert server.asked == []


def test_who_is_moved_to_the_cloud_is_no_longer_asked_for(runtime: Runtime, server: FakeSkype) -> None:
    """What the servers had of somebody who was moved is not shown any more."""
    server.forwarding["user3@lab.test"] = ["sip:sales@lab.test"]
    run(runtime)
    for address in list(server.people):
        server.people[address] = server.people[address].model_copy(
            update={"hosting_provider": "sipfed.online.lync.com"}
        )
    server.asked.clear()
    assert not run(runtime).is_degraded
    assert (server.asked, found(runtime, "sales")) == ([], set())


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        ("skype.call_forwarding", Unreachable("the front ends do not answer")),
        ("skype.call_forwarding", Unsupported("there is no such cmdlet")),
        ("skype.front_ends", Unreachable("the servers do not answer")),
    ],
    ids=["silent", "no-cmdlet", "no-pool"],
)
def test_what_cannot_be_read_is_degraded(
    runtime: Runtime, tenant: FakeTenant, server: FakeSkype, failing: str, error: Exception
) -> None:
    """M100: servers that do not say it leave what was known, and every other source is synced."""
    server.forwarding["user3@lab.test"] = ["sip:sales@lab.test"]
    run(runtime)

    def fail(name: str, _target: str) -> None:
        if name == failing:
            raise error

    tenant.before = fail
    tenant.users["id-8"].usage_location = "DE"
    assert trouble(run(runtime)) == {"forwarding": str(error)}
    assert (found(runtime, "sales"), found(runtime, "DE")) == ({"id-3"}, {"id-8"})


def test_a_list_that_breaks_off_degrades_both(runtime: Runtime, tenant: FakeTenant, server: FakeSkype) -> None:
    """Where the users of the servers cannot be listed nobody is asked for, and nobody forgotten."""
    server.forwarding["user3@lab.test"] = ["sip:sales@lab.test"]
    run(runtime)

    def fail(name: str, _target: str) -> None:
        if name == "skype.everybody":
            raise Unreachable("the servers do not answer")

    tenant.before = fail
    assert set(trouble(run(runtime))) == {"skype", "forwarding"}
    assert found(runtime, "sales") == {"id-3"}


def test_one_silent_front_end_and_one_odd_user_spoil_nothing(
    runtime: Runtime, tenant: FakeTenant, server: FakeSkype
) -> None:
    """The others answer for a front end that is out; a user whom the servers do not know there has no forwarding."""
    server.forwarding["user2@lab.test"] = ["tel:+431"] * 3
    calls = iter(range(100))

    def fail(name: str, target: str) -> None:
        if name == "skype.call_forwarding" and target == "user1@lab.test":
            raise NotFound("nobody of this name")
        if name == "skype.call_forwarding" and next(calls) % 3 == 0:
            raise Unreachable("one front end is out")

    tenant.before = fail
    assert not run(runtime).is_degraded
    assert found(runtime, "to tel:+431") == {"id-2"}
    with runtime.database.read() as connection:
        states = {each.source: each.state for each in cache.freshness(connection)}
    assert states["forwarding"] == "fresh"
