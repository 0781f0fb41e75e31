"""The cache follows the tenant: what differs is written and shown at once; a source that fails loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from connectors.database import Database
from connectors.errors import NotFound, Unreachable
from datasets.cached import Document, canonical
from datasets.tables.cache import cache_documents, user_views
from engine import cache, cache_touched, user_search
from engine.cache_few import some_users
from engine.cache_sources import everything, of_groups, of_servers
from engine.cache_sync import Gone, Reading, Removals, SyncResult, sync
from engine.cache_touched import Touched
from engine.leases import LeaseHeld
from engine.runtime import Runtime
from tests.fakes.fake_skype import POOL, FakeSkype
from tests.fakes.plans import continue_until_settled, define_pool, fresh, runtime_on, store_plan
from tests.fakes.tenant import SKU, FakeTenant


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant of thirty users."""
    return fresh(30)


@pytest.fixture
def runtime(database: Database, tenant: FakeTenant) -> Runtime:
    """Give what a sync needs, once on each database."""
    return runtime_on(database, tenant)


@dataclass
class Answer:
    """What a source answers, and after how many objects it fails."""

    source: str
    keys: list[str]
    is_complete: bool = True
    fails_after: int | None = None
    covers_all: bool = True
    link: str = ""
    at_once: int = cache.SLICE

    def __iter__(self) -> Iterator[Document | Gone]:
        """Give the objects."""
        for place, key in enumerate(self.keys):
            if place == self.fails_after:
                raise Unreachable("the source went away", system="test")
            yield Document(key, canonical({"id": key}))


def run(runtime: Runtime, *readings: Reading, removals: Removals | None = None) -> SyncResult:
    """Sync these sources, or the whole tenant."""
    return sync(runtime, readings or everything(runtime), removals)


def shown(runtime: Runtime, query: str = "") -> dict[str, dict[str, str]]:
    """Give what a search shows: columns by key."""
    with runtime.database.read() as connection:
        return {each.key: each.columns for each in user_search.page(connection, query, limit=1000)}


def keys_of(runtime: Runtime, source: str) -> set[str]:
    """Give the keys of a source that readers see."""
    with runtime.database.read() as connection:
        return set(cache.known(connection, source, cache.generation(connection)))


def test_a_first_sync_shows_every_user(runtime: Runtime) -> None:
    """What Graph, Teams and the directory say of a user is side by side."""
    result = run(runtime)
    assert not result.is_degraded
    assert result.views == 30
    assert shown(runtime)["id-7"] == {
        "name": "user7@lab.test",
        "address": "user7@lab.test",
        "employee_id": "00007",
        "enabled": "yes",
        "account_type": "user",
        "voice": "no",
    }


def test_an_identical_answer_writes_no_row(runtime: Runtime) -> None:
    """M84: the second sync of an unchanged tenant writes nothing about anybody."""
    run(runtime)
    result = run(runtime)
    assert [each.written for each in result.sources] == [0, 0, 0, 0, 0]
    assert (result.views, result.generation) == (0, 2)


def test_a_change_anywhere_is_shown(runtime: Runtime, tenant: FakeTenant) -> None:
    """A change in Graph, in Teams or in the directory changes that user's row and no other."""
    run(runtime)
    user = tenant.users["id-3"]
    user.skus, user.number, user.ip_phone = (SKU,), "+431234567", "4711"
    result = run(runtime)
    assert result.views == 1
    columns = shown(runtime)["id-3"]
    assert columns["licences"] == "MCOEV"
    assert (columns["number"], columns["number_type"], columns["ip_phone"]) == ("+431234567", "directRouting", "4711")


def test_a_user_who_is_gone_is_no_longer_shown(runtime: Runtime, tenant: FakeTenant) -> None:
    """A deleted user disappears from the list, and from the tables once they are cleared."""
    run(runtime)
    del tenant.users["id-30"]
    run(runtime)
    assert "id-30" not in shown(runtime)
    with runtime.database.read() as connection:
        assert cache.is_clean(connection)
        left = select(func.count()).where(user_views.c.key == "id-30")
        assert connection.execute(left).scalar_one() == 0


def test_an_expired_delta_link_is_a_full_read(runtime: Runtime, tenant: FakeTenant) -> None:
    """When Graph no longer knows the link everything is read, and who is absent then is gone."""
    run(runtime)
    tenant.answered.clear()
    del tenant.users["id-1"]
    result = sync(runtime, everything(runtime, link="link-0"))
    assert not result.is_degraded
    assert "id-1" not in shown(runtime)


def test_a_delta_reads_only_what_changed(runtime: Runtime, tenant: FakeTenant) -> None:
    """With the link of the last sync only changed users are read; the others stay."""
    run(runtime)
    with runtime.database.read() as connection:
        link = next(each.link for each in cache.freshness(connection) if each.source == "users")
    tenant.users["id-2"].usage_location = "AT"
    del tenant.users["id-4"]
    result = sync(runtime, everything(runtime, link=link))
    assert next(each.read for each in result.sources if each.source == "users") == 2
    assert shown(runtime)["id-2"]["country"] == "AT"
    assert len(shown(runtime)) == 29


def test_a_source_that_fails_keeps_its_rows(runtime: Runtime) -> None:
    """M100: a source that breaks off leaves no half of its answer; the others are synced; the reason is kept."""
    run(runtime, Answer("left", ["a", "b"]), Answer("right", ["a"]))
    result = run(runtime, Answer("left", ["c", "d", "e"], fails_after=2), Answer("right", ["z"]))
    assert result.is_degraded
    assert keys_of(runtime, "left") == {"a", "b"}
    assert keys_of(runtime, "right") == {"z"}
    with runtime.database.read() as connection:
        states = {each.source: (each.state, each.message) for each in cache.freshness(connection)}
    assert states["left"] == ("degraded", "the source went away")
    assert states["right"] == ("fresh", "")


def test_a_source_that_never_answered_is_absent(runtime: Runtime) -> None:
    """A source of which nothing is known yet is called absent, not degraded."""
    run(runtime, Answer("left", ["a"], fails_after=0))
    with runtime.database.read() as connection:
        (only,) = cache.freshness(connection)
    assert (only.state, only.synced_at) == ("absent", None)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([], "answered nothing, 100 were known"),
        ([str(n) for n in range(70)], "no longer names 30 of 100"),
        (["1", "2", "1"], "named 1 twice"),
        ([str(n) for n in range(100)] + ["5"], "named 5 twice"),
    ],
    ids=["empty", "truncated", "doubled", "doubled-known"],
)
def test_an_answer_that_is_not_believed_changes_nothing(runtime: Runtime, keys: list[str], said: str) -> None:
    """An empty or truncated answer is a failure of the source, not an empty tenant."""
    run(runtime, Answer("left", [str(n) for n in range(100)]))
    result = run(runtime, Answer("left", keys))
    assert said in result.sources[0].trouble
    assert len(keys_of(runtime, "left")) == 100


def test_removals_within_the_limits_are_believed(runtime: Runtime) -> None:
    """As many removals as the limits allow are carried out; one more is not."""
    run(runtime, Answer("left", [str(n) for n in range(100)]))
    limits = Removals(count=5, percent=5)
    assert run(runtime, Answer("left", [str(n) for n in range(94)]), removals=limits).is_degraded
    assert not run(runtime, Answer("left", [str(n) for n in range(95)]), removals=limits).is_degraded
    assert len(keys_of(runtime, "left")) == 95


def test_a_sync_that_died_leaves_nothing(runtime: Runtime) -> None:
    """Rows of a sync that never ended are not shown, and the next sync takes them back first."""
    run(runtime, Answer("left", ["a", "b"]))
    with runtime.database.write() as connection:
        cache.write_documents(connection, "left", 2, [Document("a", b"{}"), Document("c", b"{}")], ["b"])
    assert keys_of(runtime, "left") == {"a", "b"}
    result = run(runtime, Answer("left", ["a", "b"]))
    assert (result.generation, result.sources[0].written) == (2, 0)
    with runtime.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(cache_documents)).scalar_one() == 2


def test_two_syncs_never_write_side_by_side(runtime: Runtime) -> None:
    """A second sync is refused while one runs, and may run after it."""

    def intrude() -> Iterator[Document]:
        with pytest.raises(LeaseHeld, match="another sync"):
            run(runtime, Answer("right", ["x"]))
        yield Document("a", b"{}")

    class Intruding(Answer):
        def __iter__(self) -> Iterator[Document | Gone]:
            return intrude()

    run(runtime, Intruding("left", []))
    assert not run(runtime, Answer("right", ["x"])).is_degraded


def test_users_we_changed_are_read_again(runtime: Runtime, tenant: FakeTenant) -> None:
    """A few users can be read without the rest; one who is gone meanwhile disappears."""
    run(runtime)
    tenant.users["id-5"].policies = {"TenantDialPlan": "AT"}
    tenant.users["id-6"].usage_location = "DE"
    del tenant.users["id-9"]
    result = sync(runtime, some_users(runtime, Touched(runtime.now(), frozenset({"id-5", "id-9"}))))
    assert result.views == 2
    assert shown(runtime)["id-5"]["dial_plan"] == "AT"
    assert "country" not in shown(runtime)["id-6"]
    assert len(shown(runtime)) == 29


def test_a_product_that_is_renamed_is_renamed_with_everybody(runtime: Runtime, tenant: FakeTenant) -> None:
    """The name of a licence is shown with each user who has it."""
    tenant.users["id-1"].skus = (SKU,)
    run(runtime, *[each for each in everything(runtime) if each.source != "licences"])
    assert shown(runtime)["id-1"]["licences"] == SKU
    run(runtime)
    assert shown(runtime)["id-1"]["licences"] == "MCOEV"


def test_reading_without_a_link_fails_like_any_other(runtime: Runtime, tenant: FakeTenant) -> None:
    """NotFound on a full read is no expired link: the source is degraded."""

    def gone(name: str, _target: str) -> None:
        if name == "graph.users_delta":
            raise NotFound("no such tenant")

    tenant.before = gone
    result = run(runtime)
    assert [each.source for each in result.sources if each.trouble] == ["users"]


def test_a_delta_may_name_a_user_twice(runtime: Runtime) -> None:
    """Changes that come twice are no contradiction: the last one counts, and there is one row."""

    @dataclass
    class Twice(Answer):
        is_complete: bool = False

        def __iter__(self) -> Iterator[Document | Gone]:
            yield Document("a", b'{"n":1}')
            yield Document("a", b'{"n":2}')

    for _ in range(2):
        assert not run(runtime, Twice("left", [])).is_degraded
    with runtime.database.read() as connection:
        assert cache.bodies(connection, "left", cache.generation(connection), ["a"]) == {"a": {"n": 2}}
        assert connection.execute(select(func.count()).select_from(cache_documents)).scalar_one() == 1


def touched(runtime: Runtime) -> Touched:
    """Give what we changed since the last look."""
    with runtime.database.read() as connection:
        return cache_touched.touched(connection, runtime.now())


def onboard(runtime: Runtime, tenant: FakeTenant, plan_id: str, *users: str) -> None:
    """Give users numbers by a plan."""
    store_plan(runtime, tenant, users, plan_id)
    continue_until_settled(runtime, tenant, plan_id)


def test_whom_we_changed_is_known_from_the_journal(runtime: Runtime, tenant: FakeTenant) -> None:
    """Users we changed are read again once they have rested for a minute, and only once."""
    sync(runtime, everything(runtime), note=Touched(runtime.now()).mark())
    tenant.clock.sleep(5)
    define_pool(runtime)
    onboard(runtime, tenant, "p-1", "id-1")
    assert touched(runtime).users == frozenset()
    tenant.clock.sleep(cache_touched.REST.total_seconds())
    found = touched(runtime)
    assert [*found.users, *found.accounts, *found.numbers] == ["id-1", "user1", "+431234500"]
    assert sync(runtime, some_users(runtime, found), note=found.mark()).views == 1
    columns = shown(runtime)["id-1"]
    assert columns["desk_phone"] == columns["number"] == "+431234500"
    assert columns["number_type"] == "directRouting"
    assert touched(runtime).users == frozenset()
    with runtime.database.read() as connection:
        states = {each.source: each.documents for each in cache.freshness(connection)}
    assert states["users"] == 30


def test_who_is_changed_while_others_are_read_again_is_not_forgotten(runtime: Runtime, tenant: FakeTenant) -> None:
    """Opening the tenant takes its time: what was changed since the look is for the next look."""
    sync(runtime, everything(runtime), note=Touched(runtime.now()).mark())
    define_pool(runtime)
    onboard(runtime, tenant, "p-1", "id-1")
    tenant.clock.sleep(cache_touched.REST.total_seconds())
    found = touched(runtime)
    readings = some_users(runtime, found)
    onboard(runtime, tenant, "p-2", "id-2")
    tenant.clock.sleep(2 * cache_touched.REST.total_seconds())
    sync(runtime, readings, note=found.mark())
    assert touched(runtime).users == {"id-2"}


def test_who_is_changed_during_a_whole_sync_is_read_again(runtime: Runtime, tenant: FakeTenant) -> None:
    """The rows of a source are older than the end of reading it, whether there was a look before or not."""
    define_pool(runtime)
    for note in (None, Touched(runtime.now()).mark()):
        onboard(runtime, tenant, f"p-{note is None}", "id-2" if note else "id-1")
        tenant.clock.sleep(1800)
        sync(runtime, everything(runtime), note=note)
        tenant.clock.sleep(cache_touched.REST.total_seconds())
        assert touched(runtime).users >= {"id-2" if note else "id-1"}


@pytest.mark.parametrize(("source", "is_noted"), [("voice", False), ("skype", False), ("teams_calls", True)])
def test_a_look_is_noted_when_what_it_needs_was_read(runtime: Runtime, source: str, is_noted: bool) -> None:
    """A source in trouble has our changes read again; one that asks for some users at a time has its own order."""
    sync(runtime, [Answer(source, ["a"], fails_after=0)], note=Touched(runtime.now()).mark())
    with runtime.database.read() as connection:
        assert (cache_touched.MARK in {each.source for each in cache.freshness(connection)}) is is_noted


def test_numbers_homes_and_groups_are_read_again(runtime: Runtime, tenant: FakeTenant) -> None:
    """Of many numbers the list is read; a home that changed and the groups that we changed are shown; others stay."""
    server = tenant.skype = FakeSkype(tenant)
    server.home("id-3", "tel:+4312345678")
    tenant.groups |= {"Phones": {"id-3"}, "Managers": {"id-3"}}
    runtime = runtime_on(runtime.database, tenant)
    run(runtime, *everything(runtime), *of_groups(runtime, {"Phones", "Managers"}))
    tenant.groups = {"Phones": {"id-4"}, "Managers": set()}
    tenant.users["id-4"].number = "+431234504"
    server.home("id-3", None, pool="pool2.lab.test")
    many = frozenset({"+431234504", *(f"+4312345{n:02}" for n in range(10, 40))})
    what = Touched(runtime.now(), frozenset({"id-3", "id-4"}), numbers=many, groups=frozenset({"Phones", "Other"}))
    assert not sync(runtime, some_users(runtime, what, groups={"Phones", "Managers"})).is_degraded
    found = shown(runtime)
    assert (found["id-3"]["groups"], found["id-4"]["groups"]) == ("Managers", "Phones")
    assert found["id-4"]["number_type"] == "directRouting"
    assert (found["id-3"]["skype_home"], found["id-3"].get("skype_number")) == ("pool2.lab.test", None)
    assert [name for name, _, _ in tenant.calls].count("teams.number") == 2  # both times the list


def test_users_of_the_servers_are_shown_with_their_home(runtime: Runtime, tenant: FakeTenant) -> None:
    """Home and line on-premises can be searched for; servers that are out are degraded, and what was known stays."""
    server = FakeSkype(tenant)
    server.home("id-3", "tel:+4312345678")
    run(runtime, *everything(runtime), *of_servers(server, runtime))
    (found,) = shown(runtime, POOL).values()
    assert (found["skype_home"], found["skype_number"]) == (POOL.casefold(), "tel:+4312345678")

    def fail(name: str, target: str) -> None:
        if name.startswith("skype."):
            raise Unreachable("the servers do not answer")

    tenant.before = fail
    result = run(runtime, *everything(runtime), *of_servers(server, runtime))
    assert [each.source for each in result.sources if each.trouble] == ["skype"]
    assert len(shown(runtime, POOL)) == 1


def test_groups_of_templates_are_shown_and_an_unknown_one_is_degraded(runtime: Runtime, tenant: FakeTenant) -> None:
    """Who is in which group can be searched for; who leaves it is no longer found; an unknown group keeps the rest."""
    tenant.groups |= {"Phones": {"id-3", "id-4"}, "Managers": {"id-3"}}
    names = {"Phones", "Managers"}
    run(runtime, *everything(runtime), *of_groups(runtime, names))
    assert [columns["groups"] for columns in shown(runtime, "managers").values()] == ["Managers, Phones"]
    tenant.groups["Managers"] = set()
    run(runtime, *of_groups(runtime, names))
    assert shown(runtime, "managers") == {}
    result = run(runtime, *of_groups(runtime, {"Phones", "Nowhere"}))
    assert "no group Nowhere" in result.sources[0].trouble
    assert len(shown(runtime, "phones")) == 2
    assert of_groups(runtime, set()) == []
