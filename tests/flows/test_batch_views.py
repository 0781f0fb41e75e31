"""What a batch shows on the Prefect pages: progress with rate and time left, failures with remedies, the preflight."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from connectors.errors import Invalid
from flows import migration
from flows.batch_views import progress_text
from flows.batches import TYPES
from tasks.work import working_on
from tests.fakes.artifacts import artifacts_of
from tests.fakes.batch_site import NAME, BatchSite, batch_site
from tests.fakes.flow_site import FlowSite

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

pytestmark = pytest.mark.slow


@pytest.fixture
def site(at_site: FlowSite) -> BatchSite:
    """Give a site with four users on the server."""
    return batch_site(at_site.folder, 4)


@pytest.mark.parametrize(
    ("counts", "at_first", "elapsed_s", "told"),
    [
        pytest.param(
            {"migrated": 30, "failed": 1, "ready": 24, "waiting": 5},
            10,
            60,
            "31 of 60 users (1 failed, 30 migrated, 24 ready, 5 waiting), 1,260 users/h, 1 min left",
            id="half",
        ),
        pytest.param({"ready": 4, "failed": 0}, 0, 60, "0 of 4 users (4 ready)", id="nobody yet"),
        pytest.param({"migrated": 4}, 4, 60, "4 of 4 users (4 migrated)", id="nothing in this run"),
        pytest.param(
            {"migrated": 2, "not_found": 1}, 1, 3600, "3 of 3 users (2 migrated, 1 not found), 2 users/h", id="all"
        ),
        pytest.param(
            {"unchanged": 100, "planned": 900}, 0, 3600,
            "100 of 1000 users (900 planned, 100 unchanged), 100 users/h, 9 h 00 min left", id="hours",
        ),
    ],
)  # fmt: skip
def test_progress_says_rate_and_time_left(counts: dict[str, int], at_first: int, elapsed_s: float, told: str) -> None:
    """The rate is that of this run, and the time left follows from it; states are counted, empty ones left out."""
    assert progress_text(counts, at_first, elapsed_s) == told


def shown_by(site: BatchSite, client: SyncPrefectClient, flow: Any, request: Any) -> dict[str, Any]:
    """Run a flow and give what it shows."""
    with working_on(site.tenant.systems()):
        state = flow(request, return_state=True)
    return artifacts_of(client, str(state.state_details.flow_run_id))


def rows_in(artifact: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the rows of a table."""
    found: list[dict[str, Any]] = json.loads(artifact["data"])
    return found


def test_a_run_shows_its_progress(site: BatchSite, prefect_client: SyncPrefectClient) -> None:
    """The bar is at its end, and its text has the counts by state and the rate of the run."""
    site.create()
    asked = migration.BatchRequest(batch=NAME, requested_by="tess")
    shown = shown_by(site, prefect_client, migration.run_batch, asked)
    assert shown["batch-run-progress"]["data"] == 100.0
    told = shown["batch-run-progress"]["description"]
    assert re.fullmatch(r"4 of 4 users \(4 migrated\), [\d,]+ users/h", told), told
    assert [row["migrated"] for row in rows_in(shown["batch-run-waves"])] == [4]


def test_every_failure_has_its_remedy(site: BatchSite, prefect_client: SyncPrefectClient) -> None:
    """Who failed, was refused, is nobody or is there twice is told what to do, also where a system says only no."""
    site.tenant.hybrid.unsynchronised.add("id-2")
    site.create(users="id-1,id-2,id-3,nobody@lab.test,user3@lab.test", error_budget_percent=100)

    def refuse(name: str, target: str) -> None:
        if name == "move_user" and target == "id-1":
            raise Invalid("this user is broken")

    site.tenant.before = refuse
    asked = migration.BatchRequest(batch=NAME, requested_by="tess")
    shown = shown_by(site, prefect_client, migration.run_batch, asked)
    found = {row["state"]: row["reason"] for row in rows_in(shown["batch-run-failures"])}
    assert list(found) == ["failed", "refused", "not_found", "duplicate"]  # the worst first
    assert [reason for reason in found.values() if not re.fullmatch(r".+ ; .+", reason)] == []
    assert found["failed"].startswith("this user is broken ; ")
    assert "1 failed" in shown["batch-run-failures"]["description"]


def test_a_preflight_shows_reasons_and_checklists(site: BatchSite, prefect_client: SyncPrefectClient) -> None:
    """Three tables: reasons counted with their remedies, who is blocked by what, and user by user what was checked."""
    site.tenant.hybrid.unsynchronised.add("id-2")
    site.tenant.users["id-3"].policies["TeamsEmergencyCallRoutingPolicy"] = "Vienna"
    site.create()
    asked = migration.PreflightRequest(batch=NAME, file="preflight.csv", requested_by="tess")
    shown = shown_by(site, prefect_client, migration.examine_batch, asked)
    reasons = {row["check"]: row for row in rows_in(shown["batch-preflight-reasons"])}
    assert (reasons["not_synchronised"]["users"], reasons["not_synchronised"]["blocks"]) == (1, True)
    assert all(row["remedy"] for row in reasons.values())
    (blocked,) = rows_in(shown["batch-preflight-blocked"])
    assert (blocked["who"], " ; " in blocked["reason"]) == ("user2@lab.test", True)
    marks = {row["user"]: row["sync"] for row in rows_in(shown["batch-preflight-checklist"])}
    assert (marks["user1@lab.test"], marks["user2@lab.test"], len(marks)) == ("ok", "blocked", 4)
    assert rows_in(shown["batch-preflight-emergency"]) == [
        {"site": "in no pool", "users": 3, "location": 0, "policy": 1, "operator": 0, "neither": 2}
    ]
    assert "3 may move, 1 are blocked" in shown["batch-preflight-reasons"]["description"]


CHOSEN = {field: f"Chosen-{field}" for field in TYPES} | {"dial_plan": "AT", "voice_routing": "Vienna"}


def test_every_policy_of_the_form_reaches_each_user_after_the_number(site: BatchSite) -> None:
    """Dial plan, routing, calling, caller id and both emergency policies, user by user, once the number is there."""
    site.tenant.policy_ids |= {(TYPES[field], name): f"p-{name}" for field, name in CHOSEN.items()}
    site.create(numbers="NumberRange", pool="vienna", policies=CHOSEN, policy_batches="never")
    assert site.run()["counts"] == {"migrated": 4}
    wanted = {TYPES[field]: name for field, name in CHOSEN.items()}
    for user in site.tenant.users.values():
        assert {kind: user.policies[kind] for kind in wanted} == wanted
        steps = [name for name, target in site.tenant.writes() if target == user.id]
        assert steps == ["move_user", "set_line_uri", "assign_number", "grant_policies"]


@pytest.mark.parametrize("field", [field for field in TYPES if field not in ("dial_plan", "voice_routing")])
def test_a_policy_that_is_refused_leaves_the_user_not_done(site: BatchSite, field: str) -> None:
    """The user has the number and not the policy, so the user failed, with the reason; the others are done (M47)."""
    site.tenant.policy_ids[TYPES[field], CHOSEN[field]] = "p-1"
    site.create(policies={field: CHOSEN[field]}, policy_batches="never", error_budget_percent=100)
    site.break_users("id-1", at="grant_policies")
    assert site.run()["counts"] == {"migrated": 3, "failed": 1}
    (failed,) = site.standings("failed")
    assert (failed.user, "broken" in failed.reason) == ("user1@lab.test", True)
    assert site.tenant.users["id-1"].number_source == "online"
