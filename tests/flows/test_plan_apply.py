"""Applying a stored plan through Prefect: the approval is asked for in the engine, wherever a run is started from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from connectors.database import Database
from datasets.tables.journal import journal
from deployments.server import PrefectServer
from flows.plan_apply import PlanApplyRequest, apply_stored
from tasks import onboarding as stages
from tests.fakes.checkout import ROOT
from tests.fakes.databases import upgraded_sqlite
from tests.fakes.plans import define_pool, fresh, runtime_on, store_plan

pytestmark = pytest.mark.slow
TENANT = {"TENANT_ID": "t", "CLIENT_ID": "c", "CLIENT_SECRET": "env:NOTHING", "GRAPH_URL": "https://127.0.0.1:9"}


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Give a database with a plan that the site wants approved, and settings that point to it and to no tenant."""
    import shutil

    shutil.copytree(ROOT / "config" / "sample", tmp_path / "site")
    (tmp_path / "site" / "approvals.toml").write_text('kinds = ["assign_number"]\n')
    database = Database(upgraded_sqlite(tmp_path / "callwright.db"))
    tenant = fresh()
    runtime = runtime_on(database, tenant)
    define_pool(runtime)
    store_plan(runtime, tenant, ["id-1"])
    values = {"DATABASE_URL": database.url.render_as_string(), "SITE": str(tmp_path / "site")}
    for name, value in (values | {f"TENANT__{name}": text for name, text in TENANT.items()}).items():
        monkeypatch.setenv(f"CALLWRIGHT_{name}", value)
    monkeypatch.setenv("NOTHING", "x")
    return database


def entries(database: Database) -> int:
    """Count the journal's entries."""
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(journal)).scalar_one())


def test_a_run_started_on_the_page_waits_for_the_approval(planned: Database, in_prefect: PrefectServer) -> None:
    """The flow ends truthfully: it says that an approval is missing, and nothing was begun."""
    summary: Any = apply_stored(PlanApplyRequest(plan_id="p-1"))
    assert "needs an approval" in summary["needs_approval"]
    assert entries(planned) == 0


def test_a_task_run_by_hand_is_refused(planned: Database, in_prefect: PrefectServer) -> None:
    """Neither starting nor applying a chunk as a task goes around the approval."""
    for told in (stages.cut.task("p-1"), stages.apply_part.task("p-1", 1, 1)):
        assert type(told).__name__ == "Told"
    assert entries(planned) == 0
