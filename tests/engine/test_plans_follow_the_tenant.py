"""Plans read again what they are about: where cache and tenant differ, the tenant counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.database import Database
from datasets.bulk_edits import Edits
from engine import user_search
from engine.bulk_edit import Terms, plan_bulk_edit
from engine.cache_sources import everything
from engine.cache_sync import sync
from engine.plan_store import load_lines
from tests.fakes.company import STICKY, Company, company, company_site
from tests.fakes.tenant import SKU

PLAN = "policy:TenantDialPlan"


@pytest.fixture
def firm(sqlite: Database) -> Company:
    """Give a company of two telephone users whom a cache knows, and a tenant that was changed since."""
    made = company(sqlite, company_site(STICKY))
    made.tenant.policy_ids["TenantDialPlan", "Other"] = "p-other"
    made.feed(made.person(1), made.person(2))
    made.days(1)
    made.tenant.users["id-2"].policies["TenantDialPlan"] = "Other"
    sync(made.runtime, everything(made.runtime))
    made.tenant.users["id-1"].policies["TenantDialPlan"] = "Other"
    made.tenant.users["id-2"].policies["TenantDialPlan"] = "AT"
    return made


def found_in_cache(firm: Company, query: str) -> list[str]:
    """Give the ids of those whom a search finds."""
    with firm.runtime.database.read() as connection:
        return [each.key for each in user_search.everybody(connection, query)]


def edited(firm: Company, users: list[str], edits: Edits) -> dict[str, tuple[str, list[object]]]:
    """Plan an edit; gives state and the values before of each user's line."""
    terms = Terms(claim=timedelta(hours=1), grace_days=30)
    plan_id = plan_bulk_edit(firm.runtime, firm.site, firm.request(), dict.fromkeys(users, edits), terms)
    with firm.runtime.database.read() as connection:
        return {
            line.object: (str(line.state), [e.before for c in line.changes for e in c.change.effects])
            for line in load_lines(connection, plan_id)
        }


def test_m84_a_bulk_edit_reads_again_whom_the_cache_found(firm: Company) -> None:
    """M84: the cache chooses the users by what it knows, the plan is made of what the tenant shows."""
    chosen = found_in_cache(firm, "Other")
    assert chosen == ["id-2"], "the cache has what was there before"
    assert edited(firm, chosen, {PLAN: "AT"}) == {"user:id-2": ("unchanged", [])}
    assert edited(firm, ["id-1"], {PLAN: "AT"}) == {"user:id-1": ("planned", ["Other"])}


def test_m84_a_feed_is_planned_by_the_tenant(firm: Company) -> None:
    """M84: a licence, a policy and a number that went after the sync are given again; what is right is left."""
    user = firm.tenant.users["id-1"]
    user.skus, user.number, user.enterprise_voice = (), None, False
    kinds = firm.feed(firm.person(1), firm.person(2))
    assert kinds[:2] == ["assign_licence", "assign_number"]
    assert "set_policies" in kinds
    assert (firm.tenant.users["id-1"].skus, user.policies["TenantDialPlan"], len(firm.lines())) == ((SKU,), "AT", 1)


def test_m84_a_number_that_the_cache_calls_free_is_not_given_twice(firm: Company) -> None:
    """M84: the pool's next number went to somebody outside of Callwright after the sync; the plan takes another."""
    taken = "+431234502"
    firm.tenant.users["id-4"].number = taken
    firm.feed(firm.person(3))
    assert firm.number_of(3) not in (None, taken)
    assert firm.troubles() == {}
