"""The endpoint for HR systems over a tenant in memory, and a dispatcher that runs when told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from config.settings import read_settings
from deployments.dispatcher import Dispatcher, EventRuns, InThisProcess
from deployments.door import Door, make_app
from deployments.door_guard import Guard, secret_of
from deployments.watcher import Outage, Outcome, Standing
from engine import events
from tasks.work import Work, open_work, working_on
from tests.fakes.flow_site import FlowSite

SECRET = "a-secret-for-the-tests-of-the-door"
BEARER = {"Authorization": f"Bearer {SECRET}"}
ENVIRONMENT = {
    "HR_SECRET": SECRET,
    "CALLWRIGHT_LISTEN__SECRET": "env:HR_SECRET",
    "CALLWRIGHT_LISTEN__MAPPING": "hr",
    "CALLWRIGHT_LISTEN__PER_MINUTE": "1000",
}
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Client:
    """Sends requests to an application in this process."""

    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def request(self, method: str, path: str, **what: Any) -> httpx.Response:
        """Send one request."""
        return asyncio.run(self._sent(method, path, what))

    def post(self, path: str, **what: Any) -> httpx.Response:
        """Send a POST."""
        return self.request("POST", path, **what)

    def get(self, path: str, **what: Any) -> httpx.Response:
        """Send a GET."""
        return self.request("GET", path, **what)

    async def _sent(self, method: str, path: str, what: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, base_url="https://door") as client:
            return await client.request(method, path, **what)


@dataclass
class OpenDoor:
    """A door that is open, and what lies behind it."""

    site: FlowSite
    work: Work
    client: Client
    runs: EventRuns

    def send(self, *people: dict[str, Any], key: str = "k1", **headers: str) -> httpx.Response:
        """Send people under a key."""
        return self.client.post("/events", json=list(people), headers={**BEARER, "Idempotency-Key": key, **headers})

    def scim(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """Send a SCIM request."""
        return self.client.request(method, f"/scim/v2{path}", json=body, headers={**BEARER, **headers})

    def look(self) -> None:
        """Let the dispatcher look once."""
        with working_on(self.site.tenant.systems()):
            Dispatcher(self.work, self.runs, lambda: 0).look()

    def events(self) -> list[Any]:
        """Give the events, oldest first."""
        with self.work.database.read() as connection:
            return list(reversed(events.latest(connection, 1000)))

    def states(self) -> list[str]:
        """Give how the events stand, oldest first."""
        return [event.state for event in self.events()]


class Server:
    """A Prefect server in memory: a key finds its run again; it can be away, and runs can crash."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.is_away, self.outcome = False, Outcome.OPEN

    def start(self, event: Any) -> str:
        """Start or find a run."""
        if self.is_away:
            raise Outage("connection refused")
        return self.keys.setdefault(f"{event.id}:{event.attempts}", f"run-{len(self.keys)}")

    def standing(self, run_id: str) -> Standing:
        """Tell how every run stands."""
        return Standing(self.outcome, "killed")


@contextmanager
def open_door(site: FlowSite, runs: EventRuns | None = None) -> Iterator[OpenDoor]:
    """Open the door of a site as its settings are now."""
    with open_work() as work:
        settings = read_settings()
        guard = Guard(settings.listen, settings.tenant, time.monotonic, secret_of(settings.listen))
        yield OpenDoor(site, work, Client(make_app(Door(work, guard))), runs or InThisProcess())


def give_secret(patch: pytest.MonkeyPatch) -> None:
    """Set the settings of a door that has a secret."""
    for name, value in ENVIRONMENT.items():
        patch.setenv(name, value)


def scim_user(number: str, **other: Any) -> dict[str, Any]:
    """Give a SCIM user of the sales department."""
    named = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "userName": f"u{number}@contoso.com",
    }
    at = {"addresses": [{"type": "work", "country": "AT"}], "active": True, "externalId": f"x{number}"}
    return {**named, **at, ENTERPRISE: {"employeeNumber": number, "department": "Sales"}, **other}
