"""What templates set beyond number, licences and policies: pool rules, calling settings, and what may not be set."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert

from config.site_calling import Calling, Forwarding, Unanswered
from config.site_pools import NumberRange, SitePool
from config.site_templates import LifecycleTemplate, NumberSource, PoolRule
from config.user_types import POLICY_TYPES, UserType, inapplicable
from connectors.database import Database
from datasets.people import Person
from datasets.tables.requests import requests
from datasets.users import DirectoryUser, VoiceUser
from engine import plan_store
from engine.observe import Row
from engine.onboarding import Situation, Terms, plan_person
from engine.plan import LineState
from engine.plan_store import StoredLine
from engine.resolve import Waits, resolve
from engine.runtime import Runtime
from tests.fakes.calling import FakeCalling
from tests.fakes.plans import fresh, runtime_on
from tests.fakes.sites import PHONES, VIENNA, site
from tests.fakes.tenant import START, FakeTenant

BERLIN = SitePool(
    name="berlin",
    country="DE",
    number_type="directRouting",
    ranges=(NumberRange(start="+493012300", end="+493012309"),),
)


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant whose licences work at once, with calling settings."""
    made = fresh(4, licence_delay_s=0)
    made.calling = FakeCalling(made)
    return made


@pytest.fixture
def runtime(sqlite: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime with a request to plan for."""
    made = runtime_on(sqlite, tenant)
    with sqlite.write() as connection:
        row = {"kind": "onboarding", "actor_kind": "os_user", "actor_name": "tests", "actor_verified": False}
        connection.execute(insert(requests).values(id="r-1", **row, parameters={}, state="open", created_at=START))
    return made


def planned(runtime: Runtime, template: LifecycleTemplate, *people: Person) -> list[StoredLine]:
    """Plan people for one template."""
    rows = [Row("f-1", line, person) for line, person in enumerate(people, start=2)]
    resolved = resolve(runtime, site(template, pools=(VIENNA, BERLIN)), "r-1", rows, waits=Waits())
    with runtime.database.read() as connection:
        return plan_store.load_lines(connection, resolved.plan_id)


def hire(number: int, country: str, location: str = "") -> Person:
    """Give a person of the sales department."""
    return Person(employee_id=f"{number:05}", department="Sales", usage_location=country, location=location)


def numbers(lines: list[StoredLine]) -> list[str]:
    """Give the number of each line, or why there is none."""
    return [
        next((str(each.change.parameters["number"]) for each in line.changes if "number" in each.change.parameters), "")
        or line.reason
        for line in lines
    ]


def test_the_pool_is_chosen_by_the_persons_data(runtime: Runtime) -> None:
    """The first rule that fits chooses the pool, whatever the case; pool is for everybody else."""
    rules = (PoolRule(pool="berlin", usage_location=("de",), location=("Berlin", "Potsdam")),)
    template = PHONES.model_copy(update={"pool_rules": rules})
    lines = planned(runtime, template, hire(1, "DE", "POTSDAM"), hire(2, "DE", "Munich"), hire(3, "AT"))
    assert numbers(lines) == ["+493012300", "+431234500", "+431234501"]


def test_somebody_whom_no_rule_fits_is_refused(runtime: Runtime) -> None:
    """Without a pool for everybody else there is no number, and the line says what to add."""
    rules = (PoolRule(pool="berlin", usage_location=("DE",)),)
    lines = planned(runtime, PHONES.model_copy(update={"pool_rules": rules, "pool": None}), hire(1, "AT"))
    assert lines[0].state == LineState.REFUSED
    assert "add a rule, or pool for everybody else" in lines[0].reason


def test_calling_settings_of_a_template_are_planned_when_they_differ(runtime: Runtime, tenant: FakeTenant) -> None:
    """Each group that differs is one change, written whole; one that is so already is none."""
    calling = Calling(forwarding=Forwarding(to="off"), unanswered=Unanswered(to="Voicemail", delay_s=60))
    (line,) = planned(runtime, PHONES.model_copy(update={"calling": calling}), hire(1, "AT"))
    changes = [each.change for each in line.changes if each.change.kind == "set_calling_settings"]
    assert [change.parameters["settings"] for change in changes] == [
        {"IsUnansweredEnabled": True, "UnansweredTargetType": "Voicemail", "UnansweredDelay": "00:01:00"}
    ]


SOMEBODY = Situation(
    person=Person(employee_id="1", department="Sales"),
    source={},
    template=None,
    why="template t",
    accounts=(DirectoryUser(id="id-1", user_principal_name="one@lab.test"),),
)


@pytest.mark.parametrize("kind", list(UserType))
@pytest.mark.parametrize("policy", sorted(POLICY_TYPES))
def test_m61_a_plan_never_holds_what_does_not_apply(kind: UserType, policy: str) -> None:
    """M61: every cell of the matrix when planned, even for a template that nobody checked; homed on premises counts."""
    values = {"name": "t", "number_source": NumberSource.NONE, "enterprise_voice": False, "user_type": kind}
    template = LifecycleTemplate.model_validate(values).model_copy(update={"policies": {policy: "Some"}})
    for account_type, real in (("user", kind), ("sfbOnPremUser", homed(kind))):
        voice = VoiceUser(id="id-1", user_principal_name="one@lab.test", account_type=account_type)
        line = plan_person(replace(SOMEBODY, template=template, voice=voice), Terms(now=START, skus={}))
        expected = LineState.REFUSED if inapplicable(real, [policy]) else LineState.PLANNED
        assert line.state == expected
        assert bool(line.changes) == (expected == LineState.PLANNED)


def homed(kind: UserType) -> UserType:
    """Give what a user homed on premises counts as."""
    return UserType.HYBRID_ON_PREMISES if kind in (UserType.ENTERPRISE, UserType.COMMON_AREA_PHONE) else kind


@pytest.mark.parametrize("source", list(NumberSource))
def test_m46_every_number_source_is_in_templates(source: NumberSource) -> None:
    """M46, M96: Phone is one of the sources, and so are the four others and none."""
    pool = "vienna" if source is NumberSource.NUMBER_RANGE else None
    assert LifecycleTemplate(name="t", number_source=source, pool=pool).number_source == source
    assert [each.value for each in NumberSource] == ["NumberRange", "Home", "Mobile", "IpPhone", "Phone", "none"]
