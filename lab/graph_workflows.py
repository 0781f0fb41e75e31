"""Lifecycle workflows on the Graph end: the answer of whoever carried out a custom task.

The lab runs no workflows; it takes the answer, checks its form and logs it, so that a rehearsal can see it arrive.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.graph_messages import Answer, Call
from lab.rules import Refusal

STATUSES = ("completed", "failed")


def resume(call: Call) -> Answer:
    """POST /identityGovernance/lifecycleWorkflows/workflows/{}/tasks/{}/taskProcessingResults/{}/resume."""
    body = call.body if isinstance(call.body, Mapping) else {}
    data = body.get("data")
    status = str(data.get("operationStatus", "")) if isinstance(data, Mapping) else ""
    if status.casefold() not in STATUSES or not body.get("source") or not body.get("type"):
        raise Refusal("BadRequest", "The request needs source, type and data with an operationStatus.", status=400)
    return Answer(status=204)
