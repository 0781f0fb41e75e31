"""Every script that is ever sent to PowerShell, as constants: nothing builds script text at run time.

Each takes its rows as one typed argument and emits one flat object for each row (key, ok and the reason of a failure),
because remoting serialises one level only and a row without its key could not be attributed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Script:
    """A constant script; made in this module only."""

    name: str
    text: str


SET_AD_USER = Script(
    "set directory attributes",
    """
param($Rows)
foreach ($row in $Rows) {
    $parameters = $row.parameters
    try {
        Set-ADUser @parameters -ErrorAction Stop
        [pscustomobject]@{ key = $row.key; ok = $true }
    } catch {
        [pscustomobject]@{
            key = $row.key; ok = $false; message = $_.Exception.Message
            error_id = $_.FullyQualifiedErrorId; reason = $_.CategoryInfo.Reason
        }
    }
}
""",
)

SET_PHONE_NUMBER = Script(
    "set phone number assignment",
    """
param($Rows)
foreach ($row in $Rows) {
    $parameters = $row.parameters
    try {
        $answer = Set-CsPhoneNumberAssignment @parameters -ErrorAction Stop
        [pscustomobject]@{ key = $row.key; ok = $true; code = $answer.Code; message = $answer.Message }
    } catch {
        [pscustomobject]@{
            key = $row.key; ok = $false; message = $_.Exception.Message
            error_id = $_.FullyQualifiedErrorId; reason = $_.CategoryInfo.Reason
        }
    }
}
""",
)

REMOVE_PHONE_NUMBER = Script(
    "remove phone number assignment",
    """
param($Rows)
foreach ($row in $Rows) {
    $parameters = $row.parameters
    try {
        $answer = Remove-CsPhoneNumberAssignment @parameters -ErrorAction Stop
        [pscustomobject]@{ key = $row.key; ok = $true; code = $answer.Code; message = $answer.Message }
    } catch {
        [pscustomobject]@{
            key = $row.key; ok = $false; message = $_.Exception.Message
            error_id = $_.FullyQualifiedErrorId; reason = $_.CategoryInfo.Reason
        }
    }
}
""",
)

CATALOGUE = frozenset((SET_AD_USER, SET_PHONE_NUMBER, REMOVE_PHONE_NUMBER))
