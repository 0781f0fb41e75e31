"""Licences in a bulk edit: only the last one with Teams Phone hangs on the number, and a number may be taken first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connectors.database import Database
from datasets.users import SubscribedSku
from engine import plan_store
from engine.bulk_edit import Terms, plan_bulk_edit
from engine.rollback import Choice, plan_rollback
from engine.rollback import Terms as UndoTerms
from engine.runtime import Runtime
from tests.fakes.plans import apply_all, define_pool, fresh, open_request, runtime_on
from tests.fakes.sites import site
from tests.fakes.tenant import SKU, START, FakeTenant

NUMBER = "+431234500"
VISIO = SubscribedSku(sku_id="sku-visio", sku_part_number="VISIOCLIENT", consumed_units=0, enabled_units=9)
E5 = SubscribedSku(sku_id="sku-e5", sku_part_number="SPE_E5", consumed_units=0, enabled_units=9, plan_ids=("x",))


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant with one phone user, who has Visio as well; E5 carries Teams Phone."""
    made = fresh(1)
    phone = next(sku for sku in made.systems().graph.subscribed_skus() if sku.sku_id == SKU)
    made.more_skus = [VISIO, E5.model_copy(update={"plan_ids": phone.plan_ids})]
    user = made.users["id-1"]
    user.skus, user.licensed_at = (SKU, "sku-visio"), START - timedelta(days=1)
    user.number, user.enterprise_voice, user.usage_location = NUMBER, True, "AT"
    return made


@pytest.fixture
def runtime(database: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime with a request to plan for and the pool of the number."""
    made = runtime_on(database, tenant)
    open_request(database)
    define_pool(made)
    return made


def edited(runtime: Runtime, **edits: Any) -> tuple[str, str, str]:
    """Plan and apply an edit of the user; gives the plan's id, and its line's state and reason."""
    named = {name.replace("_", ":", 1) if name.startswith("licence") else name: value for name, value in edits.items()}
    plan_id = plan_bulk_edit(runtime, site(), "r-1", {"id-1": named}, Terms(timedelta(hours=1), 30))
    return (plan_id, *applied(runtime, plan_id))


def applied(runtime: Runtime, plan_id: str) -> tuple[str, str]:
    """Apply a plan; gives its line's state and reason."""
    apply_all(runtime, plan_id)
    with runtime.database.read() as connection:
        (line,) = plan_store.load_lines(connection, plan_id)
    return str(line.state), line.reason


def test_a_licence_without_teams_phone_goes_and_the_number_stays(runtime: Runtime, tenant: FakeTenant) -> None:
    """Visio has nothing to do with the number; taking it back, and taking back that, leave the number, too."""
    plan_id, state, reason = edited(runtime, licence_VISIOCLIENT=False)
    assert (state, reason) == ("verified", "")
    user = tenant.users["id-1"]
    assert (user.skus, user.number) == ((SKU,), NUMBER)
    undo = plan_rollback(runtime, "r-1", Choice(plan_id), UndoTerms())
    assert applied(runtime, undo) == ("verified", "")
    assert applied(runtime, plan_rollback(runtime, "r-1", Choice(undo), UndoTerms())) == ("verified", "")
    assert (user.skus, user.number) == ((SKU,), NUMBER)


def test_the_last_licence_with_teams_phone_stays_with_the_number(runtime: Runtime, tenant: FakeTenant) -> None:
    """The number would be freed in silence: the line is refused and says what to do."""
    _, state, reason = edited(runtime, licence_MCOEV=False)
    assert state == "refused"
    assert f"would free number {NUMBER}, which stays ; take the number away as well" in reason
    assert tenant.writes() == []


def test_another_licence_with_teams_phone_takes_its_place(runtime: Runtime, tenant: FakeTenant) -> None:
    """E5 is given first, then the add-on goes; the number stays where it is."""
    _, state, reason = edited(runtime, licence_SPE_E5=True, licence_MCOEV=False)
    assert (state, reason) == ("verified", "")
    assert tenant.writes() == [("assign_licence", "id-1"), ("remove_licence", "id-1")]
    assert tenant.users["id-1"].number == NUMBER


def test_a_number_goes_before_its_licence(runtime: Runtime, tenant: FakeTenant) -> None:
    """Both are asked for: the number rests, then the licence goes."""
    _, state, reason = edited(runtime, number=None, licence_MCOEV=False)
    assert (state, reason) == ("verified", "")
    assert [name for name, _ in tenant.writes()] == ["unassign_number", "remove_licence"]


def test_a_number_cannot_be_given_while_its_licence_goes(runtime: Runtime, tenant: FakeTenant) -> None:
    """Asking for a number and against its only licence at once is refused."""
    tenant.users["id-1"].number, tenant.users["id-1"].enterprise_voice = None, False
    _, state, reason = edited(runtime, number="pool:vienna", licence_MCOEV=False)
    assert state == "refused"
    assert "removing the last licence with Teams Phone" in reason
