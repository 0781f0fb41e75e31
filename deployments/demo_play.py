"""The demo's story: onboard a feed, continue what waits, and on request run the same feed once more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, select

from config.errors import InputRefused
from connectors.database import Database
from datasets.tables.plans import plan_lines
from deployments.agreement import disagreements
from deployments.catalog import CONTINUE, ONBOARDING, Deployed, feed_parameters
from deployments.demo_feed import Feed
from deployments.demo_report import Report, numbers_assigned, read_calls, tenant_view
from deployments.runs import start_run, wait_for_run
from deployments.serve import load_flow
from deployments.stage import MAPPING, Stage
from deployments.watcher import Outcome
from engine.audit import request_of
from engine.plan import OPEN_LINES

RUN_TIMEOUT_S = 300.0
PAUSE_S = 1.0
MOST_CONTINUATIONS = 30
LOOKS = 5
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
        self._onboard("the feed")
        self._continue()
        run_s = time.monotonic() - self.began
        seen = tenant_view(read_calls(self.stage.call_log))
        last = max(call.seq for call in read_calls(self.stage.call_log))
        again = None
        if twice:
            self._onboard("the same feed again")
            again = tenant_view(read_calls(self.stage.call_log, after_seq=last)).writes
        with self.database.read() as connection:
            first = self._summary(connection, self.run_ids[0])  # continuations have corrected it
            return Report(
                rows=len(self.feed.rows),
                counts=first["counts"],
                verified=first["verified"],
                numbers_assigned=numbers_assigned(connection),
                tenant_numbers=len(seen.numbers),
                duplicate_numbers=len(seen.duplicates),
                repeat_writes=again,
                flow_run_ids=self.run_ids,
                lab_log=str(self.stage.call_log),
                setup_s=round(self.stage.setup_s, 1),
                run_s=round(run_s, 1),
                disagreements=self._disagreements(),
            )

    def _onboard(self, what: str) -> None:
        self._run(ONBOARDING, feed_parameters(self.feed.path, MAPPING, BY), what)

    def _continue(self) -> None:
        """Continue until nothing waits but people whose account HR has yet to create."""
        for _ in range(MOST_CONTINUATIONS):
            with self.database.read() as connection:
                left = waiting_for_us(connection)
            if not left:
                return
            time.sleep(PAUSE_S)
            self._run(CONTINUE, {"request": {"requested_by": BY}}, f"{left} waiting lines", may_give_way=True)

    def _run(
        self, deployed: Deployed, parameters: Mapping[str, object], what: str, *, may_give_way: bool = False
    ) -> None:
        """Start a run and follow it to its end; one that gives way to the scheduled one is as good."""
        run_id = start_run(f"{load_flow(deployed.flow).name}/{deployed.name}", parameters)
        self.run_ids.append(run_id)
        self.tell(f"{deployed.name}: {what}, {self.stage.place.url}/runs/flow-run/{run_id}")
        standing = wait_for_run(run_id, timeout_s=RUN_TIMEOUT_S)
        gave_way = may_give_way and standing.message.startswith("Cancelled")
        if standing.outcome is not Outcome.DONE and not gave_way:
            said = standing.message or f"not finished after {RUN_TIMEOUT_S:.0f} s"
            raise InputRefused(f"run {run_id}: {said}", remedy=f"read {self.stage.folder / 'deployments.log'}")

    def _summary(self, connection: Connection, run_id: str) -> dict[str, Any]:
        request = request_of(connection, run_id)
        if request is None:
            raise InputRefused(f"run {run_id} has left no request", remedy="read the run's page")
        summary: dict[str, Any] = request["summary"]
        return summary

    def _disagreements(self) -> list[str]:
        """Compare both records; a run of the schedule that ends at this moment is in one of them first."""
        from prefect import get_client

        flows = frozenset(load_flow(each.flow).name for each in (ONBOARDING, CONTINUE))
        with get_client(sync_client=True) as client:
            for _ in range(LOOKS):
                with self.database.read() as connection:
                    found = disagreements(connection, client, flows)
                if not found:
                    break
                time.sleep(PAUSE_S)
        return found

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def waiting_for_us(connection: Connection) -> int:
    """Count the open lines that will go on without HR."""
    c = plan_lines.c
    mine = c.condition.is_(None) | c.condition.not_in(_WAITS_FOR_HR)
    return len(connection.execute(select(c.line).where(c.state.in_(OPEN_LINES) & mine)).all())
