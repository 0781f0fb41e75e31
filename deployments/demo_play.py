"""The demo's story: onboard a feed, continue what waits, and on request run the same feed once more."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, select

from config.errors import InputRefused
from connectors.database import Database
from datasets.tables.plans import plan_lines, plans
from deployments.agreement import disagreements
from deployments.catalog import CONTINUE, ONBOARDING, Deployed, onboarding_parameters
from deployments.demo_feed import Feed
from deployments.demo_report import Report, numbers_assigned, read_calls, tenant_view
from deployments.runs import start_run, wait_for_run
from deployments.serve import load_flow
from deployments.stage import MAPPING, Stage
from deployments.watcher import Outcome
from engine.audit import request_of
from engine.plan import OPEN_LINES, LineState

RUN_TIMEOUT_S = 300.0
PAUSE_S = 1.0
MOST_CONTINUATIONS = 30
BY = "demo"
_WAITS_FOR_HR = ("account",)


class Story:
    """One feed on one stage, run by run; `tell` says in a line what is going on."""

    def __init__(self, stage: Stage, feed: Feed, tell: Callable[[str], None]) -> None:
        self.stage, self.feed, self.tell = stage, feed, tell
        self.database = Database(stage.environment["CALLWRIGHT_DATABASE_URL"])
        self.run_ids: list[str] = []
        self.began = time.monotonic()

    def play(self, *, twice: bool) -> Report:
        """Play the story and give its report. Raises InputRefused when a run does not complete."""
        first = self._onboard("the feed")
        self._continue()
        run_s = time.monotonic() - self.began
        seen = tenant_view(read_calls(self.stage.call_log))
        last = max(call.seq for call in read_calls(self.stage.call_log))
        again = None
        if twice:
            self._onboard("the same feed again")
            again = tenant_view(read_calls(self.stage.call_log, after_seq=last)).writes
        with self.database.read() as connection:
            counts = outcomes(connection, str(first["plan_id"]))
            counts["quarantined"] = int(first["counts"]["quarantined"])
            return Report(
                rows=len(self.feed.rows),
                counts=dict(counts),
                verified=verified(connection),
                numbers_assigned=numbers_assigned(connection),
                tenant_numbers=len(seen.numbers),
                duplicate_numbers=len(seen.duplicates),
                repeat_writes=again,
                flow_run_ids=self.run_ids,
                lab_log=str(self.stage.call_log),
                setup_s=round(self.stage.setup_s, 1),
                run_s=round(run_s, 1),
                disagreements=self._disagreements(connection),
            )

    def _onboard(self, what: str) -> Mapping[str, Any]:
        return self._run(ONBOARDING, onboarding_parameters(self.feed.path, MAPPING, BY), what)

    def _continue(self) -> None:
        """Continue until nothing waits but people whose account HR has yet to create."""
        for _ in range(MOST_CONTINUATIONS):
            with self.database.read() as connection:
                left = waiting_for_us(connection)
            if not left:
                return
            time.sleep(PAUSE_S)
            self._run(CONTINUE, {"request": {"requested_by": BY}}, f"{left} waiting lines")

    def _run(self, deployed: Deployed, parameters: Mapping[str, object], what: str) -> Mapping[str, Any]:
        """Start a run, follow it to its end and give its summary from our own records."""
        run_id = start_run(f"{load_flow(deployed.flow).name}/{deployed.name}", parameters)
        self.run_ids.append(run_id)
        self.tell(f"{deployed.name}: {what}, {self.stage.place.url}/runs/flow-run/{run_id}")
        standing = wait_for_run(run_id, timeout_s=RUN_TIMEOUT_S)
        with self.database.read() as connection:
            request = request_of(connection, run_id)
        if standing.outcome is not Outcome.DONE or request is None:
            what = standing.message or f"not finished after {RUN_TIMEOUT_S:.0f} s"
            raise InputRefused(f"run {run_id}: {what}", remedy=f"read {self.stage.folder / 'deployments.log'}")
        summary: Mapping[str, Any] = request["summary"]
        return summary

    def _disagreements(self, connection: Connection) -> list[str]:
        from prefect import get_client

        flows = frozenset(load_flow(each.flow).name for each in (ONBOARDING, CONTINUE))
        with get_client(sync_client=True) as client:
            return disagreements(connection, client, flows)

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def waiting_for_us(connection: Connection) -> int:
    """Count the open lines that will go on without HR."""
    c = plan_lines.c
    mine = c.condition.is_(None) | c.condition.not_in(_WAITS_FOR_HR)
    return len(connection.execute(select(c.line).where(c.state.in_(OPEN_LINES) & mine)).all())


def verified(connection: Connection) -> int:
    """Count the lines of all plans whose effects a read has shown."""
    return len(connection.execute(select(plan_lines.c.line).where(plan_lines.c.state == LineState.VERIFIED)).all())


def outcomes(connection: Connection, plan_id: str) -> Counter[str]:
    """Count what became of a plan's lines; one that was planned anew is what its latest line is."""
    newest: dict[object, str] = {}
    query = select(plan_lines).join(plans, plans.c.id == plan_lines.c.plan_id).order_by(plans.c.created_at)
    first = []
    for row in connection.execute(query):
        key = row.source.get("employee_id", row.object)
        if row.plan_id == plan_id:
            first.append(key)
        newest[key] = _outcome(row.state, row.success)
    return Counter(newest[key] for key in first)


def _outcome(state: str, success: str) -> str:
    if state == LineState.VERIFIED:
        return success
    return {LineState.PLANNED: "waiting", LineState.DISCARDED: "refused"}.get(LineState(state), state)
