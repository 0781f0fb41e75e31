"""Every script that is ever sent to PowerShell, as constants: nothing builds script text at run time.

Each takes its rows as one typed argument and emits one flat object for each row (key, ok and the reason of a failure),
because remoting serialises one level only and a row without its key could not be attributed. Each does no more than
call one cmdlet with the row's `parameters`, so that an endpoint without scripts can be asked row by row.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Script:
    """A constant script; made in this module only. `cmdlet` is what it calls for each row."""

    name: str
    text: str
    cmdlet: str


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
    "Set-ADUser",
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
    "Set-CsPhoneNumberAssignment",
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
    "Remove-CsPhoneNumberAssignment",
)

READ_POLICY_OPERATION = Script(
    "read policy operation",
    """
param($Rows)
foreach ($row in $Rows) {
    $parameters = $row.parameters
    try {
        $found = Get-CsBatchPolicyAssignmentOperation @parameters -ErrorAction Stop
        $failed = @($found.UserState | Where-Object { $_.Result -and $_.Result -ne 'Success' } |
            ForEach-Object { "$($_.Id) $($_.Result)" })
        [pscustomobject]@{
            key = $row.key; ok = $true; name = $found.OperationName; status = "$($found.OverallStatus)"
            failed = $failed
        }
    } catch {
        [pscustomobject]@{
            key = $row.key; ok = $false; message = $_.Exception.Message
            error_id = $_.FullyQualifiedErrorId; reason = $_.CategoryInfo.Reason
        }
    }
}
""",
    "Get-CsBatchPolicyAssignmentOperation",
)

CATALOGUE = frozenset((SET_AD_USER, SET_PHONE_NUMBER, REMOVE_PHONE_NUMBER, READ_POLICY_OPERATION))
