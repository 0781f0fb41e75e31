"""Active Directory through PowerShell on a management host: telephone attributes of users, read and written back.

The number that an on-premises server owns, msRTCSIP-Line, is read and never written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

from pydantic import JsonValue, ValidationError

from connectors.bags import text_of, text_or_none, value_of
from connectors.clixml import Bag
from connectors.errors import Invalid
from connectors.powershell import PowerShell
from connectors.quoting import any_of
from connectors.rows import RowResult, settle
from connectors.scripts import SET_AD_USER
from connectors.shell_owner import ShellOwner
from connectors.shell_probe import probed
from connectors.writes import writes
from datasets.findings import Finding
from datasets.phone_attributes import PhoneAttribute, PhoneAttributes
from datasets.users import AdUser

_PROPERTIES = ("telephoneNumber", "ipPhone", "mobile", "homePhone", "msRTCSIP-Line", "employeeID", "userPrincipalName")
# One filter names so many users: few enough for the directory's limits, enough to make a read cheap.
_NAMES_PER_FILTER = 20


class Directory(ShellOwner):
    """Users of one Active Directory; safe to share between threads. The shell is closed with it."""

    def __init__(self, shell: PowerShell, *, deadline_s: float = 120.0) -> None:
        self.shell, self._deadline_s = shell, deadline_s

    def user(self, sam_account_name: str) -> AdUser | None:
        """Read one user by account name; None when there is none."""
        return self.users([sam_account_name]).get(sam_account_name)

    def users(self, sam_account_names: Iterable[str]) -> dict[str, AdUser]:
        """Read users by account name, whatever its case; those that do not exist are left out."""
        names = list(dict.fromkeys(sam_account_names))
        found = {user.sam_account_name.casefold(): user for user in self._where("SamAccountName", names)}
        return {name: found[name.casefold()] for name in names if name.casefold() in found}

    def find_by_employee_id(self, employee_id: str) -> list[AdUser]:
        """Read the accounts that carry this employee id; the caller judges an id that several carry."""
        return list(self._where("employeeID", [employee_id]))

    def everybody(self, *, deadline_s: float) -> Iterator[AdUser]:
        """Read every user as they come: any number of them in little memory."""
        return map(_user, self.shell.stream("Get-ADUser", _asking("*"), deadline_s=deadline_s))

    @writes
    def set_phone_attributes(self, rows: Sequence[PhoneAttributes]) -> list[RowResult]:
        """Set or clear telephone attributes of many users in one pipeline; each row has its own result.

        A row whose outcome got lost is Ambiguous. Raises when nothing can have been written.
        """
        sent: list[Mapping[str, JsonValue]] = [_row(row) for row in rows]
        results = self.shell.run(SET_AD_USER, sent, deadline_s=self._deadline_s, writes=True)
        return settle([row.sam_account_name for row in rows], results, attempt=SET_AD_USER.name)

    @writes
    def write_phone_attributes(self, sam_account_name: str, attributes: Mapping[str, str | None]) -> None:
        """Set or clear (None) telephone attributes of one user. Raises what its failure means."""
        self.set_phone_attributes([_phone_attributes(sam_account_name, attributes)])[0].checked()

    @writes
    def set_ad_account_enabled(self, sam_account_name: str, *, enabled: bool) -> None:
        """Let an account sign in, or not any more; the cloud follows with the next synchronisation."""
        self._change("Enable-ADAccount" if enabled else "Disable-ADAccount", {"Identity": sam_account_name})

    @writes
    def remove_ad_user(self, sam_account_name: str) -> None:
        """Delete an account; nobody is asked again."""
        self._change("Remove-ADUser", {"Identity": sam_account_name, "Confirm": False})

    def probe(self) -> list[Finding]:
        """Tell whether the endpoint answers, accepts us and can read the directory."""
        return probed("active directory", self.shell.endpoint, lambda: self.user("callwright-probe"))

    def _change(self, cmdlet: str, parameters: dict[str, JsonValue]) -> None:
        self.shell.cmdlet(cmdlet, parameters, deadline_s=self._deadline_s, writes=True)

    def _where(self, attribute: str, values: Sequence[str]) -> Iterator[AdUser]:
        for start in range(0, len(values), _NAMES_PER_FILTER):
            asked = _asking(any_of(attribute, values[start : start + _NAMES_PER_FILTER]))
            yield from map(_user, self.shell.cmdlet("Get-ADUser", asked, deadline_s=self._deadline_s))


def _asking(condition: str) -> dict[str, JsonValue]:
    return {"Filter": condition, "Properties": list(_PROPERTIES)}


def _user(bag: Bag) -> AdUser:
    return AdUser(
        sam_account_name=text_of(bag, "SamAccountName"),
        user_principal_name=text_or_none(bag, "UserPrincipalName"),
        telephone_number=text_or_none(bag, "telephoneNumber"),
        ip_phone=text_or_none(bag, "ipPhone"),
        mobile=text_or_none(bag, "mobile"),
        home_phone=text_or_none(bag, "homePhone"),
        msrtcsip_line=text_or_none(bag, "msRTCSIP-Line"),
        employee_id=text_or_none(bag, "employeeID"),
        enabled=value_of(bag, "Enabled") is not False,
    )


def _row(row: PhoneAttributes) -> dict[str, JsonValue]:
    """Say what to replace and what to clear: the directory refuses to replace with nothing."""
    replaced: dict[str, JsonValue] = {name: value for name, value in row.attributes.items() if value}
    cleared: list[JsonValue] = [name for name, value in row.attributes.items() if not value]
    if not row.attributes:
        raise Invalid("no attribute is named ; name those to write", what=row.sam_account_name)
    parameters: dict[str, JsonValue] = {"Identity": row.sam_account_name}
    parameters |= {"Replace": replaced} if replaced else {}
    parameters |= {"Clear": cleared} if cleared else {}
    return {"key": row.sam_account_name, "parameters": parameters}


def _phone_attributes(sam_account_name: str, attributes: Mapping[str, str | None]) -> PhoneAttributes:
    try:
        return PhoneAttributes.model_validate({"sam_account_name": sam_account_name, "attributes": dict(attributes)})
    except ValidationError as error:
        allowed = " and ".join(get_args(PhoneAttribute))
        raise Invalid(f"only {allowed} are written to the directory", what=sam_account_name) from error
