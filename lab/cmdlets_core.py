"""The general commands of the subset: filtering, selecting, repeating, writing to streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cmp_to_key

from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.posh_compare import comparison, order, truthy, wildcard
from lab.posh_errors import ErrorRecord, LoopFlow, ReturnFlow, not_supported
from lab.posh_members import get_member
from lab.posh_values import Bag, Hashtable, PsObject, ScriptBlock, Value, as_list, to_text

_TESTS = ("eq", "ne", "gt", "ge", "lt", "le", "like", "notlike", "match", "contains", "in")


def run_block(call: Call, block: ScriptBlock, item: Value) -> Iterator[Value]:
    """Run a script block with `$_` set; return leaves the block only."""
    try:
        yield from call.scope.each(item, block.run(call.scope))
    except ReturnFlow:
        return


def _input(call: Call) -> Iterator[Value]:
    if call.pipe is not None:
        for item in call.pipe:
            call.scope.run.streams.checkpoint()
            yield item
    else:
        yield from as_list(call.bound.get("InputObject"))


def for_each(call: Call) -> Iterator[Value]:
    """ForEach-Object: run a block, or read a property, for each input object."""
    process = call.bound.get("Process")
    try:
        if call.has("Begin"):
            yield from run_block(call, call.block("Begin"), None)
        for item in _input(call):
            if isinstance(process, ScriptBlock):
                yield from run_block(call, process, item)
            else:
                yield get_member(item, to_text(process))
        if call.has("End"):
            yield from run_block(call, call.block("End"), None)
    except LoopFlow:
        return


def where(call: Call) -> Iterator[Value]:
    """Where-Object: keep what a block or a simple comparison finds true."""
    for item in _input(call):
        if _keeps(call, item):
            yield item


def _keeps(call: Call, item: Value) -> bool:
    if call.has("FilterScript"):
        return truthy(list(run_block(call, call.block("FilterScript"), item)))
    value = get_member(item, call.text("Property"))
    for name in _TESTS:
        if call.has(name):
            test = comparison(f"-{name}")
            assert test is not None
            return truthy(test(value, call.bound.get("Value")))
    return truthy(value)


def select(call: Call) -> Iterator[Value]:
    """Select-Object: choose properties, the first or last objects, or expand one property."""
    flow: Iterator[Value] = _input(call)
    if call.has("Skip"):
        flow = _skip(flow, call.number("Skip", 0))
    if call.has("First"):
        flow = _first(flow, call.number("First", 0))
    if call.has("Last"):
        flow = iter(list(flow)[-call.number("Last", 0) :] if call.number("Last", 0) else [])
    if call.flag("Unique"):
        flow = _unique(flow)
    for item in flow:
        if call.has("ExpandProperty"):
            yield from as_list(get_member(item, call.text("ExpandProperty")))
        elif call.has("Property"):
            yield _project(call, item)
        else:
            yield item


def _skip(flow: Iterator[Value], count: int) -> Iterator[Value]:
    for index, item in enumerate(flow):
        if index >= count:
            yield item


def _first(flow: Iterator[Value], count: int) -> Iterator[Value]:
    if count <= 0:
        return
    for index, item in enumerate(flow, 1):
        yield item
        if index == count:
            return


def _unique(flow: Iterator[Value]) -> Iterator[Value]:
    seen: set[str] = set()
    for item in flow:
        text = to_text(item)
        if text not in seen:
            seen.add(text)
            yield item


def _project(call: Call, item: Value) -> PsObject:
    chosen = Bag()
    for wanted in as_list(call.bound.get("Property")):
        if isinstance(wanted, Hashtable):
            name, value = _calculated(call, wanted, item)
            chosen[name] = value
        else:
            _copy(item, to_text(wanted), chosen)
    types = item.types if isinstance(item, PsObject) else ("System.Object",)
    return PsObject(chosen.items(), types=("Selected." + types[0], *_SELECTED))


_SELECTED = ("System.Management.Automation.PSCustomObject", "System.Object")


def _copy(item: Value, wanted: str, chosen: Bag) -> None:
    if "*" not in wanted and "?" not in wanted:
        name = next((known for known in _names(item) if known.lower() == wanted.lower()), wanted)
        chosen[name] = get_member(item, name)
        return
    pattern = wildcard(wanted)
    for name in _names(item):
        if pattern.match(name):
            chosen[name] = get_member(item, name)


def _names(item: Value) -> list[str]:
    if isinstance(item, PsObject):
        return list(item.props)
    return [to_text(key) for key, _ in item.items()] if isinstance(item, Hashtable) else []


def _calculated(call: Call, table: Hashtable, item: Value) -> tuple[str, Value]:
    name = next((table.get(key) for key in ("Name", "n", "Label", "l") if key in table), None)
    how = next((table.get(key) for key in ("Expression", "e") if key in table), None)
    if isinstance(how, ScriptBlock):
        found = list(run_block(call, how, item))
        return to_text(name or how.text), found[0] if len(found) == 1 else (found or None)
    return to_text(name or how), get_member(item, to_text(how))


def sort(call: Call) -> Iterator[Value]:
    """Sort-Object by properties."""
    names = call.texts("Property")

    def compare(one: Value, other: Value) -> int:
        for name in names or [""]:
            left, right = (get_member(one, name), get_member(other, name)) if name else (one, other)
            found = (left is not None) - (right is not None) if None in (left, right) else order(left, right)
            if found:
                return found
        return 0

    found = sorted(_input(call), key=cmp_to_key(compare), reverse=call.flag("Descending"))
    yield from _unique(iter(found)) if call.flag("Unique") else found


def measure(call: Call) -> Iterator[Value]:
    """Measure-Object: count the input."""
    count = sum(1 for _ in _input(call))
    props: list[tuple[str, Value]] = [("Count", count), ("Average", None), ("Sum", None), ("Property", None)]
    name = "Microsoft.PowerShell.Commands.GenericMeasureInfo"
    yield PsObject(props, types=(name, "Microsoft.PowerShell.Commands.MeasureInfo", "System.Object"), adapted=True)


def out_null(call: Call) -> Iterator[Value]:
    """Out-Null: take everything, give nothing."""
    for _ in _input(call):
        pass
    return
    yield


def write_output(call: Call) -> Iterator[Value]:
    """Write-Output: pass values on; -NoEnumerate keeps a list together."""
    if call.flag("NoEnumerate"):
        yield call.bound.get("InputObject")
    else:
        yield from _input(call)


def _writer(stream: str) -> Callable[[Call], Iterator[Value]]:
    def write(call: Call) -> Iterator[Value]:
        call.message(stream, call.text("Message"))
        return
        yield

    return write


def write_error(call: Call) -> Iterator[Value]:
    """Write-Error: a non-terminating error of one's own."""
    exception = "Microsoft.PowerShell.Commands.WriteErrorException"
    error_id = call.text("ErrorId") or exception
    category = call.text("Category") or "NotSpecified"
    call.error(ErrorRecord(call.text("Message"), error_id, category, exception, target=call.bound.get("TargetObject")))
    return
    yield


def new_object(call: Call) -> Iterator[Value]:
    """New-Object: only PSObject with -Property."""
    if call.text("TypeName").lower() not in ("psobject", "pscustomobject", "system.management.automation.psobject"):
        raise call.fail(not_supported(f"New-Object {call.text('TypeName')}"))
    table = call.bound.get("Property")
    yield (
        PsObject((to_text(key), value) for key, value in table.items()) if isinstance(table, Hashtable) else PsObject()
    )


def start_sleep(call: Call) -> Iterator[Value]:
    """Start-Sleep: wait, unless the client stops the pipeline."""
    call.scope.run.streams.sleep(call.number("Seconds", 0) + call.number("Milliseconds", 0) / 1000)
    return
    yield


_ITEM = Parameter("InputObject", "any")
_SETS = tuple(Parameter(name, "switch", sets={"Property": False}) for name in _TESTS)

CORE = (
    Cmdlet(
        "ForEach-Object",
        for_each,
        (
            _ITEM,
            Parameter("Process", "any", position=0, sets=needed()),
            Parameter("Begin", "script"),
            Parameter("End", "script"),
        ),
        streams=True,
    ),
    Cmdlet(
        "Where-Object",
        where,
        (
            _ITEM,
            Parameter("FilterScript", "script", position=0, sets=needed("Script")),
            Parameter("Property", position=0, sets=needed("Property")),
            Parameter("Value", "any", position=1, sets={"Property": False}),
            *_SETS,
        ),
        default_set="Script",
        streams=True,
    ),
    Cmdlet(
        "Select-Object",
        select,
        (
            _ITEM,
            Parameter("Property", "list", position=0),
            Parameter("ExpandProperty"),
            Parameter("First", "int"),
            Parameter("Last", "int"),
            Parameter("Skip", "int"),
            Parameter("Unique", "switch"),
        ),
        streams=True,
    ),
    Cmdlet(
        "Sort-Object",
        sort,
        (
            _ITEM,
            Parameter("Property", "strings", position=0),
            Parameter("Descending", "switch"),
            Parameter("Unique", "switch"),
        ),
        streams=True,
    ),
    Cmdlet("Measure-Object", measure, (_ITEM,), streams=True),
    Cmdlet("Out-Null", out_null, (_ITEM,), streams=True),
    Cmdlet(
        "Write-Output",
        write_output,
        (Parameter("InputObject", "list", position=0), Parameter("NoEnumerate", "switch")),
        streams=True,
    ),
    # Strictness is not modelled: a script that relies on it finds no difference.
    Cmdlet("Set-StrictMode", lambda _call: (), (Parameter("Version"), Parameter("Off", "switch"))),
    Cmdlet("Write-Warning", _writer("warning"), (Parameter("Message", position=0, from_value=True),)),
    Cmdlet("Write-Verbose", _writer("verbose"), (Parameter("Message", position=0, from_value=True),)),
    Cmdlet("Write-Debug", _writer("debug"), (Parameter("Message", position=0, from_value=True),)),
    Cmdlet(
        "Write-Error",
        write_error,
        (
            Parameter("Message", position=0, from_value=True, sets=needed()),
            Parameter("ErrorId"),
            Parameter("Category"),
            Parameter("TargetObject", "any"),
        ),
    ),
    Cmdlet(
        "New-Object", new_object, (Parameter("TypeName", position=0, sets=needed()), Parameter("Property", "hashtable"))
    ),
    Cmdlet(
        "Start-Sleep",
        start_sleep,
        (Parameter("Seconds", "int", position=0, aliases=("s",)), Parameter("Milliseconds", "int", aliases=("ms",))),
    ),
)

ALIASES = {
    "%": "ForEach-Object",
    "foreach": "ForEach-Object",
    "?": "Where-Object",
    "where": "Where-Object",
    "select": "Select-Object",
    "sort": "Sort-Object",
    "measure": "Measure-Object",
    "echo": "Write-Output",
    "write": "Write-Output",
}
