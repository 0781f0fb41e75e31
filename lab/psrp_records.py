"""The records of the side streams: warning, verbose, debug, information and progress."""

from __future__ import annotations

from datetime import UTC, datetime

from lab.posh_values import EnumValue, PsObject, Value
from lab.psrp_writer import Unsigned, Writer

_PROGRESS_TYPES = ("Processing", "Completed")


def record_message(text: str, type_: str) -> bytes:
    """Write the data of a warning, verbose or debug message."""
    writer = Writer()
    names = (
        f"System.Management.Automation.{type_}",
        "System.Management.Automation.InformationalRecord",
        "System.Object",
    )
    writer.open("", names, text)
    props: list[tuple[str, Value]] = [
        ("InformationalRecord_Message", text),
        ("InformationalRecord_SerializeInvocationInfo", False),
    ]
    writer.properties("MS", props)
    writer.close()
    return writer.done()


def information_message(value: Value, tags: list[str], source: str) -> bytes:
    """Write the data of a record of the information stream."""
    writer = Writer()
    writer.open("", ("System.Management.Automation.InformationRecord", "System.Object"), None)
    props: list[tuple[str, Value]] = [
        ("MessageData", value),
        ("Source", source),
        ("TimeGenerated", datetime.now(UTC)),
        ("Tags", list(tags)),
        ("User", "lab"),
        ("Computer", "lab"),
        *((name, Unsigned(1)) for name in ("ProcessId", "NativeThreadId", "ManagedThreadId")),
    ]
    writer.properties("MS", props)
    writer.close()
    return writer.done()


def progress_record(activity: str, status: str, *, percent: int = -1, activity_id: int = 0) -> PsObject:
    """Make a progress record; `percent` is -1 when nobody knows."""
    props: list[tuple[str, Value]] = [
        ("Activity", activity),
        ("ActivityId", activity_id),
        ("StatusDescription", status),
        ("CurrentOperation", None),
        ("ParentActivityId", -1),
        ("PercentComplete", percent),
        ("Type", progress_type(completed=False)),
        ("SecondsRemaining", -1),
    ]
    return PsObject(props)


def progress_type(*, completed: bool) -> EnumValue:
    """Tell whether something goes on or is over."""
    return EnumValue("System.Management.Automation.ProgressRecordType", _PROGRESS_TYPES[completed], int(completed))


def progress_message(record: PsObject) -> bytes:
    """Write the data of a progress message: properties only, no type."""
    writer = Writer()
    writer.open("", ())
    writer.properties("MS", list(record.props.items()))
    writer.close()
    return writer.done()
