"""Nobody goes live in Teams without something behind an emergency call; a batch may only warn (features, rank 10)."""

from __future__ import annotations

import pytest

from connectors.database import Database
from datasets.batches import BatchNumbers, BatchOptions, EmergencyGate
from datasets.preflight import Check, Examined
from engine import inventory
from engine.plan import LineState
from engine.preflight import examine
from tests.fakes.migration_site import LINE, POLICIES, Deployment, deployment

KEEP = BatchOptions(policies=POLICIES)
HOME = BatchOptions(numbers=BatchNumbers.HOME)
GATED = KEEP.model_copy(update={"emergency_gate": EmergencyGate.BLOCK})


@pytest.fixture
def site(sqlite: Database) -> Deployment:
    """Give a user on the server with a line, whose home phone is a number of the pool, and users of the cloud."""
    made = deployment(sqlite)
    made.skype.home("id-1", LINE)
    made.tenant.users["id-1"].home_phone = "+431234507"
    return made


def one(site: Deployment, options: BatchOptions = KEEP, user_id: str = "id-1") -> Examined:
    """Examine one user."""
    return site.examined(options, user_id)[0]


@pytest.mark.parametrize("numbers", ["Keep", "KeepOnPremises", "none", "Home", "NumberRange"])
def test_nobody_goes_live_without_an_emergency_route(site: Deployment, numbers: str) -> None:
    """Whatever becomes of the number: neither location nor routing policy blocks the user, and no number is kept back.

    Features, rank 10.
    """
    pool = "vienna" if numbers == "NumberRange" else None
    options = GATED.model_copy(update={"numbers": BatchNumbers(numbers), "pool": pool})
    found = one(site, options)
    assert [each.check for each in found.concerns if each.blocks] == [Check.EMERGENCY_LOCATION]
    assert "emergency_gate=warn" in found.reason
    plan_id = site.plan(options, "id-1")
    assert [line.state for line in site.lines(plan_id)] == [LineState.REFUSED]
    with site.runtime.database.read() as connection:
        assert inventory.claimed_by(connection, plan_id) == []
    lenient = one(site, options.model_copy(update={"emergency_gate": EmergencyGate.WARN}))
    assert (lenient.blocked, lenient.emergency) == (False, "neither")


def test_an_emergency_location_or_policy_opens_the_gate(site: Deployment) -> None:
    """The location of the batch or its routing policy is enough, and so is a policy that the user has already."""
    place = "00000000-0000-0000-0000-000000000001"
    located = one(site, GATED.model_copy(update={"emergency_location": place}))
    assert (located.blocked, located.emergency) == (False, "location")
    site.tenant.policy_ids["TeamsEmergencyCallRoutingPolicy", "Vienna"] = "p-e"
    named = one(site, GATED.model_copy(update={"policies": {"TeamsEmergencyCallRoutingPolicy": "Vienna"}}))
    assert (named.blocked, named.emergency) == (False, "policy")
    site.tenant.users["id-1"].policies["TeamsEmergencyCallRoutingPolicy"] = "Vienna"
    assert not one(site, GATED).blocked


def test_who_has_no_number_in_teams_needs_no_emergency_route(site: Deployment) -> None:
    """A user without a line, and one who is in Teams already and gets none, are not held back."""
    site.skype.home("id-1", None, voice=False)
    site.tenant.users["id-1"].number = None
    options = GATED.model_copy(update={"numbers": BatchNumbers.NONE})
    found = site.examined(options, "id-1", "id-3")
    assert [(each.blocked, each.emergency) for each in found] == [(False, "")] * 2


def test_the_operator_may_have_to_set_the_location(site: Deployment) -> None:
    """An Operator Connect number without a location blocks, and the remedy names who else can set it."""
    found = one(site, HOME.model_copy(update={"number_type": "operatorConnect"}))
    assert [each.check for each in found.concerns if each.blocks] == [Check.EMERGENCY_LOCATION]
    assert "the operator must change it" in found.reason


def test_a_policy_for_emergency_calls_answers_the_worry_about_the_location(site: Deployment) -> None:
    """A user who has such a policy directly needs no location of a number."""
    site.tenant.users["id-1"].policies["TeamsEmergencyCallRoutingPolicy"] = "Vienna"
    assert one(site).concerns == ()


def test_what_nobody_checks_of_emergency_calls_is_said(site: Deployment) -> None:
    """Which way an emergency call routing policy sends its calls is not read, so the result says so (M51)."""
    options = BatchOptions(policies={"TeamsEmergencyCallRoutingPolicy": "Vienna"})
    found = examine(site.runtime, site.site, options, ["id-1"], site.terms)
    assert any("emergency call routing policy" in each for each in found.unchecked)
    assert not any(
        "emergency call" in each for each in examine(site.runtime, site.site, KEEP, [], site.terms).unchecked
    )
