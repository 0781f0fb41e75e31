"""What PowerShell says is classified by what the caller should do."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from connectors.errors import (
    AlreadyThere,
    Ambiguous,
    Busy,
    ConnectorError,
    Invalid,
    NotAllowed,
    NotFound,
    OnPremisesNumber,
    Throttled,
    Unsupported,
)
from connectors.shell_errors import (
    Failure,
    NoPlace,
    classify,
    failure_of_record,
    meaning_of_fault,
    meaning_of_status,
    micro_delay_s,
)


@pytest.mark.parametrize(
    ("message", "error_id", "reason", "kind"),
    [
        ("Service is unavailable. Please try again", "BadRequest", "", Busy),
        ("Telephone Number '+1' has already been assigned to another user", "BadRequest", "", AlreadyThere),
        ("Telephone Number '+1' is not found from tenant 't'", "BadRequest", "", NotFound),
        ("The server responded with a Request Error, Status: NotFound", "NotFound,Set_Set", "", NotFound),
        ("Cannot find an object with identity: 'ada'", "", "ADIdentityNotFoundException", NotFound),
        (
            "The user 'u' already has a telephone number set in the on-premises Active Directory",
            "",
            "",
            OnPremisesNumber,
        ),
        ("A parameter cannot be found that matches 'Notify'", "NamedParameterNotFound,Set-X", "", Unsupported),
        ("Cannot bind argument", "ParameterArgumentTransformationError", "ParameterBindingException", Invalid),
        ("The term 'Set-X' is not recognized", "CommandNotFoundException", "", Unsupported),
        ("Access is denied", "", "UnauthorizedAccessException", NotAllowed),
        ("You must run Connect-MicrosoftTeams before running cmdlets", "", "", NotAllowed),
        ("The maximum number of concurrent shells for this tenant has been exceeded", "", "", Throttled),
        ("something nobody has seen", "", "", Invalid),
    ],
)
def test_failures_are_classified(message: str, error_id: str, reason: str, kind: type[ConnectorError]) -> None:
    """Each known wording has its meaning; an unknown one is a refusal that people read."""
    error = classify(Failure(message, error_id, reason), attempt="Set-X", what="ada")
    assert type(error) is kind
    assert message[:20] in str(error)


@pytest.mark.parametrize(("writes", "kind"), [(True, Ambiguous), (False, Busy)])
def test_time_out_inside_powershell(writes: bool, kind: type[ConnectorError]) -> None:
    """A write that timed out between the module and the service may have happened."""
    assert type(classify(Failure("The operation has timed out"), attempt="Set-X", writes=writes)) is kind


def test_record_gives_the_exceptions_message() -> None:
    """The text of the exception is read, not the category's, and the full error id with it."""
    record: dict[str, JsonValue] = {
        "Exception": {"Message": "no such user"},
        "FullyQualifiedErrorId": "NotFound,Get-X",
        "ErrorCategory_Reason": "ADIdentityNotFoundException",
        "ErrorCategory_Message": "ObjectNotFound",
    }
    assert failure_of_record(record) == Failure("no such user", "NotFound,Get-X", "ADIdentityNotFoundException")


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (2150858843, "The shell was not found on the server", None),
        (2150859173, "This user is allowed a maximum number of 3 concurrent shells", NoPlace),
        (5, "Access is denied.", NotAllowed),
        (2150858882, "Cannot find the Example session configuration", Invalid),
        (995, "The I/O operation has been aborted", None),
    ],
)
def test_faults(code: int, reason: str, kind: type[ConnectorError] | None) -> None:
    """A WSMan fault is a refusal, a full house or the end of the session."""
    meaning = meaning_of_fault(code, reason, "host")
    assert (None if meaning is None else type(meaning)) is kind


def test_http_statuses() -> None:
    """429 and 503 carry how long to wait; others end the session or say what to correct."""
    throttled = meaning_of_status(503, 7.0, "host")
    assert isinstance(throttled, Throttled)
    assert throttled.retry_after_s == 7.0
    assert isinstance(meaning_of_status(404, None, "host"), Invalid)
    assert isinstance(meaning_of_status(403, None, "host"), NotAllowed)
    assert meaning_of_status(502, None, "host") is None


def test_long_messages_are_cut() -> None:
    """A message of many lines becomes one short line."""
    text = str(classify(Failure("line\n" * 500), attempt="Set-X"))
    assert "\n" not in text
    assert len(text) < 450


@pytest.mark.parametrize(
    ("warning", "seconds"),
    [("Micro delay applied. Actual delayed: 21956 msecs, Enforced: True", 21.956), ("The route has no gateway", 0.0)],
)
def test_micro_delay(warning: str, seconds: float) -> None:
    """The throttle notice is told from other warnings."""
    assert micro_delay_s(warning) == seconds
