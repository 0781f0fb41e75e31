"""Properties, indexes and methods of values: what stands behind `.name`, `[index]` and `.Method()`."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from lab.posh_collections import Collection
from lab.posh_compare import to_number
from lab.posh_errors import CATEGORIES, ErrorRecord, StatementError, not_supported, runtime
from lab.posh_values import Hashtable, PsObject, Value, collapse, to_text, type_name

_CATEGORY_TYPE = "System.Management.Automation.ErrorCategoryInfo"


def get_member(value: Value, name: str) -> Value:
    """Read a property; one that is not there is null, as without strict mode."""
    if isinstance(value, PsObject):
        if name in value.props:
            return value.props.get(name)
        return 1 if name.lower() in ("count", "length") else None
    if isinstance(value, Hashtable):
        return _table_member(value, name)
    if isinstance(value, list):
        return _list_member(value, name)
    if isinstance(value, ErrorRecord):
        return _record_member(value, name)
    lowered = name.lower()
    if isinstance(value, str) and lowered == "length":
        return len(value)
    if lowered in ("count", "length"):
        return 0 if value is None else 1
    return str(value) if isinstance(value, UUID) and lowered == "guid" else None


def _table_member(table: Hashtable, name: str) -> Value:
    if name in table:
        return table.get(name)
    match name.lower():
        case "count":
            return len(table)
        case "keys":
            return [key for key, _ in table.items()]
        case "values":
            return [value for _, value in table.items()]
    return None


def _list_member(items: list[Value], name: str) -> Value:
    if name.lower() in ("count", "length"):
        return len(items)
    found: list[Value] = []
    for item in items:
        value = get_member(item, name)
        if value is not None:
            found.extend(value if isinstance(value, list) else [value])
    return collapse(found)


def _record_member(record: ErrorRecord, name: str) -> Value:
    match name.lower():
        case "exception":
            return _exception(record)
        case "fullyqualifiederrorid":
            return qualified_id(record)
        case "categoryinfo":
            return category_info(record)
        case "targetobject":
            return record.target
        case "invocationinfo":
            return PsObject([("MyCommand", record.activity)], types=("System.Management.Automation.InvocationInfo",))
    return None


def _exception(record: ErrorRecord) -> PsObject:
    props = [("Message", record.message), ("HResult", -2146233087), ("InnerException", None)]
    return PsObject(props, types=(record.exception, "System.Exception", "System.Object"), text=record.message)


def category_info(record: ErrorRecord) -> PsObject:
    """Show the category of an error as its CategoryInfo object."""
    name = to_text(record.target)
    props: list[tuple[str, Value]] = [
        ("Category", record.category if record.category in CATEGORIES else "NotSpecified"),
        ("Activity", record.activity),
        ("Reason", record.reason),
        ("TargetName", name),
        ("TargetType", "" if record.target is None else type_name(record.target).rsplit(".", 1)[-1]),
    ]
    text = f"{record.category}: ({name}:{props[4][1]}) [{record.activity}], {record.reason}"
    return PsObject(props, types=(_CATEGORY_TYPE, "System.Object"), text=text)


def qualified_id(record: ErrorRecord) -> str:
    """Give the fully qualified error id: the id, and the class of the cmdlet when one raised it."""
    if not record.activity or "," in record.error_id:
        return record.error_id
    return f"{record.error_id},{command_class(record.activity)}"


def command_class(activity: str) -> str:
    """Name the class behind a cmdlet, the second half of its error ids."""
    if "-AD" in activity:
        verb, _, noun = activity.partition("-")
        return f"Microsoft.ActiveDirectory.Management.Commands.{verb}{noun}"
    if "-Cs" in activity:
        return f"Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Cmdlets.{activity.replace('-', '')}"
    return f"Microsoft.PowerShell.Commands.{activity.replace('-', '')}Command"


def set_member(value: Value, name: str, new: Value) -> None:
    """Write a property of an object or an entry of a table."""
    if isinstance(value, Hashtable):
        value[name] = new
    elif isinstance(value, PsObject) and name in value.props:
        value.props[name] = new
    else:
        raise runtime(
            f"The property '{name}' cannot be found on this object. Verify that the property exists and can be set.",
            "PropertyNotFound" if value is not None else "PropertyAssignmentException",
        )


def get_index(value: Value, index: Value) -> Value:
    """Read `value[index]`; an index outside is null."""
    if value is None:
        raise runtime("Cannot index into a null array.", "NullArray")
    if isinstance(value, Hashtable):
        return value.get(index)
    if isinstance(index, list):
        return [get_index(value, item) for item in index]
    place = to_number(index)
    items = value if isinstance(value, list | str) else [value]
    if not isinstance(place, int):
        return None
    return items[place] if -len(items) <= place < len(items) else None


def set_index(value: Value, index: Value, new: Value) -> None:
    """Write `value[index]`."""
    place = to_number(index)
    if isinstance(value, Hashtable):
        value[index] = new
    elif isinstance(value, list) and isinstance(place, int) and -len(value) <= place < len(value):
        value[place] = new
    else:
        raise runtime("Index was outside the bounds of the array.", "IndexOutOfRange")


Method = Callable[[list[Value]], Value]


def _text_methods(text: str) -> dict[str, Method]:
    return {
        "tolower": lambda _: text.lower(),
        "toupper": lambda _: text.upper(),
        "tolowerinvariant": lambda _: text.lower(),
        "toupperinvariant": lambda _: text.upper(),
        "trim": lambda args: text.strip(to_text(args[0]) if args else None),
        "startswith": lambda args: text.startswith(to_text(args[0])),
        "endswith": lambda args: text.endswith(to_text(args[0])),
        "contains": lambda args: to_text(args[0]) in text,
        "replace": lambda args: text.replace(to_text(args[0]), to_text(args[1])),
        "substring": lambda args: _substring(text, args),
        "indexof": lambda args: text.find(to_text(args[0])),
    }


def _substring(text: str, args: list[Value]) -> str:
    start, length = to_number(args[0]), to_number(args[1]) if len(args) > 1 else None
    begin = int(start or 0)
    end = len(text) if length is None else begin + int(length)
    if not 0 <= begin <= end <= len(text):
        raise runtime("Index and length must refer to a location within the string.", "ArgumentOutOfRangeException")
    return text[begin:end]


def _table_methods(table: Hashtable) -> dict[str, Method]:
    def add(args: list[Value]) -> Value:
        if args[0] in table:
            raise runtime("Item has already been added.", "ArgumentException")
        table[args[0]] = args[1]
        return None

    return {
        "containskey": lambda args: args[0] in table,
        "contains": lambda args: args[0] in table,
        "add": add,
        "remove": lambda args: table.remove(args[0]),
        "clone": lambda _: Hashtable(table.items(), ordered=table.ordered),
        "getenumerator": lambda _: [PsObject([("Key", k), ("Name", k), ("Value", v)]) for k, v in table.items()],
    }


def call_method(value: Value, name: str, arguments: list[Value]) -> Value:
    """Call one of the few methods the subset knows."""
    methods: dict[str, Method] = {}
    if isinstance(value, str):
        methods = _text_methods(value)
    elif isinstance(value, Hashtable):
        methods = _table_methods(value)
    elif isinstance(value, Collection):
        methods = value.methods()
    if value is None:
        raise runtime("You cannot call a method on a null-valued expression.", "InvokeMethodOnNull")
    methods["tostring"] = lambda _: to_text(value)
    methods["gettype"] = lambda _: _type(value)
    method = methods.get(name.lower())
    if method is None:
        raise StatementError(not_supported(f"the method {name} of {type_name(value)}"))
    try:
        return method(arguments)
    except IndexError as error:
        raise runtime(f'Cannot find an overload for "{name}".', "MethodCountCouldNotFindBest") from error


def _type(value: Value) -> PsObject:
    name = type_name(value)
    return PsObject([("FullName", name), ("Name", name.rsplit(".", 1)[-1])], types=("System.RuntimeType",), text=name)


STATIC_METHODS: dict[tuple[str, str], Method] = {
    ("string", "isnullorempty"): lambda args: not to_text(args[0] if args else None),
    ("string", "isnullorwhitespace"): lambda args: not to_text(args[0] if args else None).strip(),
    ("guid", "empty"): lambda _: UUID(int=0),
}
