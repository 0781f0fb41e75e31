"""Waves over the real protocols: a hybrid lab with servers, directory synchronisation, Teams and faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from datasets.batches import BatchNumbers, BatchOptions
from engine import inventory
from engine.migration_terms import WaveTerms
from engine.outages import unreachable
from engine.plan import LineState
from engine.preflight import examine
from engine.proof import verify
from engine.rollback import Choice, Terms, plan_rollback
from lab import objects, state
from lab.call_routing import ROUTE
from lab.catalogue import CALLING_ADD_ON
from lab.records import User
from tests.fakes.databases import sqlite_database
from tests.fakes.hybrid_lab import HybridLab, hybrid_lab

KEEP = BatchOptions()


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HybridLab]:
    """Run one hybrid lab for the tests of this file; each takes people of its own."""
    folder = tmp_path_factory.mktemp("hybrid")
    database = sqlite_database(folder)
    with pytest.MonkeyPatch.context() as patch, hybrid_lab(folder, database, patch) as made:
        yield made
    database.close()


def shown(estate: HybridLab, user: User) -> dict[str, object]:
    """Give what the lab knows of a user, here and there, without what a move leaves behind in a log."""
    return dict(state.user(estate.lab.tenant, user.id))


def test_users_are_moved_with_their_numbers_and_back(estate: HybridLab) -> None:
    """Two users with lines are moved and verified; the undo of the wave equals the snapshot before it (M41)."""
    people = estate.homed(2)
    before = [shown(estate, user) for user in people]
    lines = [estate.line_of(user) for user in people]
    plan_id = estate.plan(KEEP, *people)
    assert [line.state for line in estate.settle(plan_id)] == [LineState.VERIFIED] * 2
    for user, line in zip(people, lines, strict=True):
        now = shown(estate, user)
        assert now["telephoneNumbers"] == [str(line).removeprefix("tel:")]
        assert (now["homedOnPremises"], now["onPremLineUri"], now["isEnterpriseVoiceEnabled"]) == (False, None, True)
    with estate.runtime.database.read() as connection:
        times = list(unreachable(connection, [plan_id]))
    assert [each.until is not None for each in times] == [True, True]
    undo = plan_rollback(estate.runtime, estate.request(), Choice(plan_id), Terms())
    assert [line.state for line in estate.settle(undo)] == [LineState.VERIFIED] * 2
    assert [shown(estate, user) for user in people] == before
    with estate.runtime.database.read() as connection:
        assert inventory.violations(connection) == []
        assert verify(connection).faults == []


def test_one_user_of_many_fails_to_move(estate: HybridLab) -> None:
    """The server refuses one of three (OfficeDocs-SkypeForBusiness#4944); the others are moved (M50)."""
    people = estate.homed(3)
    added = estate.lab.faults.add({"name": "move_fails", "match": {"target": people[1].id}})
    plan_id = estate.plan(KEEP, *people)
    states = [line.state for line in estate.settle(plan_id)]
    estate.lab.faults.remove(added)
    assert states == [LineState.VERIFIED, LineState.FAILED, LineState.VERIFIED]
    assert "Move failed" in estate.lines(plan_id)[1].reason
    assert shown(estate, people[1])["homedOnPremises"] is True


def test_a_lost_reply_moves_nobody_twice(estate: HybridLab) -> None:
    """The move happens and the connection breaks before the answer: reading the user's home settles it (M41)."""
    (user,) = estate.homed(1)
    first = len(estate.lab.calls.since())
    added = estate.lab.faults.add(
        {"name": "drop_reply", "match": {"operation": "Move-CsUser", "target": user.id}, "times": 1}
    )
    (line,) = estate.settle(estate.plan(KEEP, user))
    estate.lab.faults.remove(added)
    assert line.state == LineState.VERIFIED
    calls = [call for call in estate.lab.calls.since(first) if call["operation"] == "Move-CsUser"]
    assert sum(bool(call["effects"]) for call in calls) == len(calls) == 1


def test_the_synchronisation_is_waited_for(estate: HybridLab) -> None:
    """Until the cleared line has reached the cloud the line waits, and Teams is not asked to assign (M50)."""
    (user,) = estate.homed(1)
    estate.lab.settings.change({"directory_sync_delay_s": 3600})
    plan_id = estate.plan(KEEP, user)
    (line,) = estate.visit(plan_id)
    estate.lab.settings.change({"directory_sync_delay_s": 0})
    assert (line.state, line.condition) == (LineState.WAITING, "line_released")
    assert user.id not in str([c for c in estate.lab.calls.since() if c["operation"] == "numberAssignments.assign"])


def test_the_directory_may_stay_the_master(estate: HybridLab) -> None:
    """KeepOnPremises moves the user; the number that Teams shows is still owned by the local directory."""
    (user,) = estate.homed(1)
    line = estate.line_of(user)
    plan_id = estate.plan(BatchOptions(numbers=BatchNumbers.ON_PREMISES), user)
    assert estate.settle(plan_id)[0].state == LineState.VERIFIED
    now = shown(estate, user)
    assert (now["onPremLineUri"], now["isEnterpriseVoiceEnabled"]) == (line, True)


def test_users_without_a_line_get_numbers_of_a_range(estate: HybridLab) -> None:
    """A block of the sample site's pool, with its emergency location, for two who had no line (M44)."""
    people = estate.homed(2, with_line=False)
    options = BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool="vienna")
    assert [line.state for line in estate.settle(estate.plan(options, *people))] == [LineState.VERIFIED] * 2
    numbers = [str(shown(estate, user)["telephoneNumbers"]) for user in people]
    assert len(set(numbers)) == 2
    assert all("+4319346" in number for number in numbers)


def test_a_refusal_by_a_line_that_lags_is_waited_out(estate: HybridLab) -> None:
    """Teams still says that the local directory has a line (#9347); the next visit assigns the number."""
    (user,) = estate.homed(1)
    added = estate.lab.faults.add({"name": "on_premises_number", "match": {"target": user.id}, "times": 1})
    plan_id = estate.plan(KEEP, user)
    (line,) = estate.visit(plan_id)
    assert (line.state, line.condition) == (LineState.WAITING, "line_released")
    assert estate.settle(plan_id)[0].state == LineState.VERIFIED
    estate.lab.faults.remove(added)


@pytest.mark.parametrize(
    ("source", "attribute", "number"),
    [
        (BatchNumbers.HOME, "homePhone", "+431934601501"),
        (BatchNumbers.MOBILE, "mobile", "+431934601502"),
        (BatchNumbers.IP_PHONE, "ipPhone", "+431934601503"),
        (BatchNumbers.PHONE, "telephoneNumber", "+431934601504"),
    ],
)
def test_numbers_come_from_the_directory(estate: HybridLab, source: BatchNumbers, attribute: str, number: str) -> None:
    """Home, Mobile, IpPhone and Phone of Active Directory become numbers of Teams (M42, M43, M45, M46)."""
    (user,) = estate.homed(1)
    sam = str(user.text("onPremisesSamAccountName"))
    estate.lab.tenant.set_ad_user(sam, {attribute: number})
    assert estate.settle(estate.plan(BatchOptions(numbers=source), user))[0].state == LineState.VERIFIED
    assert shown(estate, user)["telephoneNumbers"] == [number]


def test_calling_plan_numbers_of_a_range_come_with_the_location_of_their_pool(estate: HybridLab) -> None:
    """Two users get numbers that Microsoft delivered; type, holder and emergency location are there in Teams."""
    people, tenant = estate.homed(2, with_line=False), estate.lab.tenant
    for user in people:
        tenant.change_licences(user.id, add={CALLING_ADD_ON: ()}, remove=[])
    for number in [each for each in tenant.numbers.values() if each.number_type == "callingPlan"]:
        tenant.replace_number(number, replace(number, location_id=None))
    options = BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool="us-calling-plan")
    assert [line.state for line in estate.settle(estate.plan(options, *people))] == [LineState.VERIFIED] * 2
    for user in people:
        (held,) = tenant.numbers_held_by(user.id)
        assert (held.number_type, held.telephone_number[:8], held.source) == ("callingPlan", "+1425555", "online")
        assert place_of(estate, held.location_id) == "Seattle office"


def test_an_operators_number_of_the_directory_comes_with_the_location_of_the_batch(estate: HybridLab) -> None:
    """A home phone that an operator delivered becomes a number of that type, at the location that the batch names."""
    (user,), tenant = estate.homed(1), estate.lab.tenant
    number = next(
        each for each in tenant.numbers.values() if each.number_type == "operatorConnect" and not each.target_id
    )
    tenant.set_ad_user(str(user.text("onPremisesSamAccountName")), {"homePhone": number.telephone_number})
    options = BatchOptions(numbers=BatchNumbers.HOME, number_type="operatorConnect", emergency_location="London office")
    assert estate.settle(estate.plan(options, user))[0].state == LineState.VERIFIED
    (held,) = tenant.numbers_held_by(user.id)
    assert (held.telephone_number, held.number_type) == (number.telephone_number, "operatorConnect")
    assert (place_of(estate, number.location_id), place_of(estate, held.location_id)) == ("", "London office")


def place_of(estate: HybridLab, location_id: str | None) -> str:
    """Give the description of an emergency location; nothing for none."""
    return estate.lab.tenant.locations[location_id].description if location_id else ""


def test_an_old_server_is_refused_before_anything_is_sent(estate: HybridLab) -> None:
    """The build of UMP 365, 6.0.9319.537, is refused naming both versions; .1000 is new enough (M6)."""
    (user,) = estate.homed(1)
    seen = {}
    for build in ("6.0.9319.537", "6.0.9319.1000"):
        estate.lab.settings.change({"skype_build": build})
        found = examine(estate.runtime, estate.site, KEEP, [user.id], WaveTerms())
        seen[build] = found.users[0].reason
    estate.lab.settings.change({"skype_build": "7.0.2046.524"})
    assert "has build 6.0.9319.537, and moves need 6.0.9319.619" in seen["6.0.9319.537"]
    assert seen["6.0.9319.1000"] == ""


def test_usages_of_the_routing_policy_are_verified(estate: HybridLab) -> None:
    """A routing policy whose usages routes carry lets the wave go; without these routes it is blocked (M51)."""
    (user,) = estate.homed(1)
    shell = estate.runtime.systems.shell
    assert shell is not None
    usages = {policy.name: policy.usages for policy in shell.voice_routing_policies()}
    routed = shell.routed_usages()
    name = next(name for name, some in usages.items() if some and set(some) <= routed and name != "Global")
    options = BatchOptions(policies={"OnlineVoiceRoutingPolicy": name})
    assert not examine(estate.runtime, estate.site, options, [user.id], WaveTerms()).users[0].blocked
    tenant = estate.lab.tenant
    carrying = [
        each
        for each in objects.every(tenant, ROUTE)
        if set(usages[name]) & set(objects.names(each.details, "OnlinePstnUsages"))
    ]
    for each in carrying:
        objects.drop(tenant, ROUTE, each.name)
    first = len(estate.lab.calls.since())
    (line,) = estate.visit(estate.plan(options, user))
    for each in carrying:
        objects.store(tenant, ROUTE, each.name, each.details)
    assert (line.state, "no voice route carries it" in line.reason) == (LineState.REFUSED, True)
    assert [call for call in estate.lab.calls.since(first) if call["write"]] == []
