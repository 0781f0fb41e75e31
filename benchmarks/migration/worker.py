"""What the benchmark has done in processes of their own: plan a wave, apply it as a flow run, count what hangs."""

from __future__ import annotations

import json
import resource
import sys
from collections import Counter

from sqlalchemy import select

from datasets.batches import BatchNumbers, BatchOptions
from datasets.tables.journal import journal
from engine import plan_store, requests
from engine.migration_plan import plan_wave
from engine.migration_terms import WaveTerms
from engine.requests import Actor
from engine.runtime import utc_now
from flows.plan_apply import PlanApplyRequest, apply_stored
from tasks.work import open_work

POOL = "vienna"
POLICIES: dict[str, str | None] = {"OnlineVoiceRoutingPolicy": "VRP-Vienna", "TenantDialPlan": "DP-Vienna"}


def plan(first: int, last: int) -> dict[str, object]:
    """Plan the users of these places who have something to move, and give the plan with its open lines."""
    options = BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool=POOL, policies=POLICIES)
    with open_work() as work, work.runtime() as runtime:
        people = (user for page in runtime.systems.graph.users_delta() for user in page.changes)
        ids = sorted(user.id for user in people)[first:last]
        with work.database.write() as connection:
            actor = Actor(kind="os_user", name="benchmark")
            request = requests.open_request(
                connection, "migration", actor, parameters={}, flow_run_id=None, now=utc_now()
            )
        plan_id = plan_wave(runtime, work.site, options, ids, request, WaveTerms.of(work.settings))
        with work.database.read() as connection:
            lines = plan_store.load_lines(connection, plan_id)
    planned = [line for line in lines if line.state.value == "planned"]
    return {
        "plan_id": plan_id,
        "users": [line.label for line in planned],
        "states": Counter(line.state.value for line in lines),
        "changes": Counter(each.change.kind for line in planned for each in line.changes),
    }


def apply(plan_id: str) -> dict[str, object]:
    """Apply a plan as a flow run; gives its counts and what it took of the processor and the memory."""
    summary = apply_stored(PlanApplyRequest(plan_id=plan_id, requested_by="benchmark"))
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"summary": summary, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}


def in_flight(plan_id: str) -> dict[str, object]:
    """Count the intents of a plan that have no outcome: what was on its way when its process died."""
    with open_work() as work, work.database.read() as connection:
        c = journal.c
        rows = connection.execute(select(c.line, c.change, c.phase).where(c.plan_id == plan_id).order_by(c.at, c.seq))
        last = {(row.line, row.change): row.phase for row in rows}
    return {"in_flight": sum(phase == "intent" for phase in last.values())}


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    acts = {"plan": lambda: plan(int(arguments[0]), int(arguments[1])), "apply": lambda: apply(arguments[0])}
    acts["in-flight"] = lambda: in_flight(arguments[0])
    print(json.dumps(acts[name](), default=str))
