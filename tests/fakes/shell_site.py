"""PowerShell connectors for a stand-in tenant, from the endpoints it prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from connectors.powershell import PowerShell
from connectors.shell_endpoint import Endpoint
from connectors.teams_shell import TeamsShell
from connectors.throttle import Clock, Pause
from connectors.tokens import Tokens
from tests.fakes.conformance import Site
from tests.fakes.graph_site import HURRIED, app_of


def endpoint_of(endpoints: dict[str, Any], name: str = "powershell") -> Endpoint:
    """Give where the tenant's PowerShell is and how to sign in."""
    place = endpoints[name]
    return Endpoint(
        place["server"],
        port=place["port"],
        path=place["path"],
        auth=place["auth"],
        username=place["username"],
        password=SecretStr(Path(place["password_file"]).read_text().strip()),
        ca_bundle=Path(endpoints["ca_bundle"]),
        allows_scripts=name == "powershell",
    )


def shell_of(endpoint: Endpoint, *, clock: Clock | None = None, sessions: int = 3) -> PowerShell:
    """Give a connector with a pause of its own."""
    clock = clock or Clock()
    return PowerShell(endpoint, sessions=sessions, clock=clock, hold=Pause(clock))


def shell_at(site: Site, name: str = "powershell") -> PowerShell:
    """Give the connector for a site of the conformance suite."""
    endpoint = endpoint_of(site.endpoints, name)
    if site.has_wrong_credentials:
        endpoint = replace(endpoint, password=SecretStr("wrong-canary"))
    if site.is_down:
        endpoint = replace(endpoint, port=9)
    return shell_of(endpoint, clock=HURRIED if site.hurry else None)


def teams_at(site: Site) -> TeamsShell:
    """Give Teams through PowerShell for a site of the conformance suite."""
    tokens = Tokens(app_of(site.endpoints), clock=HURRIED if site.hurry else None)
    return TeamsShell(shell_at(site), tokens.token, deadline_s=site.deadline_s)
