"""Skype for Business Server under the conformance suite."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from connectors.skype import SkypeServer
from tests.fakes.conformance import Adapter, Behaviour, Site
from tests.fakes.shell_site import shell_at


class SkypeAdapter(Adapter[SkypeServer]):
    """Unassigned ranges; nothing is written there."""

    name = "skype"
    read_operation = "Get-CsUnassignedNumber"
    cannot: ClassVar[frozenset[Behaviour]] = frozenset(("echo", "throttling", "writes", "lost reply"))

    def open(self, site: Site) -> AbstractContextManager[SkypeServer]:
        """Give the servers of the site."""
        return SkypeServer(shell_at(site, "ocs_powershell"), deadline_s=site.deadline_s)

    def read(self, connector: SkypeServer) -> object:
        """Read the ranges; a site may have none."""
        return ("ranges", connector.unassigned_ranges())

    def read_nothing(self, connector: SkypeServer) -> object:
        """Read ranges of a name that none has."""
        return connector.shell.cmdlet("Get-CsUnassignedNumber", {"Filter": f"none-{uuid4()}*"}, deadline_s=20)

    def secrets(self, site: Site) -> list[str]:
        """Give the password of the account."""
        return [Path(site.endpoints["ocs_powershell"]["password_file"]).read_text().strip()]


ADAPTER = SkypeAdapter()
