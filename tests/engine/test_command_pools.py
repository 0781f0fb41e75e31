"""Pools that a command made or number-sync learned: templates take from them, location rules say where they are."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from config.errors import InputRefused
from config.site_policy import SitePolicy
from config.site_pools import Forbidden, LocationRule, NumberRange
from config.site_templates import LifecycleTemplate
from connectors.database import Database
from datasets.inventory import Pool, Span
from datasets.number_audit import Difference
from datasets.numbering import PhoneNumber
from datasets.people import Person
from datasets.tables.requests import requests
from engine import claims, inventory, number_fixes, plan_store, pool_changes
from engine.observe import Row
from engine.plan import Line
from engine.pool_terms import pool_terms
from engine.resolve import Waits, resolve
from engine.runtime import Runtime
from engine.site_pools import define_site
from tests.fakes.plans import fresh, runtime_on
from tests.fakes.sites import PHONES, VIENNA, site
from tests.fakes.tenant import LOCATION, START, FakeTenant

GRAZ = Pool(name="graz", country="AT", site="Graz", kind="callingPlan", spans=(Span.read("+43316100", "+43316109"),))
RULE = LocationRule(country="AT", site="Graz", location=LOCATION)


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant whose licences work at once."""
    return fresh(3, licence_delay_s=0)


@pytest.fixture
def runtime(sqlite: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime with a request to plan for."""
    with sqlite.write() as connection:
        row = {"kind": "onboarding", "actor_kind": "os_user", "actor_name": "tests", "actor_verified": False}
        connection.execute(insert(requests).values(id="r-1", **row, parameters={}, state="open", created_at=START))
    return runtime_on(sqlite, tenant)


def template(pool: str) -> LifecycleTemplate:
    """Give the ordinary template with numbers of another pool."""
    return PHONES.model_copy(update={"pool": pool})


def plan(runtime: Runtime, policy: SitePolicy) -> Line:
    """Plan one hire of the sales department."""
    person = Person(employee_id="00001", department="Sales", usage_location="AT", display_name="Ana")
    resolved = resolve(runtime, policy, "r-1", [Row("f-1", 2, person)], waits=Waits())
    with runtime.database.read() as connection:
        (line,) = plan_store.load_lines(connection, resolved.plan_id)
    return Line(
        object=line.object,
        label=line.label,
        source={},
        state=line.state,
        reason=line.reason,
        changes=tuple(each.change for each in line.changes),
    )


def given(line: Line) -> dict[str, object]:
    """Give the parameters of the assignment in a line."""
    return next(dict(change.parameters) for change in line.changes if change.kind == "assign_number")


def test_a_template_takes_from_a_pool_of_a_command(runtime: Runtime) -> None:
    """Its lowest number goes out, with the type of the pool and the location of the rule for its place."""
    with runtime.database.write() as connection:
        pool_changes.create(connection, GRAZ)
    policy = site(template("graz")).model_copy(update={"emergency_locations": (RULE,)})
    sent = given(plan(runtime, policy))
    assert (sent["number"], sent["number_type"], sent["location_id"]) == ("+43316100", "callingPlan", LOCATION)


def test_without_a_location_rule_the_line_says_what_to_do(runtime: Runtime) -> None:
    """A Calling Plan pool of a command has no location of its own: the person is refused, nothing stays claimed."""
    with runtime.database.write() as connection:
        pool_changes.create(connection, GRAZ)
    line = plan(runtime, site(template("graz")))
    assert line.state == "refused"
    assert "emergency_locations in pools.toml" in line.reason
    with runtime.database.read() as connection:
        assert inventory.counts(connection, "graz").claimed == 0


def test_a_pool_that_exists_nowhere_refuses_the_run(runtime: Runtime) -> None:
    """The line names template, pool and file, lists the pools there are and says how one is made."""
    with runtime.database.write() as connection:
        pool_changes.create(connection, GRAZ)
    with pytest.raises(
        InputRefused, match=r"templates\.toml.*phones takes from pool gratz.* one of graz, vienna.* create gratz"
    ):
        plan(runtime, site(template("gratz")))
    with runtime.database.read() as connection:
        assert inventory.pool_names(connection) == ["graz"]


def test_a_pool_that_left_the_policy_is_not_offered(runtime: Runtime) -> None:
    """A pool that only an older policy named is no pool of a command: a template cannot take from it by mistake."""
    with runtime.database.write() as connection:
        define_site(connection, site())
    other = VIENNA.model_copy(update={"name": "linz", "ranges": (NumberRange(start="+43732100", end="+43732109"),)})
    with pytest.raises(InputRefused, match="takes from pool vienna"):
        plan(runtime, site(template("vienna"), pools=(other,)))


def test_learned_numbers_are_a_pool_like_one_of_a_command(runtime: Runtime) -> None:
    """What number-sync learned has its country, may be described and resized, and serves a template by the rules."""
    details = {"kind": "callingPlan", "country": "AT", "pool": "teams-callingPlan-AT"}
    found = Difference(
        cause="new_numbers",
        number="+43316200",
        found="2 numbers",
        fix="learn_numbers",
        details=details | {"numbers": ["+43316200", "+43316201"], "holders": {}},
    )
    (line,) = number_fixes.lines([found], grace_days=30)
    with runtime.database.write() as connection:
        claims.settle_done(connection, line.changes[0], "p-1", START)
        pool_changes.describe(connection, "teams-callingPlan-AT", {"site": "Graz"})
        pool_changes.resize(connection, "teams-callingPlan-AT", remove=[Span.read("+43316201")])
        assert inventory.violations(connection) == []
    policy = site(template("teams-callingPlan-AT")).model_copy(update={"emergency_locations": (RULE,)})
    assert given(plan(runtime, policy))["location_id"] == LOCATION


def test_learning_more_keeps_what_is_known(runtime: Runtime) -> None:
    """Numbers that are learned later join the pool, and neighbours become one range."""
    with runtime.database.write() as connection:
        for number in ("+43316200", "+43316201", "+43316300"):
            details = {
                "kind": "operatorConnect",
                "country": "XX",
                "pool": "learned",
                "numbers": [number],
                "holders": {},
            }
            found = Difference(cause="new_numbers", number=number, found="one", fix="learn_numbers", details=details)
            (line,) = number_fixes.lines([found], grace_days=30)
            claims.settle_done(connection, line.changes[0], "p-1", START)
        pool = inventory.read_pool(connection, "learned")
    assert pool is not None
    assert [str(span) for span in pool.spans] == ["+43316200 to +43316201", "+43316300"]
    assert (pool.is_policy, pool.country, all(span.is_added for span in pool.spans)) == (False, "", True)


def test_taking_the_site_over_keeps_what_countries_forbid(runtime: Runtime) -> None:
    """Whatever flow takes the policy over, forbidden numbers stay withheld in pools of the policy and of commands."""
    forbidden = Forbidden(country="AT", ranges=(NumberRange(start="+43316100", end="+43316100"),), reason="emergency")
    with runtime.database.write() as connection:
        pool_changes.create(connection, GRAZ)
        define_site(connection, site().model_copy(update={"forbidden": (forbidden,)}))
        assert inventory.state_of(connection, PhoneNumber.from_e164("+43316100")) == "withheld"


def test_the_policy_outweighs_what_was_taken_over_before(runtime: Runtime) -> None:
    """The type and location that the file says now count at once, before the next run takes them over."""
    with runtime.database.write() as connection:
        define_site(connection, site())
        changed = VIENNA.model_copy(update={"number_type": "operatorConnect", "emergency_location": "Vienna office"})
        terms = pool_terms(connection, site(pools=(changed,)))
    assert (terms["vienna"].kind, terms["vienna"].emergency_location) == ("operatorConnect", "Vienna office")
