"""Check a whole feed against the declared rules before anything is written; the evaluation is Great Expectations'.

The library takes seconds to import, so only a run that checks a feed pays for it.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from datasets.checks import FeedKind, QualityReport, Rule, RuleFailure, rules_for
from datasets.people import Person

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["QualityReport", "RuleFailure", "check_people", "frame_of"]

# Complete, for the lines of all broken rows; the index of the frame is the line, which costs less than an id column.
_RESULTS = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
_ACTIVE = "active"
_one_at_a_time = threading.Lock()  # the library keeps its context in a global


def check_people(
    people: Sequence[tuple[int, Person]], *, kind: FeedKind = "snapshot", fields: Collection[str] | None = None
) -> QualityReport:
    """Check everybody in a feed, each with their line; `fields` are those that the mapping fills, None means all."""
    rules = rules_for(kind, None if fields is None else frozenset(fields))
    if not people or not rules:
        return QualityReport(passed=True)
    with _one_at_a_time:
        gx = _library()
        started = time.perf_counter()
        results = _validate(gx, frame_of(people, rules), rules)
    failures = [_failure(rule, results[rule.name]) for rule in rules if not results[rule.name].success]
    return QualityReport(passed=not failures, failures=tuple(failures), seconds=time.perf_counter() - started)


def frame_of(people: Sequence[tuple[int, Person]], rules: Sequence[Rule]) -> pd.DataFrame:
    """Lay the fields that rules look at side by side, missing where empty; the index is the line."""
    import pandas as pd

    columns = {_column(rule): _reader(rule) for rule in rules}
    columns |= {rule.than: _text(rule.than) for rule in rules if rule.expects == "not_before"}
    columns["status"] = _text("status")
    text = pd.StringDtype("python", na_value=float("nan"))
    index = pd.Index([line for line, _ in people])
    persons = [person for _, person in people]
    values = {name: pd.array([read(one) for one in persons], dtype=text) for name, read in columns.items()}
    return pd.DataFrame(values, index=index)


def _column(rule: Rule) -> str:
    """Name the column a rule looks at: one of its own where two fields are compared row by row."""
    return f"{rule.field} like {rule.than}" if rule.expects == "differs" else rule.field


def _reader(rule: Rule) -> Callable[[Person], str | None]:
    if rule.expects != "differs":
        return _text(rule.field)
    # The library's own comparison of fields runs row by row in Python, eight times slower than the whole suite.
    field, than = attrgetter(rule.field), attrgetter(rule.than)
    return lambda one: field(one) if field(one) == than(one) else None


def _text(field: str) -> Callable[[Person], str | None]:
    match field:
        case "hire_date" | "termination_date":  # text of one width compares like the dates
            day = attrgetter(field)
            return lambda one: None if day(one) is None else day(one).isoformat()
        case "upn":
            return lambda one: one.upn.casefold() if one.upn else None
        case "department":
            return lambda one: one.department.strip() or None
        case _:
            read = attrgetter(field)
            return lambda one: read(one) or None


def _library() -> ModuleType:
    """Import the library, which warns about modules that it imports itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations
    return cast("ModuleType", great_expectations)


def _validate(gx: ModuleType, frame: pd.DataFrame, rules: Sequence[Rule]) -> dict[str, Any]:
    """Let the library judge; results by the name of the rule."""
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("feed").add_dataframe_asset("people")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="people", expectations=[_expectation(rule) for rule in rules])
    results = batch.validate(suite, result_format=_RESULTS).results
    return {result.expectation_config.meta["rule"]: result for result in results}


def _expectation(rule: Rule) -> Any:
    from great_expectations import expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    known: dict[str, Any] = {"meta": {"rule": rule.name}}
    if rule.only_active:
        known["row_condition"] = Column("status") == _ACTIVE
    match rule.expects:
        case "filled":
            return gxe.ExpectColumnValuesToNotBeNull(column=rule.field, **known)
        case "unique":
            return gxe.ExpectColumnValuesToBeUnique(column=rule.field, **known)
        case "matches":
            return gxe.ExpectColumnValuesToMatchRegex(column=rule.field, regex=rule.pattern, **known)
        case "differs":
            return gxe.ExpectColumnValuesToBeNull(column=_column(rule), **known)
        case "not_before":
            known |= {"or_equal": True, "ignore_row_if": "either_value_is_missing"}
            return gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A=rule.field, column_B=rule.than, **known)


def _failure(rule: Rule, result: Any) -> RuleFailure:
    """Name the rows that break a rule. Raises RuntimeError when the library could not evaluate it."""
    found = result.result
    if "unexpected_index_list" not in found:
        raise RuntimeError(f"the rule that {rule.name} could not be evaluated: {result.exception_info}")
    lines = tuple(sorted(int(line) for line in found["unexpected_index_list"]))
    return RuleFailure(rule=rule.name, column=rule.field, count=len(lines), lines=lines)
