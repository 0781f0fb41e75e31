"""Task presets: what is repeated, what is final, and that nothing is cached or stored."""

from __future__ import annotations

import pytest
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from connectors.errors import Ambiguous, Busy, NotAllowed, NotFound, Throttled, Unreachable
from tasks.presets import CHUNK, READ, Preset, is_worth_repeating


@pytest.mark.parametrize(
    ("error", "repeated"),
    [
        (Unreachable("away"), True),
        (Throttled("slow down", retry_after_s=3), True),
        (Busy("try again"), True),
        (NotAllowed("no"), False),
        (NotFound("gone"), False),
        (Ambiguous("lost"), False),
        (ValueError("a bug"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_retryable_errors_are_repeated(error: Exception, repeated: bool) -> None:
    """A task is run again after a Retryable error and after no other."""

    @task(**READ)
    def read() -> None: ...

    run = TaskRun(task_key="read", dynamic_key="0")
    assert is_worth_repeating(read, run, Failed(data=error)) is repeated


@pytest.mark.parametrize("preset", [READ, CHUNK], ids=["READ", "CHUNK"])
def test_presets_keep_nothing_and_wait_longer_each_time(preset: Preset) -> None:
    """A preset caches nothing, persists nothing, and its waits grow."""
    assert preset["cache_policy"] is NO_CACHE
    assert preset["persist_result"] is False
    assert preset["retry_delay_seconds"] == sorted(preset["retry_delay_seconds"])
    assert preset["retries"] == len(preset["retry_delay_seconds"])
