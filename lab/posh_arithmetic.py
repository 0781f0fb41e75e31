"""Plus, minus and the other operators that make new values, with PowerShell's left-operand rules."""

from __future__ import annotations

import re
from collections.abc import Callable

from lab.posh_compare import to_number
from lab.posh_errors import StatementError, cast_failed, runtime
from lab.posh_values import Hashtable, Value, as_list, to_text

_HOLE = re.compile(r"\{\{|\}\}|\{(\d+)(?:,-?\d+)?(?::([^}]*))?\}")
LARGEST_RANGE = 100_000


def _number(value: Value) -> int | float:
    number = to_number(value)
    if number is None:
        raise StatementError(cast_failed(value, "System.Int32"))
    return number


def add(left: Value, right: Value) -> Value:
    """Add numbers, join texts, append to lists, merge tables."""
    if isinstance(left, str):
        return left + to_text(right)
    if isinstance(left, list):
        return [*left, *as_list(right)] if isinstance(right, list) else [*left, right]
    if isinstance(left, Hashtable) and isinstance(right, Hashtable):
        return _merge(left, right)
    if left is None:
        return right
    return _number(left) + _number(right)


def _merge(left: Hashtable, right: Hashtable) -> Hashtable:
    for key, _ in right.items():
        if key in left:
            raise runtime(f"Item has already been added. Key in dictionary: '{to_text(key)}'", "ArgumentException")
    return Hashtable([*left.items(), *right.items()])


def multiply(left: Value, right: Value) -> Value:
    """Multiply numbers, repeat texts and lists."""
    if isinstance(left, str):
        return left * _whole(right)
    if isinstance(left, list):
        return left * _whole(right)
    return _number(left) * _number(right)


def _whole(value: Value) -> int:
    times = round(_number(value))
    if times > 100_000:
        raise runtime("The lab repeats a value at most 100000 times.", "LabLimit", "LimitsExceeded")
    return times


def divide(left: Value, right: Value) -> Value:
    """Divide; a whole result stays whole."""
    divisor = _number(right)
    if divisor == 0:
        raise runtime("Attempted to divide by zero.", "RuntimeException", "NotSpecified")
    quotient = _number(left) / divisor
    return int(quotient) if quotient.is_integer() else quotient


def remainder(left: Value, right: Value) -> Value:
    """Give the remainder, with the sign of the left operand."""
    one, other = _number(left), _number(right)
    if other == 0:
        raise runtime("Attempted to divide by zero.", "RuntimeException", "NotSpecified")
    rest = abs(one) % abs(other)
    return -rest if one < 0 else rest


ARITHMETIC: dict[str, Callable[[Value, Value], Value]] = {
    "+": add,
    "-": lambda left, right: _number(left) - _number(right),
    "*": multiply,
    "/": divide,
    "%": remainder,
}


def join_text(values: Value, separator: Value) -> str:
    """Join the elements of a list."""
    return to_text(separator).join(to_text(item) for item in as_list(values))


def split_text(values: Value, arguments: Value) -> Value:
    """Cut texts where a regular expression finds something (Python's dialect), at most into so many parts."""
    pattern, most, *_ = [*as_list(arguments), 0, 0]
    try:
        cutter = re.compile(to_text(pattern), re.IGNORECASE)
    except re.error as error:
        raise runtime(f"Invalid regular expression: {error}", "InvalidRegularExpression") from error
    limit = max(0, (most if isinstance(most, int) else 0) - 1)
    return [part for item in as_list(values) for part in cutter.split(to_text(item), maxsplit=limit)]


def number_range(first: Value, last: Value) -> Value:
    """Count from one whole number to another, up or down."""
    start, end = (round(_number(edge)) for edge in (first, last))
    if abs(end - start) >= LARGEST_RANGE:
        raise runtime(f"The lab's ranges hold at most {LARGEST_RANGE} numbers.", "LabRangeLimit", "LimitsExceeded")
    step = 1 if end >= start else -1
    return list(range(start, end + step, step))


def replace_text(value: Value, arguments: Value) -> Value:
    """Replace what a regular expression finds (Python's dialect, `$1` for groups), in every text of a list."""
    pattern, new = ([*as_list(arguments), ""])[:2]
    template = re.sub(
        r"\$(\d+|\{\w+\})", lambda found: f"\\g<{found[1].strip('{}')}>", to_text(new).replace("\\", "\\\\")
    )
    try:
        found = [re.sub(to_text(pattern), template, to_text(item), flags=re.IGNORECASE) for item in as_list(value)]
    except (re.error, IndexError) as error:
        raise runtime(f"Invalid regular expression: {error}", "InvalidRegularExpression") from error
    return found if isinstance(value, list) else "".join(found)


def format_text(pattern: str, values: list[Value]) -> str:
    """Fill `{0}` holes; formats inside a hole are refused."""

    def fill(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        if found[2] or int(found[1]) >= len(values):
            raise runtime("Error formatting a string: the index or the format is not supported.", "FormatError")
        return to_text(values[int(found[1])])

    return _HOLE.sub(fill, pattern)
