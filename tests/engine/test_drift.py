"""Drift on the tenant in memory: what converges, what is only reported, and when nothing is believed or planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from sqlalchemy import insert

from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate, Match, NumberSource, OnLeave
from connectors.database import Database
from connectors.errors import Incomplete
from datasets.people import Person
from datasets.tables.requests import requests
from engine import feeds, plan_store
from engine.apply import apply_chunk, chunks, start
from engine.drift import Difference, Rules
from engine.drift_run import SHOWN, plan_drift
from engine.group_members import Join
from engine.invert import invert
from engine.observe import Row
from engine.plan import Line, LineState, Plan
from engine.resolve import Waits, resolve
from engine.runtime import Runtime
from engine.template_preview import preview
from tests.fakes.plans import fresh, runtime_on
from tests.fakes.sites import PHONES, site
from tests.fakes.tenant import START, FakeTenant

USERS = 6


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant of a few users whose licences work at once."""
    return fresh(USERS, licence_delay_s=0)


@pytest.fixture
def runtime(sqlite: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime with a feed of sales people, all of them to be onboarded."""
    made = runtime_on(sqlite, tenant)
    read_feed(made, [(line, hire(line - 1)) for line in range(2, USERS + 2)])
    return made


def read_feed(runtime: Runtime, people: Sequence[tuple[int, Person]]) -> None:
    """Record a feed of these people and the requests of two runs."""
    with runtime.database.write() as connection:
        for name in ("r-1", "r-2"):
            row = {"kind": "onboarding", "actor_kind": "os_user", "actor_name": "tests", "actor_verified": False}
            connection.execute(insert(requests).values(id=name, **row, parameters={}, state="open", created_at=START))
        feeds.record_feed(
            connection,
            feed_id="f-1",
            name="hr",
            digest="0",
            kind="snapshot",
            request_id="r-1",
            now=START,
            people=people,
            bad=[],
        )
        feeds.accept(connection, "f-1")


def onboarded(runtime: Runtime, people: Sequence[tuple[int, Person]]) -> None:
    """Record a feed of these people, and that each of them was onboarded; the tenant knows nothing of it."""
    read_feed(runtime, people)
    lines = [
        Line(
            object=f"user:id-{int(person.employee_id)}",
            label=person.employee_id,
            source={"employee_id": person.employee_id},
            state=LineState.VERIFIED,
        )
        for _, person in people
    ]
    with runtime.database.write() as connection:
        plan_store.save(connection, Plan(id="p-old", request_id="r-1", lines=tuple(lines)), runtime.now())


def hire(number: int) -> Person:
    """Give an active person of the sales department."""
    return Person(employee_id=f"{number:05}", department="Sales", usage_location="AT")


def carry_out(runtime: Runtime, plan_id: str) -> None:
    """Apply a plan in this process, and let the time pass in which a read may lag behind it."""
    start(runtime, plan_id)
    for chunk in chunks(runtime, plan_id, 1):
        apply_chunk(runtime, chunk)
    runtime.sleep(3600)


def onboard(runtime: Runtime, policy: SitePolicy) -> None:
    """Onboard everybody of the feed."""
    rows = [Row("f-1", number + 1, hire(number)) for number in range(1, USERS + 1)]
    carry_out(runtime, resolve(runtime, policy, "r-1", rows, waits=Waits()).plan_id)


def compare(runtime: Runtime, policy: SitePolicy, rules: Rules | None = None) -> tuple[str, Any]:
    """Look for drift; gives the plan and the report."""
    generous = Rules(most_percent=100)
    return plan_drift(runtime, policy, "r-2", rules or generous)


def changes(runtime: Runtime, plan_id: str) -> list[tuple[str, str]]:
    """Give kind and target of what a plan would do."""
    with runtime.database.read() as connection:
        lines = plan_store.load_lines(connection, plan_id)
    return [(each.change.kind, each.change.target) for line in lines for each in line.changes]


def attributes(report: Any) -> Sequence[tuple[str, str, str]]:
    """Give who differs in what, and what happens."""
    return sorted((each["user"], each["attribute"], each["then"]) for each in report["found"])


def test_users_as_their_templates_want_them_have_no_drift(runtime: Runtime, tenant: FakeTenant) -> None:
    """Right after onboarding there is nothing to report, nothing to plan, and nothing is written."""
    onboard(runtime, site())
    before = tenant.writes()
    plan_id, report = compare(runtime, site())
    assert (report["differences"], report["read"]) == (0, {"users": USERS})
    assert changes(runtime, plan_id) == []
    assert tenant.writes() == before


def test_a_policy_converges_and_a_number_never_does(runtime: Runtime, tenant: FakeTenant) -> None:
    """A policy that somebody changed is planned; a number that somebody took, or another one, is only reported."""
    onboard(runtime, site())
    tenant.users["id-1"].policies["TenantDialPlan"] = "Other"
    tenant.users["id-2"].number, tenant.users["id-2"].enterprise_voice = None, False
    other = "+431234599"
    tenant.users["id-3"].number = other
    plan_id, report = compare(runtime, site())
    assert changes(runtime, plan_id) == [("set_policies", "user:id-1")]
    kinds = {(user, attribute): then for user, attribute, then in attributes(report)}
    assert kinds["id-1", "policy:TenantDialPlan"] == "converges"
    assert kinds["id-2", "number"] == kinds["id-2", "enterprise_voice"] == "reported"
    carry_out(runtime, plan_id)
    assert tenant.users["id-1"].policies["TenantDialPlan"] == "AT"
    assert (tenant.users["id-2"].number, tenant.users["id-3"].number) == (None, other)


def test_policies_that_may_not_converge_are_reported(runtime: Runtime, tenant: FakeTenant) -> None:
    """With policies_converge off the difference is in the report and not in the plan."""
    policy = site(PHONES.model_copy(update={"policies_converge": False}))
    onboard(runtime, policy)
    tenant.users["id-1"].policies["TenantDialPlan"] = "Other"
    plan_id, report = compare(runtime, policy)
    assert changes(runtime, plan_id) == []
    assert attributes(report) == [("id-1", "policy:TenantDialPlan", "reported")]


def test_more_than_the_site_allows_is_held_back(runtime: Runtime, tenant: FakeTenant) -> None:
    """A change that hits everybody at once is reported whole and planned for nobody."""
    onboard(runtime, site())
    for user in tenant.users.values():
        user.policies.pop("TenantDialPlan")
    plan_id, report = compare(runtime, site(), Rules(most_percent=20))
    assert (report["held_back"], report["users_differ"]) == (USERS, USERS)
    assert changes(runtime, plan_id) == []


@pytest.mark.parametrize("left", [0, 3])
def test_an_empty_or_truncated_answer_is_a_failure(runtime: Runtime, tenant: FakeTenant, left: int) -> None:
    """Users who are all gone, or half of them, are an answer that is not believed: no report, no plan."""
    onboard(runtime, site())
    for name in list(tenant.users)[left:]:
        del tenant.users[name]
    with pytest.raises(Incomplete, match="accounts of onboarded users are missing"):
        compare(runtime, site())


def test_a_plan_that_nobody_applied_is_replaced(runtime: Runtime, tenant: FakeTenant) -> None:
    """The next night's plan takes the place of the last one's, which then has nothing left to do."""
    onboard(runtime, site())
    tenant.users["id-1"].policies.pop("TenantDialPlan")
    first, _ = compare(runtime, site())
    second, _ = compare(runtime, site())
    assert changes(runtime, second) == [("set_policies", "user:id-1")]
    with runtime.database.read() as connection:
        assert [line.state for line in plan_store.load_lines(connection, first)] == ["superseded"]


def test_who_is_worked_on_counts_for_nothing(runtime: Runtime, tenant: FakeTenant) -> None:
    """Users of another open plan are left to it and do not use up what one run may change."""
    onboard(runtime, site())
    for user in tenant.users.values():
        user.policies.pop("TenantDialPlan")
    lines = tuple(Line(object=f"user:id-{number}", label="", state=LineState.PLANNED) for number in range(1, 5))
    with runtime.database.write() as connection:
        plan_store.save(connection, Plan(id="p-other", request_id="r-1", lines=lines), runtime.now())
    plan_id, report = compare(runtime, site(), Rules(most_users=2, most_percent=100))
    assert len(changes(runtime, plan_id)) == 2
    assert (report["held_back"], report["users_differ"]) == (0, USERS)


def test_every_difference_is_counted_and_passed_on_and_few_are_shown(sqlite: Database) -> None:
    """The cap is the page's alone: counts and file have everything, in one pass over slices of people."""
    count = SHOWN + 700
    tenant = fresh(count, licence_delay_s=0)
    runtime = runtime_on(sqlite, tenant)
    people = [(number + 1, hire(number)) for number in range(1, count + 1)]
    onboarded(runtime, people)
    found: list[Difference] = []
    policy = site(PHONES.model_copy(update={"licences": (), "write_back": ()}))
    _, report = plan_drift(runtime, policy, "r-2", Rules(), found.extend)
    assert len(found) == report["differences"] == sum(cast("dict[str, int]", report["kinds"]).values())
    assert {each.user for each in found} == set(tenant.users)
    assert (report["users_differ"], report["held_back"]) == (count, count)
    assert report["found"] == [vars(each) for each in found[:SHOWN]]


GROUP = LifecycleTemplate(
    name="members",
    priority=1,
    match=Match(groups=("Phones",)),
    number_source=NumberSource.NONE,
    enterprise_voice=False,
    policies={"TenantDialPlan": "AT"},
    on_leave=OnLeave(policies=True),
)


def test_m52_joining_and_leaving_a_group_is_planned_by_the_next_run(runtime: Runtime, tenant: FakeTenant) -> None:
    """M52: who joins gets what the template gives; who leaves loses what it names, and no more."""
    basic = LifecycleTemplate(
        name="basic",
        match=Match(department=("Sales",)),
        number_source=NumberSource.NONE,
        enterprise_voice=False,
        policies={"OnlineVoiceRoutingPolicy": "Vienna"},
    )
    tenant.groups = {"Phones": set()}
    onboard(runtime, site(basic, GROUP))
    tenant.groups["Phones"] = {"id-1"}
    joined, _ = compare(runtime, site(basic, GROUP))
    assert changes(runtime, joined) == [("set_policies", "user:id-1")]
    carry_out(runtime, joined)
    assert tenant.users["id-1"].policies == {"TenantDialPlan": "AT"}
    tenant.groups["Phones"] = set()
    left, _ = compare(runtime, site(GROUP))  # no other template is theirs any more
    assert changes(runtime, left) == [("set_policies", "user:id-1")]
    carry_out(runtime, left)
    assert tenant.users["id-1"].policies == {}
    assert tenant.users["id-2"].policies == {"OnlineVoiceRoutingPolicy": "Vienna"}


def test_m52_without_on_leave_leaving_is_only_reported(runtime: Runtime, tenant: FakeTenant) -> None:
    """M52: nothing is taken back from somebody whose last template does not say so."""
    tenant.groups = {"Phones": set(tenant.users)}
    silent = GROUP.model_copy(update={"on_leave": OnLeave()})
    onboard(runtime, site(silent))
    tenant.groups = {"Phones": set()}
    plan_id, report = compare(runtime, site(silent))
    assert changes(runtime, plan_id) == []
    assert {each["attribute"] for each in report["found"]} == {"template"}


def test_m103_a_preview_says_what_joining_a_group_would_do(runtime: Runtime, tenant: FakeTenant) -> None:
    """M103, M53: adding a group to a template's group changes two users' policies, and writes nothing."""
    tenant.groups = {"Phones": set(), "Berlin": {"id-1", "id-2"}}
    policy = site(PHONES, GROUP)
    onboard(runtime, policy)
    before = tenant.writes()
    found = preview(runtime, policy, policy, [Join("Berlin", "Phones")])
    assert (found.people, found.users, found.moves) == (USERS, 2, {"phones → members": 2})
    assert {each.attribute: each.wanted for each in found.rows} == {"policy:OnlineVoiceRoutingPolicy": None}
    tenant.policy_ids["TenantDialPlan", "DE"] = "p-de"
    german = site(PHONES, GROUP.model_copy(update={"policies": {"TenantDialPlan": "DE"}}))
    found = preview(runtime, policy, german, [Join("Berlin", "Phones")])
    assert (found.users, found.counts) == (2, {"policy": 2})
    assert {(each.user, each.wanted) for each in found.rows if each.attribute == "policy:TenantDialPlan"} == {
        ("id-1", "DE"),
        ("id-2", "DE"),
    }
    assert preview(runtime, policy, policy).rows == []
    assert tenant.writes() == before


def test_groups_of_a_template_are_joined_and_left_again(runtime: Runtime, tenant: FakeTenant) -> None:
    """M52: people become members once; who was taken out is put back by drift, and the change is taken back as one."""
    tenant.groups = {"Callers": {"id-1"}}
    policy = site(PHONES.model_copy(update={"join_groups": ("Callers",)}))
    onboard(runtime, policy)
    assert tenant.groups["Callers"] == set(tenant.users)
    assert ("add_member", "id-1") not in tenant.writes()
    tenant.groups["Callers"].discard("id-2")
    plan_id, _ = compare(runtime, policy)
    assert changes(runtime, plan_id) == [("join_group", "user:id-2")]
    carry_out(runtime, plan_id)
    assert tenant.groups["Callers"] == set(tenant.users)
    with runtime.database.read() as connection:
        (line,) = plan_store.load_lines(connection, plan_id)
    assert invert(line.changes[0].change).kind == "leave_group"


def test_who_is_no_templates_any_more_leaves_the_groups_it_gave(runtime: Runtime, tenant: FakeTenant) -> None:
    """`on_leave.groups`: out of what the template joined, not out of what somebody else did, and in again on return."""
    tenant.groups = {"Phones": {"id-1", "id-2"}, "Callers": {"id-2"}}
    members = GROUP.model_copy(update={"join_groups": ("Callers",), "on_leave": OnLeave(groups=True)})
    onboard(runtime, site(members))
    assert tenant.groups["Callers"] == {"id-1", "id-2"}
    tenant.groups["Phones"] = set()
    left, report = compare(runtime, site(members))
    assert changes(runtime, left) == [("leave_group", "user:id-1")]
    assert report["then"]["converges"] == 1
    carry_out(runtime, left)
    assert tenant.groups["Callers"] == {"id-2"}
    tenant.groups["Phones"] = {"id-1"}
    back, _ = compare(runtime, site(members))
    assert changes(runtime, back) == [("join_group", "user:id-1")]
    silent = members.model_copy(update={"on_leave": OnLeave()})
    carry_out(runtime, back)
    tenant.groups["Phones"] = set()
    assert changes(runtime, compare(runtime, site(silent))[0]) == []


def test_more_groups_than_teams_takes_are_named(runtime: Runtime, tenant: FakeTenant) -> None:
    """Sixty-five groups that decide on one policy type are a note: Teams assigns to sixty-four."""
    names = tuple(f"Group {number}" for number in range(65))
    tenant.groups = {name: set() for name in names}
    onboard(runtime, site())
    many = site(PHONES, GROUP.model_copy(update={"match": Match(groups=names)}))
    assert "65 groups decide on TenantDialPlan" in preview(runtime, site(), many).notes[0]
    some = site(PHONES, GROUP.model_copy(update={"match": Match(groups=names[:64])}))
    assert preview(runtime, site(), some).notes == []
