"""Active Directory through PowerShell under the conformance suite."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from connectors.directory import Directory
from tests.fakes.conformance import Adapter, Behaviour, Site
from tests.fakes.lab_control import LabControl
from tests.fakes.shell_site import shell_at


class DirectoryAdapter(Adapter[Directory]):
    """Telephone attributes of users."""

    name = "directory"
    read_operation = "Get-ADUser"
    write_operation = "Set-ADUser"
    # PowerShell slows a call down instead of refusing it
    cannot: ClassVar[frozenset[Behaviour]] = frozenset(("throttling",))

    def open(self, site: Site) -> AbstractContextManager[Directory]:
        """Give the directory of the site."""
        return Directory(shell_at(site), deadline_s=site.deadline_s)

    def read(self, connector: Directory) -> object:
        """Read the users."""
        return list(connector.everybody(deadline_s=20))

    def read_nothing(self, connector: Directory) -> object:
        """Read users who are not there, in each way."""
        nobody = f"nobody-{uuid4()}"
        return connector.user(nobody[:20]) or connector.find_by_employee_id(nobody)

    def write(self, connector: Directory, control: LabControl) -> None:
        """Write a new user's number back."""
        connector.write_phone_attributes(_new_user(control), {"telephoneNumber": "+4312345", "ipPhone": "45"})

    def echo(self, connector: Directory, control: LabControl, text: str) -> str | None:
        """Write the text as a telephone number and read it back."""
        name = _new_user(control)
        connector.write_phone_attributes(name, {"telephoneNumber": text})
        user = connector.user(name)
        return None if user is None else user.telephone_number

    def secrets(self, site: Site) -> list[str]:
        """Give the password of the account."""
        return [Path(site.endpoints["powershell"]["password_file"]).read_text().strip()]


def _new_user(control: LabControl) -> str:
    name = uuid4().hex[:18]
    control.new_user(userPrincipalName=f"{name}@example.test", onPremisesSamAccountName=name)
    return name


ADAPTER = DirectoryAdapter()
