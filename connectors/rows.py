"""What a script over many rows answers: one result for each row, and what the rows without an answer mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from connectors.clixml import Bag
from connectors.errors import Ambiguous, ConnectorError, NotAllowed, Retryable, Unsupported
from connectors.shell_errors import SYSTEM, Failure, classify, failure_object

Row = Mapping[str, JsonValue]
_PROTOCOL = frozenset(("key", "ok", "code", "message", "error_id", "reason"))


@dataclass(frozen=True)
class RowResult:
    """The outcome of one row: the key it was sent with, the error if it failed, and the values it gave."""

    key: str
    error: ConnectorError | None = None
    values: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell whether the row succeeded."""
        return self.error is None

    def checked(self) -> RowResult:
        """Give itself; raises its error when the row failed."""
        if self.error is not None:
            raise self.error
        return self


def attribute(bags: Iterable[JsonValue], *, attempt: str, writes: bool = False) -> Iterator[RowResult]:
    """Turn the objects that a script emits into row results; what else it emits belongs to no row and is dropped."""
    for bag in bags:
        if isinstance(bag, dict) and "key" in bag:
            yield _result(bag, attempt, writes=writes)


def _result(bag: Bag, attempt: str, *, writes: bool) -> RowResult:
    key = str(bag["key"])
    failure = failure_of(bag)
    error = None if failure is None else classify(failure, attempt=attempt, what=key, writes=writes)
    return RowResult(key, error, {name: value for name, value in bag.items() if name not in _PROTOCOL})


def failure_of(bag: Bag) -> Failure | None:
    """Read a row's failure: caught by the script, or answered as an object by module versions before 4.2.1."""
    if bag.get("ok") is True:
        return failure_object(bag)
    return Failure(
        message=str(bag.get("message") or "no reason was given"),
        error_id=str(bag.get("error_id") or ""),
        reason=str(bag.get("reason") or ""),
    )


def one_by_one(rows: Iterable[Row], call: Callable[[Row], object]) -> Iterator[RowResult]:
    """Call for one row after the other; rows after one that could not be tried get its error without being tried.

    Raises that error when it was the first row: nothing was done then.
    """
    stopped: ConnectorError | None = None
    for index, row in enumerate(rows):
        error = stopped
        if stopped is None:
            try:
                call(row)
            except (Retryable, NotAllowed, Unsupported) as all_alike:
                if index == 0:
                    raise
                error = stopped = all_alike
            except ConnectorError as of_this_row:
                error = of_this_row
        yield RowResult(str(row["key"]), error)


def settle(keys: Sequence[str], results: Iterator[RowResult], *, attempt: str) -> list[RowResult]:
    """Gather a result for every key, in their order: a row of a lost write without an answer is Ambiguous.

    Raises the error when nothing can have been done, because the pipeline never started or was refused as a whole.
    """
    answered: dict[str, RowResult] = {}
    lost: ConnectorError | None = None
    try:
        for result in results:
            answered.setdefault(result.key, result)
    except Ambiguous as error:
        lost = error
    return [answered.get(key) or RowResult(key, lost or _unanswered(key, attempt)) for key in keys]


def _unanswered(key: str, attempt: str) -> Ambiguous:
    return Ambiguous(f"{attempt} {key}: no answer for this row ; it is settled by reading", system=SYSTEM, what=key)
