"""A stage: one Prefect task that can also run without Prefect, and tells its errors in one line instead of a trace.

In a flow run a final error becomes a value (`Told`) that ends the run with its message; a Retryable one is raised until
the preset's retries are used up. Without Prefect every error is simply raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from queue import SimpleQueue
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from prefect import task
from prefect.futures import PrefectFuture
from prefect.runtime import task_run
from prefect.tasks import Task

from config.errors import InputRefused
from connectors.errors import ConnectorError, Retryable
from tasks.presets import Preset

# As many chunks at once as a credential may have sessions by default.
AT_ONCE = 3
P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F")


@dataclass(frozen=True)
class Told:
    """A final error of a stage, carried as a value so that no page shows a trace."""

    error: Exception


class Stage(Generic[P, R]):
    """One stage of a story: `plain` is the function, `task` the Prefect task around it."""

    def __init__(self, function: Callable[P, R], preset: Preset, run_name: str | None) -> None:
        self.plain = function
        make = task(name=function.__name__, task_run_name=run_name, **preset)
        self.task: Task[P, R | Told] = make(_telling(function, preset["retries"]))


def stage(preset: Preset, run_name: str | None = None) -> Callable[[Callable[P, R]], Stage[P, R]]:
    """Make a stage of a function; `run_name` is what the Prefect pages call its runs."""
    return lambda function: Stage(function, preset, run_name)


def _telling(function: Callable[P, R], retries: int) -> Callable[P, R | Told]:
    @wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> R | Told:
        try:
            return function(*args, **kwargs)
        except (InputRefused, ConnectorError) as error:
            if isinstance(error, Retryable) and (task_run.run_count or 1) <= retries:
                raise
            return Told(error)

    # The annotation of the wrapped function would promise a plain result.
    told.__annotations__ = {name: kind for name, kind in function.__annotations__.items() if name != "return"}
    return told


class Run(Protocol):
    """How stages are run: in this process, or as tasks of a flow run."""

    def __call__(self, stage: Stage[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one stage. Raises its error."""

    def each(self, stage: Stage[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        """Run a stage many times at once; gives results or errors as they come."""

    def some(self, stage: Stage[..., Any], calls: Iterable[tuple[Any, ...]], at_once: int) -> Iterator[Any]:
        """Run a stage for each call, so many at once and the next as soon as one ends; gives results as they come.

        Whoever stops reading has no further call begun.
        """


class InProcess:
    """Runs stages as plain functions; calls of the same stage at once, as a flow run would."""

    def __call__(self, stage: Stage[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one stage. Raises its error."""
        return stage.plain(*args, **kwargs)

    def each(self, stage: Stage[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        """Run a stage once for each call; gives results or errors in the order of the calls."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stage") as pool:
            futures = [pool.submit(copy_context().run, stage.plain, *args) for args in calls]
            for future in futures:
                try:
                    yield future.result()
                except (InputRefused, ConnectorError) as error:
                    yield error

    def some(self, stage: Stage[..., Any], calls: Iterable[tuple[Any, ...]], at_once: int) -> Iterator[Any]:
        """Run a stage for each call in threads of this process."""
        ended: SimpleQueue[Future[Any]] = SimpleQueue()
        with ThreadPoolExecutor(at_once, thread_name_prefix="chunk") as pool:

            def begin(args: tuple[Any, ...]) -> None:
                pool.submit(copy_context().run, stage.plain, *args).add_done_callback(ended.put)

            for future in _some(calls, at_once, begin, ended):
                error = future.exception()
                if error is not None and not isinstance(error, InputRefused | ConnectorError):
                    raise error
                yield error or future.result()


class InPrefect:
    """Runs stages as tasks of the current flow run."""

    def __call__(self, stage: Stage[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one stage as a task. Raises its error."""
        result = stage.task(*args, **kwargs)
        if isinstance(result, Told):
            raise result.error
        return result

    def each(self, stage: Stage[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        """Run a stage once for each call, as many at once as the flow's task runner allows."""
        futures: list[PrefectFuture[Any]] = [stage.task.submit(*args) for args in calls]
        for future in futures:
            result = future.result(raise_on_failure=False)
            yield result.error if isinstance(result, Told) else result

    def some(self, stage: Stage[..., Any], calls: Iterable[tuple[Any, ...]], at_once: int) -> Iterator[Any]:
        """Run a stage as a task for each call."""
        ended: SimpleQueue[PrefectFuture[Any]] = SimpleQueue()

        def begin(args: tuple[Any, ...]) -> None:
            stage.task.submit(*args).add_done_callback(ended.put)

        for future in _some(calls, at_once, begin, ended):
            result = future.result(raise_on_failure=False)
            yield result.error if isinstance(result, Told) else result


def _some(
    calls: Iterable[tuple[Any, ...]], at_once: int, begin: Callable[[tuple[Any, ...]], None], ended: SimpleQueue[F]
) -> Iterator[F]:
    """Keep so many calls going; gives them as they end."""
    waiting, going = iter(calls), 0
    for args in islice(waiting, at_once):
        begin(args)
        going += 1
    while going:
        future = ended.get()
        going -= 1
        yield future
        for args in islice(waiting, 1):
            begin(args)
            going += 1
