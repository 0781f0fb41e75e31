"""How values compare and convert: the left operand decides, text ignores case unless the operator starts with c."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from lab.posh_errors import ErrorRecord, StatementError, cast_failed, runtime
from lab.posh_values import EnumValue, Hashtable, PsObject, SecureString, Value, as_list, to_text

_WILD = {"*": ".*", "?": "."}
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*\Z")


def truthy(value: Value) -> bool:
    """Tell whether a value counts as true in a condition."""
    if isinstance(value, list):
        return truthy(value[0]) if len(value) == 1 else bool(value)
    if isinstance(value, bool | int | float | str):
        return bool(value)
    return value is not None


def to_number(value: Value) -> int | float | None:
    """Read a number from a value, or None."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if value is None:
        return 0
    if isinstance(value, EnumValue):
        return value.number
    if not isinstance(value, str) or not _NUMBER.match(value):
        return 0 if value == "" else None
    return float(value) if any(sign in value for sign in ".eE") else int(value)


def to_moment(value: Value) -> datetime | None:
    """Read a moment from a value, or None; text without a zone is taken as UTC."""
    if isinstance(value, datetime):
        return value
    text = to_text(value)
    for form in ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def same(left: Value, right: Value, *, case: bool = False) -> bool:
    """Tell whether two single values are equal by -eq."""
    if left is None or right is None:
        return left is right
    if isinstance(left, bool):
        return left == truthy(right)
    if isinstance(left, int | float):
        number = to_number(right)
        return number is not None and left == number
    if isinstance(left, str | UUID | EnumValue):
        one, other = to_text(left), to_text(right)
        return one == other if case else one.lower() == other.lower()
    if isinstance(left, datetime):
        return left == to_moment(right)
    return left is right


def order(left: Value, right: Value, *, case: bool = False) -> int:
    """Compare two single values: negative, zero or positive."""
    if isinstance(left, bool | int | float):
        number = to_number(right)
        if number is None:
            raise StatementError(cast_failed(right, "System.Int32"))
        return (left > number) - (left < number)
    if isinstance(left, datetime):
        moment = to_moment(right)
        if moment is None:
            raise StatementError(cast_failed(right, "System.DateTime"))
        return (left > moment) - (left < moment)
    one, other = to_text(left), to_text(right)
    one, other = (one, other) if case else (one.lower(), other.lower())
    return (one > other) - (one < other)


@lru_cache(maxsize=512)
def wildcard(pattern: str, *, case: bool = False) -> re.Pattern[str]:
    """Compile a -like pattern: * ? [set] and the backtick as escape."""
    out, at = [], 0
    while at < len(pattern):
        sign = pattern[at]
        close = pattern.find("]", at + 2) if sign == "[" else -1
        if sign == "`" and at + 1 < len(pattern):
            at += 1
            out.append(re.escape(pattern[at]))
        elif close > 0:
            out.append("[" + re.sub(r"([\\^\[])", r"\\\1", pattern[at + 1 : close]) + "]")
            at = close
        else:
            out.append(_WILD.get(sign) or re.escape(sign))
        at += 1
    return re.compile("".join(out) + r"\Z", re.DOTALL | (0 if case else re.IGNORECASE))


def like(left: Value, right: Value, *, case: bool = False) -> bool:
    """Tell whether a text fits a wildcard pattern."""
    return wildcard(to_text(right), case=case).match(to_text(left)) is not None


def matches(left: Value, right: Value, *, case: bool = False) -> bool:
    """Tell whether a regular expression is found in a text (Python's dialect)."""
    try:
        return re.search(to_text(right), to_text(left), 0 if case else re.IGNORECASE) is not None
    except re.error as error:
        raise runtime(f"Invalid regular expression: {error}", "InvalidRegularExpression") from error


Test = Callable[[Value, Value, bool], bool]

_TESTS: dict[str, Test] = {
    "eq": lambda a, b, c: same(a, b, case=c),
    "ne": lambda a, b, c: not same(a, b, case=c),
    "gt": lambda a, b, c: order(a, b, case=c) > 0,
    "ge": lambda a, b, c: order(a, b, case=c) >= 0,
    "lt": lambda a, b, c: order(a, b, case=c) < 0,
    "le": lambda a, b, c: order(a, b, case=c) <= 0,
    "like": lambda a, b, c: like(a, b, case=c),
    "notlike": lambda a, b, c: not like(a, b, case=c),
    "match": lambda a, b, c: matches(a, b, case=c),
    "notmatch": lambda a, b, c: not matches(a, b, case=c),
}


def _contains(items: Value, wanted: Value, *, case: bool) -> bool:
    return any(same(item, wanted, case=case) for item in as_list(items))


def comparison(operator: str) -> Callable[[Value, Value], Value] | None:
    """Give the function of a comparison operator such as `-eq`, or None for one outside the subset."""
    name = operator.lstrip("-").lower()
    case = name.startswith("c") and name not in ("contains",)
    name = name[1:] if case or (name.startswith("i") and name not in ("in", "is")) else name
    if name in ("contains", "notcontains"):
        return lambda left, right: _contains(left, right, case=case) != name.startswith("not")
    if name in ("in", "notin"):
        return lambda left, right: _contains(right, left, case=case) != name.startswith("not")
    test = _TESTS.get(name)
    if test is None:
        return None

    def compare(left: Value, right: Value) -> Value:
        if isinstance(left, list):
            return [item for item in left if test(item, right, case)]
        return test(left, right, case)

    return compare


def _to_int(value: Value) -> Value:
    number = to_number(value)
    if number is None:
        raise StatementError(cast_failed(value, "System.Int32"))
    whole = round(number)
    if abs(whole) > 2**63 - 1:
        raise StatementError(cast_failed(value, "System.Int64"))
    return whole


def _to_float(value: Value) -> Value:
    number = to_number(value)
    if number is None:
        raise StatementError(cast_failed(value, "System.Double"))
    return float(number)


def _to_guid(value: Value) -> Value:
    try:
        return value if isinstance(value, UUID) else UUID(to_text(value))
    except ValueError as error:
        raise StatementError(cast_failed(value, "System.Guid")) from error


def _to_datetime(value: Value) -> Value:
    moment = to_moment(value)
    if moment is None:
        raise StatementError(cast_failed(value, "System.DateTime"))
    return moment


def _to_object(value: Value) -> Value:
    if isinstance(value, Hashtable):
        return PsObject((to_text(key), item) for key, item in value.items())
    return value


def _to_hashtable(value: Value) -> Value:
    if value is not None and not isinstance(value, Hashtable):
        raise StatementError(cast_failed(value, "System.Collections.Hashtable"))
    return value


def _to_char(value: Value) -> Value:
    text = chr(value) if isinstance(value, int) else to_text(value)
    if len(text) != 1:
        raise StatementError(cast_failed(value, "System.Char"))
    return text


def _to_secure(value: Value) -> Value:
    if not isinstance(value, SecureString):
        raise StatementError(cast_failed(value, "System.Security.SecureString"))
    return value


CASTS: dict[str, Callable[[Value], Value]] = {
    "string": to_text,
    "int": _to_int,
    "int32": _to_int,
    "long": _to_int,
    "int64": _to_int,
    "uint32": _to_int,
    "double": _to_float,
    "decimal": _to_float,
    "bool": truthy,
    "boolean": truthy,
    "switch": truthy,
    "char": _to_char,
    "guid": _to_guid,
    "datetime": _to_datetime,
    "hashtable": _to_hashtable,
    "ordered": _to_hashtable,
    "pscustomobject": _to_object,
    "psobject": _to_object,
    "object": lambda value: value,
    "array": lambda value: None if value is None else list(as_list(value)),
    "securestring": _to_secure,
    "void": lambda _value: None,
}


def cast(type_: str) -> Callable[[Value], Value] | None:
    """Give the function of a cast such as `int` or `string[]`, or None for a type outside the subset."""
    name = type_.lower().removeprefix("system.").replace("management.automation.", "")
    if not name.endswith("[]"):
        return CASTS.get(name)
    element = CASTS.get(name[:-2])
    if element is None:
        return None
    return lambda value: None if value is None else [element(item) for item in as_list(value)]


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "bool": (bool,),
    "int": (int,),
    "long": (int,),
    "double": (float,),
    "array": (list,),
    "object[]": (list,),
    "hashtable": (Hashtable,),
    "collections.idictionary": (Hashtable,),
    "pscustomobject": (PsObject,),
    "psobject": (PsObject,),
    "datetime": (datetime,),
    "guid": (UUID,),
    "errorrecord": (ErrorRecord,),
    "securestring": (SecureString,),
}


def type_test(type_: str) -> Callable[[Value], bool] | None:
    """Give the function of `-is [type]`, or None for a type outside the subset."""
    kinds = _TYPES.get(type_.removeprefix("system.").replace("management.automation.", ""))
    if kinds is None:
        return None
    return lambda value: isinstance(value, kinds) and isinstance(value, bool) <= (bool in kinds)
