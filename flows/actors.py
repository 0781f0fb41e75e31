"""Who asks for a run: the clock, or somebody at the Prefect pages, which know no persons. No flow of its own."""

from __future__ import annotations

from prefect.context import FlowRunContext

from engine.requests import Actor

BY_HAND, BY_CLOCK = "prefect-ui", "schedule"


def actor_of(requested_by: str) -> Actor:
    """Give the actor of the flow run we are in.

    A form that opens with "schedule" says so, too, when a person submits it: of a deployment's runs only those that the
    clock made are the schedule's. One that was started without a deployment is taken at its word.
    """
    if requested_by != BY_CLOCK:
        return Actor(kind=BY_HAND, name=requested_by)
    return Actor(kind=BY_HAND, name=BY_HAND) if _is_by_hand() else Actor(kind=BY_CLOCK, name=BY_CLOCK)


def _is_by_hand() -> bool:
    context = FlowRunContext.get()
    run = None if context is None else context.flow_run
    return run is not None and run.deployment_id is not None and not run.auto_scheduled
