"""Who stands in the record for a run: the clock only where the clock made it, whatever its form says."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from engine.requests import Actor
from flows.actors import BY_CLOCK, BY_HAND, actor_of

CLOCK = Actor(kind=BY_CLOCK, name=BY_CLOCK)


@pytest.mark.parametrize(
    ("by_clock", "asked", "actor"),
    [
        (True, BY_CLOCK, CLOCK),
        (False, BY_CLOCK, Actor(kind=BY_HAND, name=BY_HAND)),
        (False, "ada", Actor(kind=BY_HAND, name="ada")),
        (True, "ada", Actor(kind=BY_HAND, name="ada")),
    ],
    ids=["a schedule", "a form left as it was", "a name", "a schedule that was given a name"],
)
def test_only_what_the_clock_made_is_the_clocks(by_clock: bool, asked: str, actor: Actor) -> None:
    """A person who submits a form that says "schedule" is nobody whom four eyes may be spared for."""
    run = FlowRun(flow_id=uuid4(), deployment_id=uuid4(), auto_scheduled=by_clock)
    half: Any = FlowRunContext  # the rest of a context does not matter here
    with half.model_construct(flow_run=run):
        assert actor_of(asked) == actor


def test_a_flow_without_a_deployment_is_taken_at_its_word() -> None:
    """Whoever calls the function has our settings and needs no form."""
    assert actor_of(BY_CLOCK) == CLOCK
