"""A script that gives numbers to people row by row, and rows for it."""

from __future__ import annotations

from lab.catalogue import E5
from tests.fakes.powershell_end import PowerShellEnd

PER_ROW = """
param([object[]]$Rows)
foreach ($row in $Rows) {
    try {
        $set = @{ Identity = $row.Identity; TelephoneNumber = $row.Number; NumberType = 'DirectRouting' }
        Set-CsPhoneNumberAssignment @set -ErrorAction Stop
        [pscustomobject]@{ Key = $row.Key; Error = $null; Id = $null }
    } catch {
        [pscustomobject]@{ Key = $row.Key; Error = $_.Exception.Message; Id = [string]$_.FullyQualifiedErrorId }
    }
}
"""


def people(end: PowerShellEnd, count: int) -> list[str]:
    """Make some people ready for a number; gives their ids."""
    tenant = end.parts.tenant
    free = [u for u in tenant.users.values() if u.account_type == "user" and u.text("usageLocation") and not u.licences]
    chosen = [user.id for user in free if not tenant.voice(user.id).on_prem_line_uri][:count]
    for user_id in chosen:
        tenant.assign_licence(user_id, E5)
    return chosen


def rows(ids: list[str]) -> list[dict[str, str]]:
    """Pair people with free numbers."""
    return [{"Key": str(n), "Identity": user, "Number": f"+43193460900{n}"} for n, user in enumerate(ids)]
