"""Deleting a user on request: two steps, named systems, the number rests first, and nothing goes out of order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from config.errors import InputRefused
from connectors.database import Database
from datasets.numbering import PhoneNumber
from datasets.users import DirectoryUser
from engine import deleting, departures, gates, inventory
from engine.apply import discard, start
from engine.bulk_edit import Terms, plan_bulk_edit
from engine.change import Change, Effect
from engine.deleting import Deletion
from engine.plan import Line, Plan
from engine.plan_store import header, load_lines, open_lines, save
from tests.fakes.company import Company, company
from tests.fakes.fake_skype import FakeSkype
from tests.fakes.plans import runtime_on
from tests.fakes.tenant import SKU, FakeGraph, FakeTenant, shown


def employed(database: Database) -> Company:
    """Give a company with one telephone user."""
    firm = company(database)
    firm.feed(firm.person(1))
    firm.days(1)
    return firm


def carried_out(firm: Company, plan_id: str) -> list[tuple[str, str]]:
    """Carry a plan out and give state and kind of each change."""
    firm.carry_out(plan_id)
    with firm.runtime.database.read() as connection:
        lines = load_lines(connection, plan_id)
    return [(str(stored.state), stored.change.kind) for line in lines for stored in line.changes]


def test_a_user_is_disabled_first_and_deleted_after_the_days(database: Database) -> None:
    """M82: step one lets the number rest and disables the account; step two deletes it when its days are over."""
    firm = employed(database)
    number = str(firm.number_of(1))
    asked = Deletion("user1@lab.test", ("entra",), after_days=10)
    first = deleting.plan_deletion(firm.runtime, firm.request(), asked)
    assert [kind for _, kind in carried_out(firm, first)] == [
        "unassign_number",
        "block_number",
        "set_account_enabled",
    ]
    assert firm.inventory() == {number: "grace"}
    firm.days(9)
    assert carried_out(firm, deleting.plan_due(firm.runtime, firm.request())) == []
    firm.days(1)
    second = deleting.plan_due(firm.runtime, firm.request())
    assert carried_out(firm, second) == [("verified", "delete_user")]
    assert list(firm.tenant.deleted) == ["id-1"]
    carried_out(firm, deleting.plan_due(firm.runtime, firm.request()))
    assert firm.departure_states() == ["done"]


def homed(database: Database) -> tuple[Company, FakeSkype]:
    """Give a company whose second user is homed on a server, with a line of the inventory."""
    firm = employed(database)
    firm.tenant.skype = server = FakeSkype(firm.tenant)
    server.home("id-2", "tel:+431234520")
    with database.write() as connection:
        number = PhoneNumber.from_e164("+431234520")
        inventory.record_assigned(connection, number, owner="user:id-2", now=firm.runtime.now())
    firm.runtime = runtime_on(database, firm.tenant)
    return firm, server


def test_skype_only_leaves_the_directory(sqlite: Database) -> None:
    """M82: deleted on the Skype server alone, account and cloud stay, and the line's number rests first."""
    firm, server = homed(sqlite)
    runtime = firm.runtime
    first = deleting.plan_deletion(runtime, firm.request(), Deletion("id-2", ("skype",), after_days=5))
    assert carried_out(firm, first) == [("verified", "clear_on_premises_line"), ("verified", "let_rest")]
    assert firm.inventory()["+431234520"] == "grace"
    firm.days(5)
    assert carried_out(firm, deleting.plan_due(runtime, firm.request())) == [("verified", "disable_skype_user")]
    assert server.people == {}
    assert firm.tenant.users["id-2"].enabled


def test_a_line_of_the_server_rests_when_only_the_directory_is_named(sqlite: Database) -> None:
    """M82: with the account in Active Directory goes the user of the server; the number must not go with it."""
    firm, _ = homed(sqlite)
    first = deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-2", ("ad",), after_days=5))
    assert [kind for _, kind in carried_out(firm, first)] == [
        "clear_on_premises_line",
        "let_rest",
        "set_ad_account_enabled",
    ]
    assert firm.inventory()["+431234520"] == "grace"


def test_nobody_is_taken_from_the_server_with_a_line(sqlite: Database) -> None:
    """M82: a first step that was never applied is no first step, however many days go by."""
    firm, server = homed(sqlite)
    deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-2", ("skype",), after_days=5))
    firm.days(5)
    second = deleting.plan_due(firm.runtime, firm.request())
    assert carried_out(firm, second) == [("failed", "disable_skype_user")]
    assert list(server.people) == ["user2@lab.test"]


class Unsynchronised(FakeGraph):
    """Graph once the directory synchronisation has left a disabled account out; `kept` are its deleted users."""

    def __init__(self, tenant: FakeTenant, kept: Iterable[str]) -> None:
        super().__init__(tenant)
        self._kept = [shown(tenant.users[name]) for name in kept]

    def user(self, user: str) -> DirectoryUser | None:
        """Find nobody."""
        return None

    def deleted_users(self) -> Iterator[DirectoryUser]:
        """Read the deleted users."""
        return iter(self._kept)


@pytest.mark.parametrize("kept", [["id-2"], []], ids=["deleted in the cloud", "gone"])
def test_who_is_synchronised_no_more_is_deleted_all_the_same(sqlite: Database, kept: list[str]) -> None:
    """M82: disabled accounts are often left out of the synchronisation: what is left in the directory is not done."""
    firm, server = homed(sqlite)
    carried_out(firm, deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-2", ("skype", "ad"), 5)))
    firm.days(5)
    systems = replace(firm.runtime.systems, graph=Unsynchronised(firm.tenant, kept))
    firm.runtime = replace(firm.runtime, systems=systems)
    plan_id = deleting.plan_due(firm.runtime, firm.request())
    if kept:
        steps = carried_out(firm, plan_id)
        assert steps == [("verified", "disable_skype_user"), ("verified", "delete_ad_user")]
        assert ("id-2" in firm.tenant.users, server.people) == (False, {})
    else:
        assert firm.states_of(plan_id) == ["refused"]
        assert firm.departure_states() == ["open"]


def test_somebody_who_is_enabled_again_is_not_deleted(sqlite: Database) -> None:
    """Whoever enabled the account meanwhile had a reason: the deletion is refused by name, and may be withdrawn."""
    firm = employed(sqlite)
    carried_out(firm, deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-1", ("entra",), 1)))
    firm.tenant.users["id-1"].enabled = True
    firm.days(2)
    assert carried_out(firm, deleting.plan_due(firm.runtime, firm.request())) == [("failed", "delete_user")]
    assert "id-1" in firm.tenant.users
    assert deleting.withdraw(sqlite, "user1@lab.test") == "user1@lab.test"
    assert firm.departure_states() == ["withdrawn"]


def test_a_discarded_first_step_takes_the_deletion_with_it(sqlite: Database) -> None:
    """Nothing was done, so nothing is left to be kept from: the next deletion of the same user is planned."""
    firm = employed(sqlite)
    asked = Deletion("user1@lab.test", ("entra",), after_days=10)
    discard(sqlite, deleting.plan_deletion(firm.runtime, firm.request(), asked), firm.runtime.now())
    assert firm.departure_states() == ["withdrawn"]
    firm.days(30)
    assert carried_out(firm, deleting.plan_due(firm.runtime, firm.request())) == []
    again = deleting.plan_deletion(firm.runtime, firm.request(), asked)
    assert {state for state, _ in carried_out(firm, again)} == {"verified"}
    assert firm.departure_states() == ["withdrawn", "open"]


def test_a_discarded_second_step_comes_again(sqlite: Database) -> None:
    """The user is disabled and the days are over: the next nightly run plans the deletion anew."""
    firm = employed(sqlite)
    carried_out(firm, deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-1", ("entra",), 1)))
    firm.days(2)
    discard(sqlite, deleting.plan_due(firm.runtime, firm.request()), firm.runtime.now())
    assert firm.departure_states() == ["open"]
    assert carried_out(firm, deleting.plan_due(firm.runtime, firm.request())) == [("verified", "delete_user")]


def test_a_second_step_that_nobody_applied_is_overtaken(database: Database) -> None:
    """Two dry nights leave one plan for one deletion, and the earlier one deletes nobody any more."""
    firm = employed(database)
    carried_out(firm, deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-1", ("entra",), 1)))
    firm.days(2)
    earlier, later = (deleting.plan_due(firm.runtime, firm.request()) for _ in range(2))
    with database.read() as connection:
        (line,) = load_lines(connection, earlier)
        assert (line.state, line.reason) == ("superseded", f"planned anew by plan {later}")
        assert header(connection, earlier).state == "settled"
        assert [each.plan_id for each in open_lines(connection, ["user:id-1"])] == [later]
    assert carried_out(firm, earlier) == [("planned", "delete_user")]
    assert carried_out(firm, later) == [("verified", "delete_user")]


def test_a_second_step_that_is_under_way_is_left_to_its_plan(sqlite: Database) -> None:
    """A plan that was started goes on by itself; the next night plans nothing beside it."""
    firm = employed(sqlite)
    carried_out(firm, deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-1", ("entra",), 1)))
    firm.days(2)
    started = deleting.plan_due(firm.runtime, firm.request())
    start(firm.runtime, started)
    with sqlite.read() as connection:
        assert load_lines(connection, deleting.plan_due(firm.runtime, firm.request())) == []
    assert carried_out(firm, started) == [("verified", "delete_user")]


@pytest.mark.parametrize(
    ("targets", "words"),
    [(("skype",), "no user of the Skype"), (("mars",), "no system to delete from")],
    ids=["not there", "no system"],
)
def test_systems_without_the_user_are_refused(sqlite: Database, targets: tuple[str, ...], words: str) -> None:
    """A system where the user is not, and one that there is not, are refused; nothing is remembered."""
    firm = employed(sqlite)
    with pytest.raises(InputRefused, match=words):
        deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-1", targets))
    with sqlite.read() as connection:
        assert departures.listed(connection) == []


def test_a_licence_is_not_taken_while_a_number_hangs_on_it(sqlite: Database) -> None:
    """Rank 5: out of order the licence would free the number in silence; the change is refused when it is sent."""
    firm = employed(sqlite)
    effect = Effect(object="user:id-1", attribute=f"licence:{SKU}", before=True, after=False)
    taking = Change(
        kind="remove_licence",
        target="user:id-1",
        parameters={"user_id": "id-1", "sku_id": SKU},
        effects=(effect,),
    )
    request_id = firm.request()
    with sqlite.write() as connection:
        line = Line(object="user:id-1", label="user1", changes=(taking,))
        save(connection, Plan(id="p-early", request_id=request_id, lines=(line,)), firm.runtime.now())
    assert carried_out(firm, "p-early") == [("failed", "remove_licence")]
    assert firm.number_of(1)
    assert firm.tenant.users["id-1"].skus == (SKU,)


def test_a_bulk_edit_leaves_whoever_is_being_deleted_alone(database: Database) -> None:
    """The edit refuses the line by name and says how the deletion is taken back; others are edited."""
    firm = employed(database)
    firm.carry_out(deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-1", ("entra",), after_days=10)))
    edits = {"policy:TenantDialPlan": "AT"}
    terms = Terms(claim=timedelta(hours=1), grace_days=30)
    plan_id = plan_bulk_edit(firm.runtime, firm.site, firm.request(), {"id-1": edits, "id-2": edits}, terms)
    with database.read() as connection:
        lines = [(str(line.state), line.reason[:16]) for line in load_lines(connection, plan_id)]
    assert lines == [("refused", "is being deleted"), ("planned", "")]


def test_every_deletion_has_a_gate() -> None:
    """Whatever deletes an account looks first whether the steps before were taken."""
    assert {"delete_user", "delete_ad_user", "disable_skype_user", "remove_licence"} <= set(gates.GATES)
