"""Planning people of a feed on the tenant in memory: who gets which line, and what the plan holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from sqlalchemy import insert

from config.site_templates import LifecycleTemplate, Match
from connectors.database import Database
from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from datasets.people import Person, Status
from datasets.tables.requests import requests
from engine import inventory, plan_store
from engine.apply import apply_chunk, chunks, start
from engine.observe import Row
from engine.plan import LineState
from engine.plan_store import StoredLine
from engine.resolve import Planning, Resolved, Waits, resolve
from engine.runtime import Runtime
from tests.fakes.plans import fresh, runtime_on
from tests.fakes.sites import PHONES, VIENNA, site
from tests.fakes.tenant import SKU, START, FakeTenant


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant of twelve users whose licences work at once."""
    return fresh(12, licence_delay_s=0)


@pytest.fixture
def runtime(sqlite: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime with a request to plan for."""
    made = runtime_on(sqlite, tenant)
    with sqlite.write() as connection:
        row = {"kind": "onboarding", "actor_kind": "os_user", "actor_name": "tests", "actor_verified": False}
        connection.execute(insert(requests).values(id="r-1", **row, parameters={}, state="open", created_at=START))
    return made


def hire(number: int, **more: object) -> Person:
    """Give an active person of the sales department."""
    values = {
        "employee_id": f"{number:05}",
        "department": "Sales",
        "usage_location": "AT",
        "display_name": "Ana Österå",
    }
    return Person.model_validate(values | more)


def plan(runtime: Runtime, *people: Person, policy=None, closing: Sequence[StoredLine] = ()) -> Resolved:  # type: ignore[no-untyped-def] # a SitePolicy
    """Plan people as the rows 2, 3, … of a feed."""
    rows = [Row("f-1", line, person) for line, person in enumerate(people, start=2)]
    return resolve(runtime, policy or site(), "r-1", rows, waits=Waits(), planning=Planning(closing=closing))


def lines_of(runtime: Runtime, resolved: Resolved) -> list[StoredLine]:
    """Load the plan's lines."""
    with runtime.database.read() as connection:
        return plan_store.load_lines(connection, resolved.plan_id)


def carry_out(runtime: Runtime, resolved: Resolved) -> None:
    """Apply the plan in this process."""
    start(runtime, resolved.plan_id)
    for chunk in chunks(runtime, resolved.plan_id, 1):
        apply_chunk(runtime, chunk)


def state_of(runtime: Runtime, number: str) -> NumberState:
    """Read the state of a number."""
    with runtime.database.read() as connection:
        return inventory.state_of(connection, PhoneNumber.from_e164(number))


def test_a_hire_gets_location_licence_number_policies_and_write_back(runtime: Runtime, tenant: FakeTenant) -> None:
    """One line holds the five calls in their order, and applying it makes a working user."""
    resolved = plan(runtime, hire(1))
    (line,) = lines_of(runtime, resolved)
    kinds = [change.change.kind for change in line.changes]
    assert kinds == ["set_usage_location", "assign_licence", "assign_number", "set_policies", "write_directory"]
    carry_out(runtime, resolved)
    user = tenant.users["id-1"]
    assert (user.number, user.skus, user.ip_phone) == ("+431234500", (SKU,), "+431234500")
    assert user.policies == PHONES.policies


def test_the_same_feed_again_plans_nothing(runtime: Runtime, tenant: FakeTenant) -> None:
    """A person who is as the template wants is unchanged, and no number is claimed."""
    carry_out(runtime, plan(runtime, hire(1)))
    again = plan(runtime, hire(1))
    assert lines_of(runtime, again) == []
    assert [row.line for row, _ in again.unchanged] == [2]
    assert state_of(runtime, "+431234501") == NumberState.FREE


def test_a_hire_without_an_account_waits_until_there_is_one(runtime: Runtime, tenant: FakeTenant) -> None:
    """The line waits with no number; once the account is there the new plan takes the line over."""
    resolved = plan(runtime, hire(77))
    start(runtime, resolved.plan_id)
    (line,) = lines_of(runtime, resolved)
    assert (line.state, line.condition, line.object) == ("waiting", "account", "person:00077")
    tenant.users["id-1"].employee_id = "00077"
    again = plan(runtime, hire(77), closing=[line])
    carry_out(runtime, again)
    assert tenant.users["id-1"].number == "+431234500"
    assert lines_of(runtime, resolved)[0].state == "superseded"


def test_a_future_hire_gets_a_reservation_that_ends_after_the_first_day(runtime: Runtime, tenant: FakeTenant) -> None:
    """The number is kept for the person and taken when the person starts, account or not."""
    start_on = START.date() + timedelta(days=10)
    carry_out(runtime, plan(runtime, hire(1, hire_date=start_on)))
    with runtime.database.read() as connection:
        row = inventory.reservation_of(connection, "person:00001", runtime.now())
    assert row is not None
    assert row.until is not None
    assert row.until.date() == start_on + Waits().reservation_after_start
    assert len(plan(runtime, hire(1, hire_date=start_on)).unchanged) == 1
    tenant.clock.sleep(10 * 86400)
    carry_out(runtime, plan(runtime, hire(2), hire(1, hire_date=start_on)))
    assert tenant.users["id-1"].number == row.number.e164
    assert tenant.users["id-2"].number != row.number.e164


def test_an_exhausted_pool_refuses_those_who_come_too_late(runtime: Runtime) -> None:
    """Ten numbers for eleven hires: ten lines are planned and one is refused with what to do."""
    resolved = plan(runtime, *(hire(number) for number in range(1, 12)))
    states = [line.state for line in lines_of(runtime, resolved)]
    assert states.count(LineState.PLANNED) == 10
    refused = next(line for line in lines_of(runtime, resolved) if line.state == "refused")
    assert "vienna has no free number left" in refused.reason


def test_numbers_that_strangers_hold_are_not_offered(runtime: Runtime, tenant: FakeTenant) -> None:
    """A number found in the tenant is recorded before numbers are chosen."""
    tenant.users["id-9"].number = "+431234500"
    carry_out(runtime, plan(runtime, hire(1)))
    assert tenant.users["id-1"].number == "+431234501"
    assert state_of(runtime, "+431234500") == NumberState.ASSIGNED


def test_a_user_with_a_number_keeps_it(runtime: Runtime, tenant: FakeTenant) -> None:
    """Numbers are sticky: licences and policies converge, the number stays."""
    user = tenant.users["id-1"]
    user.number, user.enterprise_voice = "+431234507", True
    carry_out(runtime, plan(runtime, hire(1)))
    assert (user.number, user.telephone_number) == ("+431234507", "+431234507")
    assert user.policies == PHONES.policies


@pytest.mark.parametrize(
    ("person", "policy", "said"),
    [
        (hire(1, department="Kitchen"), None, "template"),
        (hire(1), site(PHONES.model_copy(update={"policies": {"TenantDialPlan": "XX"}})), "does not exist"),
        (hire(1), site(PHONES.model_copy(update={"licences": ("NOPE",)})), "not subscribed"),
        (hire(1), site(PHONES.model_copy(update={"number_source": "Home"})), "no Home number"),
        (hire(1, home_phone="+4366412345"), site(PHONES.model_copy(update={"number_source": "Home"})), "not in pool"),
    ],
    ids=["no template", "unknown policy", "unknown licence", "no home number", "number outside the pool"],
)
def test_a_person_who_cannot_be_served_is_refused_with_the_reason(
    runtime: Runtime, person: Person, policy: object, said: str
) -> None:
    """M42: the line says why and what to do; no number stays claimed."""
    (line,) = lines_of(runtime, plan(runtime, person, policy=policy))
    assert line.state == "refused"
    assert said in line.reason
    with runtime.database.read() as connection:
        assert inventory.claimed_by(connection, line.plan_id) == []


def test_the_home_number_of_the_feed_is_taken_when_the_template_says_so(runtime: Runtime, tenant: FakeTenant) -> None:
    """M42: number source Home takes the person's own number if it lies in the pool."""
    policy = site(PHONES.model_copy(update={"number_source": "Home"}))
    carry_out(runtime, plan(runtime, hire(1, home_phone="+431234505"), policy=policy))
    assert tenant.users["id-1"].number == "+431234505"


@pytest.mark.parametrize(
    ("source", "attribute"), [("Mobile", "mobile_phone"), ("IpPhone", "ip_phone"), ("Phone", "work_phone")]
)
def test_the_other_attributes_of_the_feed_are_taken_likewise(
    runtime: Runtime, tenant: FakeTenant, source: str, attribute: str
) -> None:
    """M46, M96: a template with the source Phone runs, and so do Mobile and IpPhone."""
    policy = site(PHONES.model_copy(update={"number_source": source}))
    carry_out(runtime, plan(runtime, hire(1, **{attribute: "+431234505"}), policy=policy))
    assert tenant.users["id-1"].number == "+431234505"


def test_two_accounts_with_one_employee_id_are_refused_by_name(runtime: Runtime, tenant: FakeTenant) -> None:
    """Identity is the employee id; when it is not unique, nobody is changed."""
    tenant.users["id-2"].employee_id = "00001"
    (line,) = lines_of(runtime, plan(runtime, hire(1)))
    assert "user1@lab.test, user2@lab.test" in line.reason


def test_leavers_are_left_alone(runtime: Runtime) -> None:
    """Onboarding changes nobody who is not active."""
    resolved = plan(runtime, hire(1, status=Status.TERMINATED, termination_date=date(2026, 1, 1)))
    assert len(resolved.unchanged) == 1


def test_a_user_whom_another_plan_is_working_on_waits_for_it(runtime: Runtime, tenant: FakeTenant) -> None:
    """A line that has sent something is never taken over; the new line waits without a number."""
    tenant.licence_delay_s = 10**6
    first = plan(runtime, hire(1))
    carry_out(runtime, first)
    (line,) = lines_of(runtime, plan(runtime, hire(1)))
    assert (line.condition, line.changes) == ("other_plan", [])
    assert state_of(runtime, "+431234501") == NumberState.FREE


def test_an_older_plan_that_sent_nothing_gives_its_numbers_back(runtime: Runtime) -> None:
    """Planning twice without applying holds one number, not two."""
    plan(runtime, hire(1))
    second = plan(runtime, hire(1))
    with runtime.database.read() as connection:
        assert [row.number.e164 for row in inventory.claimed_by(connection, second.plan_id)] == ["+431234500"]
        assert inventory.state_of(connection, PhoneNumber.from_e164("+431234501")) == NumberState.FREE


def test_members_of_a_nested_group_get_the_groups_template(runtime: Runtime, tenant: FakeTenant) -> None:
    """M103: membership counts however deep the group is nested."""
    tenant.groups["Voice"] = {"id-2"}
    by_group = LifecycleTemplate(name="by group", match=Match(groups=("Voice",)), pool=VIENNA.name, licences=("MCOEV",))
    resolved = plan(runtime, hire(1, department="x"), hire(2, department="x"), policy=site(by_group))
    assert [line.state for line in lines_of(runtime, resolved)] == ["refused", "planned"]
