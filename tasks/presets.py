"""Retry, cache and result presets of the tasks: the third retry layer, above the connectors' and the engine's."""

from __future__ import annotations

from typing import Any, TypedDict

from prefect.cache_policies import NO_CACHE, CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import RetryConditionCallable, Task

from connectors.errors import Retryable

# A system that is away for a minute is common, one that is away for longer is the next run's business.
READ_WAITS_S: list[float] = [2, 10, 30]
CHUNK_WAITS_S: list[float] = [10, 60]
JITTER = 0.5


class Preset(TypedDict):
    """The options that a preset fixes for `@task`."""

    retries: int
    retry_delay_seconds: list[float]
    retry_jitter_factor: float
    retry_condition_fn: RetryConditionCallable
    cache_policy: CachePolicy
    persist_result: bool


def is_worth_repeating(_task: Task[..., Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Tell whether a failed task run met a Retryable error; every other error is final."""
    return isinstance(_error_of(state), Retryable)


def _error_of(state: State[Any]) -> object:
    # Prefect hands over the error itself while the run is in memory, and a record around it afterwards.
    return getattr(state.data, "result", state.data)


def _preset(waits_s: list[float]) -> Preset:
    return Preset(
        retries=len(waits_s),
        retry_delay_seconds=waits_s,
        retry_jitter_factor=JITTER,
        retry_condition_fn=is_worth_repeating,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


READ = _preset(READ_WAITS_S)
"""Reading a system, checking, planning: repeatable at no risk."""

CHUNK = _preset(CHUNK_WAITS_S)
"""Applying a chunk of a plan: it continues where the journal ends and repeats nothing that is settled."""
