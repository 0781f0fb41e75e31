"""Teams through PowerShell under the conformance suite."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from pydantic import JsonValue

from connectors.bags import text_of, value_of
from connectors.errors import NotFound
from connectors.teams_shell import TeamsShell
from tests.fakes.conformance import Adapter, Behaviour, Site
from tests.fakes.lab_control import LabControl
from tests.fakes.shell_site import teams_at


class TeamsShellAdapter(Adapter[TeamsShell]):
    """Policies, locations and Enterprise Voice."""

    name = "teams shell"
    read_operation = "Get-CsOnlineVoiceRoutingPolicy"
    write_operation = "Set-CsPhoneNumberAssignment"
    # nothing that it reads can be given a text from outside; PowerShell slows a call down instead of refusing it
    cannot: ClassVar[frozenset[Behaviour]] = frozenset(("echo", "throttling"))

    def open(self, site: Site) -> AbstractContextManager[TeamsShell]:
        """Give Teams of the site."""
        return teams_at(site)

    def read(self, connector: TeamsShell) -> object:
        """Read the policies."""
        return connector.voice_routing_policies()

    def read_nothing(self, connector: TeamsShell) -> object:
        """Read a user who is not there."""
        try:
            return connector.shell.cmdlet("Get-CsOnlineUser", {"Identity": f"nobody-{uuid4()}"}, deadline_s=20)
        except NotFound:
            return None

    def write(self, connector: TeamsShell, control: LabControl) -> None:
        """Turn Enterprise Voice of a licensed user round."""
        users = connector.shell.cmdlet("Get-CsOnlineUser", {}, deadline_s=20)
        user = next(user for user in users if "PhoneSystem" in as_list(value_of(user, "FeatureTypes")))
        connector.enable_enterprise_voice(
            text_of(user, "Identity"), enabled=not value_of(user, "EnterpriseVoiceEnabled")
        )

    def secrets(self, site: Site) -> list[str]:
        """Give the password of the account and the app's secret."""
        return [*super().secrets(site), Path(site.endpoints["powershell"]["password_file"]).read_text().strip()]


def as_list(value: JsonValue) -> list[JsonValue]:
    """Give a list, whether it is one or not."""
    return value if isinstance(value, list) else [value]


ADAPTER = TeamsShellAdapter()
