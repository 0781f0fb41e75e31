"""The commands that write to the information and progress streams."""

from __future__ import annotations

from collections.abc import Iterator

from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.posh_values import EnumValue, Value, as_list, to_text
from lab.psrp_records import progress_record, progress_type


def write_information(call: Call) -> Iterator[Value]:
    """Write-Information: a record with its tags."""
    _inform(call, call.bound.get("MessageData"), call.texts("Tags"))
    return
    yield


def write_host(call: Call) -> Iterator[Value]:
    """Write-Host: a record with the tag PSHOST, which a client without a screen receives like any other."""
    text = " ".join(to_text(item) for item in as_list(call.bound.get("Object")))
    _inform(call, text, ["PSHOST"])
    return
    yield


def _inform(call: Call, value: Value, tags: list[str]) -> None:
    action = call.common.get("informationaction", "continue").lower()
    if action not in ("silentlycontinue", "ignore"):
        call.scope.run.streams.information(value, tags, call.cmdlet.name)


def write_progress(call: Call) -> Iterator[Value]:
    """Write-Progress: how far something has come."""
    percent, activity_id = call.number("PercentComplete", -1), call.number("Id", 0)
    status = call.text("Status") or "Processing"
    record = progress_record(call.text("Activity"), status, percent=percent, activity_id=activity_id)
    record.props["CurrentOperation"] = call.bound.get("CurrentOperation")
    record.props["ParentActivityId"] = call.number("ParentId", -1)
    record.props["SecondsRemaining"] = call.number("SecondsRemaining", -1)
    completed: EnumValue = progress_type(completed=call.flag("Completed"))
    record.props["Type"] = completed
    call.scope.run.streams.progress(record)
    return
    yield


STREAMS = (
    Cmdlet(
        "Write-Information",
        write_information,
        (Parameter("MessageData", "any", position=0, from_value=True), Parameter("Tags", "strings", position=1)),
    ),
    Cmdlet(
        "Write-Host",
        write_host,
        (
            Parameter("Object", "any", position=0, from_value=True),
            Parameter("NoNewline", "switch"),
            Parameter("ForegroundColor"),
            Parameter("BackgroundColor"),
        ),
    ),
    Cmdlet(
        "Write-Progress",
        write_progress,
        (
            Parameter("Activity", position=0, sets=needed()),
            Parameter("Status", position=1),
            Parameter("Id", "int", position=2),
            Parameter("PercentComplete", "int"),
            Parameter("SecondsRemaining", "int"),
            Parameter("CurrentOperation"),
            Parameter("ParentId", "int"),
            Parameter("Completed", "switch"),
        ),
    ),
)
