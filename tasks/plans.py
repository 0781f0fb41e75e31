"""The stages that plan from our own record: rollback and restore, and looking at a stored plan before it is applied."""

from __future__ import annotations

from datetime import datetime, timedelta

from engine import plan_store
from engine.restore import Whose, plan_restore
from engine.rollback import Choice, Terms, plan_rollback
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import Work, open_work


@stage(READ)
def plan_undo(request_id: str, choice: Choice) -> str:
    """Plan to take back what is chosen of a run; gives the plan's id."""
    with open_work() as work, work.runtime() as runtime:
        return plan_rollback(runtime, request_id, choice, terms_of(work))


@stage(READ)
def plan_restoring(request_id: str, whose: Whose, moment: datetime) -> str:
    """Plan the voice state of a moment; gives the plan's id."""
    with open_work() as work, work.runtime() as runtime:
        return plan_restore(runtime, request_id, whose, moment, terms_of(work))


@stage(READ)
def known(plan_id: str) -> str:
    """Give the state of a stored plan. Raises InputRefused for an id that nobody knows."""
    with open_work() as work, work.database.read() as connection:
        return str(plan_store.header(connection, plan_id).state)


def terms_of(work: Work) -> Terms:
    """Give how long claims last and numbers rest at this site."""
    wait = work.settings.wait
    return Terms(claim=timedelta(hours=wait.claim_hours), grace=timedelta(days=wait.grace_days))
