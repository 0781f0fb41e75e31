"""Error records and the two ways they end things: the statement, or the whole script.

StatementError ends one statement and the script goes on; ScriptError (throw, -ErrorAction Stop) ends the script.
Both are caught by try.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.posh_values import Value, to_text, type_name

# System.Management.Automation.ErrorCategory, the members the lab uses.
CATEGORIES = {
    "NotSpecified": 0,
    "InvalidArgument": 5,
    "InvalidData": 6,
    "InvalidOperation": 7,
    "InvalidResult": 8,
    "InvalidType": 9,
    "NotImplemented": 11,
    "ObjectNotFound": 13,
    "OperationStopped": 14,
    "OperationTimeout": 15,
    "SyntaxError": 16,
    "ParserError": 17,
    "PermissionDenied": 18,
    "ResourceBusy": 19,
    "ResourceExists": 20,
    "ResourceUnavailable": 21,
    "LimitsExceeded": 25,
    "ConnectionError": 27,
    "AuthenticationError": 28,
}


@dataclass(frozen=True)
class ErrorRecord:
    """What went wrong, in the shape the error stream carries."""

    message: str
    error_id: str
    category: str = "NotSpecified"
    exception: str = "System.Exception"
    target: Value = None
    activity: str = ""

    @property
    def reason(self) -> str:
        """Give the short name of the exception type."""
        return self.exception.rsplit(".", 1)[-1]

    def called_by(self, activity: str) -> ErrorRecord:
        """Add the name of the cmdlet, unless one is there."""
        return self if self.activity else replace(self, activity=activity)

    def __str__(self) -> str:
        return self.message


class PoshError(Exception):
    """An error record on its way up."""

    def __init__(self, record: ErrorRecord) -> None:
        super().__init__(record.message)
        self.record = record


class StatementError(PoshError):
    """End the statement; the script goes on unless $ErrorActionPreference says Stop."""


class ScriptError(PoshError):
    """End the script; `stopped_by_preference` when a non-terminating error was made one."""

    def __init__(self, record: ErrorRecord, *, stopped_by_preference: bool = False) -> None:
        super().__init__(record)
        self.stopped_by_preference = stopped_by_preference


class PipelineStopped(Exception):
    """Leave everything: the client sent a stop, or its shell is gone."""


class ConnectionCut(Exception):
    """Close the client's connection without an answer."""


class ReturnFlow(Exception):
    """Leave the script or script block early."""


class LoopFlow(Exception):
    """Carry a break or continue to its loop."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


def final_record(error: PoshError) -> ErrorRecord:
    """Give the record that a failed pipeline reports."""
    record = error.record
    if not (isinstance(error, ScriptError) and error.stopped_by_preference):
        return record
    prefix = (
        'The running command stopped because the preference variable "ErrorActionPreference" '
        "or common parameter is set to Stop: "
    )
    stop = "System.Management.Automation.ActionPreferenceStopException"
    return replace(record, message=prefix + record.message, exception=stop)


def thrown(value: Value) -> ErrorRecord:
    """Make the record of a throw statement."""
    if isinstance(value, ErrorRecord):
        return value
    text = to_text(value) if value is not None else "ScriptHalted"
    return ErrorRecord(text, text, "OperationStopped", "System.Management.Automation.RuntimeException", target=value)


def not_supported(construct: str) -> ErrorRecord:
    """Refuse a part of PowerShell that the lab does not interpret."""
    return ErrorRecord(
        f"The lab's PowerShell subset does not support {construct}; see docs/lab-powershell.md.",
        "LabConstructNotSupported",
        "ParserError",
        "System.Management.Automation.ParseException",
        target=construct,
    )


def cast_failed(value: Value, type_: str) -> ErrorRecord:
    """Say that a value does not turn into a type."""
    text = (
        f'Cannot convert value "{to_text(value)}" to type "{type_}".'
        if not isinstance(value, list)
        else f'Cannot convert the "{type_name(value)}" value of type "{type_name(value)}" to type "{type_}".'
    )
    return ErrorRecord(
        text, "InvalidCastFromStringToInteger", "InvalidArgument", "System.Management.Automation.PSInvalidCastException"
    )


def runtime(message: str, error_id: str, category: str = "InvalidOperation") -> StatementError:
    """Make the error of an operation that the language itself refuses."""
    record = ErrorRecord(message, error_id, category, "System.Management.Automation.RuntimeException")
    return StatementError(record)
