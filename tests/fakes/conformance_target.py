"""What a conformance suite is pointed at: an endpoint named in the environment, or else the lab.

The Makefile's `conformance` target puts its variables into `CONFORMANCE_…` names. Without a test user nothing is
written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr
from pypsrp.wsman import WSMan

from connectors.app_registration import AppRegistration, ClientSecret
from connectors.graph import Graph
from connectors.powershell import PowerShell
from connectors.rest import GraphEndpoint
from connectors.shell_endpoint import Authentication, Endpoint
from connectors.throttle import Pause, Pauses
from connectors.tokens import Tokens
from tests.fakes.graph_site import app_of
from tests.fakes.shell_site import endpoint_of

PREFIX = "CONFORMANCE_"


@dataclass(frozen=True)
class ShellTarget:
    """A PowerShell endpoint; `test_user` is an account whose ipPhone may be changed and is put back."""

    endpoint: Endpoint
    test_user: str | None = None

    def connector(self, endpoint: Endpoint | None = None) -> PowerShell:
        """Give our connector."""
        return PowerShell(endpoint or self.endpoint, sessions=1, hold=Pause())

    def client(self) -> WSMan:
        """Give a stock client."""
        place = self.endpoint
        return WSMan(
            place.server,
            port=place.port,
            path=place.path,
            ssl=place.ssl,
            auth=place.auth,
            username=place.username,
            password=place.password.get_secret_value() if place.password else None,
            cert_validation=str(place.ca_bundle) if place.ca_bundle else True,
        )


@dataclass(frozen=True)
class GraphTarget:
    """A tenant; `test_user` is a user whose usage location may be written, with the value it has."""

    url: str
    app: AppRegistration
    test_user: str | None = None

    def connector(self) -> Graph:
        """Give our connector."""
        return Graph(GraphEndpoint(self.url, self.app.ca_bundle), Tokens(self.app), pauses=Pauses())


def named(name: str) -> str | None:
    """Give what the environment says, None when it says nothing."""
    return os.environ.get(f"{PREFIX}{name}") or None


def lab_shell(endpoints: Mapping[str, Any], name: str = "powershell") -> ShellTarget:
    """Give an endpoint of the lab and one of its people."""
    return ShellTarget(endpoint_of(dict(endpoints), name), _a_user(endpoints))


def named_shell() -> ShellTarget | None:
    """Give the endpoint of the environment, None when it names none."""
    address = named("ENDPOINT")
    if address is None:
        return None
    place = urlsplit(address)
    auth = named("AUTH") or "negotiate"
    assert auth in get_args(Authentication), f"AUTH must be one of {', '.join(get_args(Authentication))}"
    assert place.hostname, "ENDPOINT must be an address such as https://host.example:5986/wsman"
    endpoint = Endpoint(
        place.hostname,
        port=place.port or (5986 if place.scheme == "https" else 5985),
        path=place.path.strip("/") or "wsman",
        ssl=place.scheme == "https",
        auth=auth,  # type: ignore[arg-type] # checked above
        username=named("USERNAME"),
        password=_secret("PASSWORD_FILE"),
        ca_bundle=_path("CA_BUNDLE"),
        configuration_name=named("CONFIGURATION") or "Microsoft.PowerShell",
        allows_scripts=named("SCRIPTS") != "no",
    )
    return ShellTarget(endpoint, named("TEST_USER"))


def lab_graph(endpoints: Mapping[str, Any]) -> GraphTarget:
    """Give the lab's tenant and one of its people."""
    return GraphTarget(endpoints["graph_url"], app_of(dict(endpoints)), _a_user(endpoints, "userPrincipalName"))


def named_graph() -> GraphTarget | None:
    """Give the tenant of the environment, None when it names none."""
    tenant = named("TENANT_ID")
    if tenant is None:
        return None
    client_secret, client_id = _secret("CLIENT_SECRET_FILE"), named("CLIENT_ID")
    assert client_secret, "CLIENT_SECRET_FILE must name a file"
    assert client_id, "CLIENT_ID must be given"
    authority = named("AUTHORITY") or f"https://login.microsoftonline.com/{tenant}"
    app = AppRegistration(
        client_id,
        authority,
        ClientSecret(client_secret.get_secret_value()),
        ca_bundle=_path("CA_BUNDLE"),
        instance_discovery=named("AUTHORITY") is None,
    )
    return GraphTarget(named("GRAPH_URL") or "https://graph.microsoft.com/v1.0", app, named("TEST_USER"))


def _a_user(endpoints: Mapping[str, Any], attribute: str = "onPremisesSamAccountName") -> str:
    """Give a licensed person of the lab."""
    import httpx

    users = httpx.get(f"{endpoints['control_url']}/state/users", trust_env=False).json()["users"]
    return next(str(user[attribute]) for user in users if user.get(attribute) and user["licences"])


def _secret(name: str) -> SecretStr | None:
    path = _path(name)
    return SecretStr(path.read_text(encoding="utf-8").strip()) if path else None


def _path(name: str) -> Path | None:
    text = named(name)
    return Path(text) if text else None
