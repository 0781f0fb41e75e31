"""Quarantine retry: rows that were not understood are read again and, if they are sound now, take effect.

Those of a feed that only onboards give people their phones; by all others people also move and leave.
"""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.requests import Actor
from flows import presentation
from flows.onboarding import apply_plan, give_up, told
from tasks import lifecycle, quarantine
from tasks import onboarding as stages
from tasks.stage import Run

KIND = quarantine.KIND


def story(mapping: str, ids: list[int], run: Run, actor: Actor) -> dict[str, Any]:
    """Read the rows again, plan, apply, record. Raises InputRefused or ConnectorError once the request says why.

    The feed as a whole is not judged: these few rows were chosen by a person.
    """
    asked: dict[str, JsonValue] = {"mapping": mapping, "rows": list(ids)}
    request_id = run(stages.open_request, KIND, actor, asked, presentation.flow_run_id())
    try:
        feed_id = run(quarantine.read_again, request_id, mapping, ids)
        plan = lifecycle.plan_lifecycle if run(quarantine.are_of_lives, ids) else stages.plan_onboarding
        plan_id = run(plan, request_id, feed_id, dry_run=False)
        errors = apply_plan(plan_id, run, KIND)
        summary = run(stages.record, request_id, feed_id, [plan_id])
    except (InputRefused, ConnectorError) as error:
        give_up(KIND, run, request_id, error)
        raise
    return told(KIND, run, summary, [plan_id], errors)
