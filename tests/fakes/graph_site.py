"""Graph and Teams clients for a stand-in tenant, from the endpoints it prints."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from connectors.app_registration import AppRegistration, ClientCertificate, ClientSecret
from connectors.graph import Graph
from connectors.rest import GraphEndpoint
from connectors.throttle import Clock, Pauses
from connectors.tokens import Tokens

HURRIED = Clock(sleep=lambda seconds: time.sleep(min(seconds, 0.01)))


def app_of(endpoints: dict[str, Any], *, secret: str | None = None, by_certificate: bool = False) -> AppRegistration:
    """Give our identity in the tenant, by secret unless told otherwise."""
    return AppRegistration(
        endpoints["client_id"],
        endpoints["authority"],
        _certificate(endpoints) if by_certificate else ClientSecret(secret or _text(endpoints["client_secret_file"])),
        ca_bundle=Path(endpoints["ca_bundle"]),
        instance_discovery=False,
    )


def _certificate(endpoints: dict[str, Any]) -> ClientCertificate:
    return ClientCertificate(_text(endpoints["private_key_file"]), _text(endpoints["certificate_file"]))


def _text(file: str) -> str:
    return Path(file).read_text().strip()


def graph_of(
    endpoints: dict[str, Any], *, app: AppRegistration | None = None, clock: Clock | None = None, deadline_s: float = 30
) -> Graph:
    """Give a Graph client of the tenant with pauses of its own."""
    tokens = Tokens(app or app_of(endpoints), clock=clock, deadline_s=deadline_s)
    endpoint = GraphEndpoint(endpoints["graph_url"], Path(endpoints["ca_bundle"]), deadline_s)
    return Graph(endpoint, tokens, pauses=Pauses(clock), clock=clock)
