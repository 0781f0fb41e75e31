"""The stand-in tenant's control port as tests use it: faults, the call log, settings and state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx


class LabControl:
    """A client of the control port."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @contextmanager
    def fault(self, name: str, operation: str = "*", **parameters: object) -> Iterator[None]:
        """Have a fault played while the block runs; `times`, `after`, `target` and the fault's own parameters."""
        target = parameters.pop("target", "*")
        body = {"name": name, "match": {"operation": operation, "target": target}, **parameters}
        fault = self._json("POST", "/faults", json=body)["id"]
        try:
            yield
        finally:
            self._client.delete(f"/faults/{fault}").raise_for_status()

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """Give the calls after a sequence number."""
        answer = self._client.get("/calls", params={"since": since}).raise_for_status().json()
        found: list[dict[str, Any]] = answer if isinstance(answer, list) else answer["calls"]
        return found

    def last_seq(self) -> int:
        """Give the sequence number of the last call."""
        return max((call["seq"] for call in self.calls()), default=0)

    def new_user(self, **attributes: object) -> dict[str, Any]:
        """Have the customer's provisioning make an account."""
        return self._json("POST", "/state/users", json=attributes)

    def user(self, user: str) -> dict[str, Any]:
        """Give the state of one user."""
        return self._json("GET", f"/state/users/{user}")

    def change_user(self, user: str, **attributes: object) -> dict[str, Any]:
        """Change an account from outside of any call, as provisioning does."""
        return self._json("PATCH", f"/state/users/{user}", json=attributes)

    def change_settings(self, **values: object) -> None:
        """Change settings of the tenant."""
        self._json("PATCH", "/settings", json=values)

    def advance_clock(self, seconds: float) -> None:
        """Let time pass in the tenant."""
        self._json("POST", "/clock", json={"advance_s": seconds})

    def _json(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.request(method, path, **arguments).raise_for_status().json()
        return answer
