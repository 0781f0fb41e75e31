"""What the benchmark has done in processes of their own: plan a batch, move it in a flow run, count what hangs."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter

from sqlalchemy import select

from datasets.batches import BatchNumbers, BatchOptions, PolicyBatches
from datasets.inventory import Pool, Span
from datasets.tables.journal import journal
from engine import batches, plan_store, pool_changes
from engine.batches import Member
from engine.plan import LineState
from engine.requests import Actor
from engine.runtime import utc_now
from flows.migration import BatchRequest, run_batch, run_story
from tasks.stage import InProcess
from tasks.work import open_work

SESSIONS, LARGEST_WAVE = 3, 5000
POOL = "vienna"
LARGE_POOL = Pool(
    name="large", site="Vienna", country="AT", is_policy=False, spans=(Span.read("+431934700000", "+431934719999"),)
)
POLICIES: dict[str, str | None] = {"OnlineVoiceRoutingPolicy": "VRP-Vienna", "TenantDialPlan": "DP-Vienna"}


def plan(first: int, last: int, together: str = "auto") -> dict[str, object]:
    """Make a batch of the users of these places and plan its wave; gives what is to be done."""
    options = BatchOptions(
        numbers=BatchNumbers.NUMBER_RANGE,
        pool=POOL,
        policies=POLICIES,
        policy_batches=PolicyBatches(together),
        wave_size=LARGEST_WAVE,
        concurrency=SESSIONS,
    )
    with open_work() as work, work.runtime() as runtime:
        people = (user for page in runtime.systems.graph.users_delta() for user in page.changes)
        ids = sorted(user.id for user in people)[first:last]
        members = [Member(row, user, user, user) for row, user in enumerate(ids, start=1)]
        with work.database.write() as connection:
            batch_id = batches.create(
                connection, f"users {first} to {last}", {}, options, members, by="benchmark", now=utc_now()
            )
        request = BatchRequest(batch=batch_id, dry_run=True, requested_by="benchmark")
        run_story(request, InProcess(), Actor(kind="os_user", name="benchmark"))
        with work.database.read() as connection:
            plan_id = str(batches.standings(connection, batch_id, limit=1)[0].plan_id)
            lines = plan_store.load_lines(connection, plan_id)
        planned = [line for line in lines if line.state == LineState.PLANNED]
        of_users = [line.object for line in planned if line.object.startswith("user:")]
        accounts = runtime.systems.graph.users_by_ids(each.removeprefix("user:") for each in of_users)
    return {
        "batch_id": batch_id,
        "plan_id": plan_id,
        "users": {user.on_premises_sam_account_name: user.user_principal_name for user in accounts.values()},
        "changes": Counter(each.change.kind for line in planned for each in line.changes),
    }


def make(users: int, wave_size: int, sessions: int) -> dict[str, object]:
    """Make a batch of so many users in waves, with numbers of a pool of its own; gives its id and who they are."""
    options = BatchOptions(
        numbers=BatchNumbers.NUMBER_RANGE,
        pool=LARGE_POOL.name,
        licences=("SPE_E5",),
        policies=POLICIES,
        wave_size=wave_size,
        canary_size=10,
        concurrency=sessions,
    )
    with open_work() as work, work.runtime() as runtime:
        graph = runtime.systems.graph
        found = graph.users_by_ids(user.id for page in graph.users_delta() for user in page.changes)
        people = (user for user in found.values() if user.on_premises_sam_account_name and user.usage_location)
        ids = sorted(user.id for user in people)[:users]
        members = [Member(row, user, user, user) for row, user in enumerate(ids, start=1)]
        with work.database.write() as connection:
            pool_changes.create(connection, LARGE_POOL)
            batch_id = batches.create(connection, f"{users} users", {}, options, members, by="benchmark", now=utc_now())
    return {"batch_id": batch_id, "users": len(members)}


def apply(batch_id: str) -> dict[str, object]:
    """Move a batch in a flow run; gives its counts and what it took of the processor and the memory."""
    summary = run_batch(BatchRequest(batch=batch_id, requested_by="benchmark"))
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"summary": summary, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}


def finish(batch_id: str) -> dict[str, object]:
    """Move a batch in as many flow runs as it takes, in this one process; gives the same as one run, and how many."""
    runs, done = 1, apply(batch_id)
    while isinstance(done["summary"], dict) and done["summary"]["state"] == "waiting":
        time.sleep(1)
        runs, done = runs + 1, apply(batch_id)
    return done | {"runs": runs}


def in_flight(plan_id: str) -> dict[str, object]:
    """Count the intents of a plan that have no outcome: what was on its way when its process died."""
    with open_work() as work, work.database.read() as connection:
        c = journal.c
        rows = connection.execute(select(c.line, c.change, c.phase).where(c.plan_id == plan_id).order_by(c.at, c.seq))
        last = {(row.line, row.change): row.phase for row in rows}
    return {"in_flight": sum(phase == "intent" for phase in last.values())}


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    acts = {
        "plan": lambda: plan(int(arguments[0]), int(arguments[1]), *arguments[2:]),
        "apply": lambda: apply(arguments[0]),
    }
    acts["make"] = lambda: make(*map(int, arguments))
    acts["finish"] = lambda: finish(arguments[0])
    acts["in-flight"] = lambda: in_flight(arguments[0])
    print(json.dumps(acts[name](), default=str))
