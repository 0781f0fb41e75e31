"""A fork server: the imports are done once, then each worker is a fork that applies what is due and may be killed.

`python -m tests.fakes.kill_server`; each line of input is how many seconds the worker's clock is ahead. It answers with
the worker's process id, and with how it ended once it has. LARGEST_FILE plays a full disk: no file may grow beyond it.
"""

from __future__ import annotations

import os
import resource
import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from config.settings import read_settings
from connectors.database import Database
from datasets.tables.plans import plans
from engine.apply import apply_chunk, chunks, start
from engine.opening import open_systems
from engine.runtime import Limits, Runtime

LIMITS = Limits(lag_window_s=5, look_again_s=(), retry_after_s=(0.0,), poll_s=1, lease_s=60, workers=2)


def work(ahead_s: float) -> None:
    """Apply everything that is due, as a task would, with a clock of its own."""
    settings = read_settings()
    database = Database(settings.database_address())
    with open_systems(settings) as systems:
        runtime = Runtime(
            database,
            systems.for_engine(),
            LIMITS,
            now=lambda: datetime.now(UTC) + timedelta(seconds=ahead_s),
            sleep=lambda _: None,
        )
        for plan_id in _unsettled(database):
            start(runtime, plan_id)
            for chunk in chunks(runtime, plan_id, sessions=2):
                apply_chunk(runtime, chunk)
    database.close()


def _unsettled(database: Database) -> list[str]:
    with database.read() as connection:
        query = select(plans.c.id).where(plans.c.state.in_(["planned", "applying"])).order_by(plans.c.created_at)
        return list(connection.execute(query).scalars())


def serve() -> None:
    """Fork a worker for each line, and say its id and how it ended."""
    if limit := os.environ.get("LARGEST_FILE"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    say("ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work(float(line))
                code = 0
            finally:
                os._exit(code)
        say(str(pid))
        _, status = os.waitpid(pid, 0)
        say(str(os.waitstatus_to_exitcode(status)))


def say(text: str) -> None:
    """Write one line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
