"""A plain Graph client for the lab's own tests: it knows HTTP and a token, and nothing of the product."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from lab.server import Lab

GRAPH_SCOPE = "https://graph.microsoft.com/.default"
TEAMS_SCOPE = "48ac35b8-9aa8-4d74-927d-1f4a14a0b239/.default"
EVENTUAL = {"ConsistencyLevel": "eventual"}
ASSIGNMENTS = "/admin/teams/telephoneNumberManagement/numberAssignments"


class GraphClient:
    """Calls the lab's Graph end over HTTPS; answers are raw responses."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.base = str(lab.endpoints["graph_url"])
        context = ssl.create_default_context(cafile=str(lab.endpoints["ca_bundle"]))
        self.http = httpx.Client(verify=context, trust_env=False, timeout=60)
        self.token = self.new_token()

    def __enter__(self) -> GraphClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def new_token(self, scope: str = GRAPH_SCOPE) -> str:
        """Get a token with the client secret."""
        return str(self.token_request(scope=scope).raise_for_status().json()["access_token"])

    def token_request(self, **changes: str) -> httpx.Response:
        """Ask the token endpoint with the right credentials, or changed ones."""
        secret = Path(str(self.lab.endpoints["client_secret_file"])).read_text()
        client = str(self.lab.endpoints["client_id"])
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret, "scope": GRAPH_SCOPE}
        return self.http.post(str(self.lab.endpoints["token_url"]), data=form | changes)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Make one call; `path` may be a whole link."""
        url = path if path.startswith("https:") else self.base + path
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return self.http.request(method, url, headers=headers, **options)

    def get(self, path: str, headers: Mapping[str, str] | None = None, **params: Any) -> httpx.Response:
        """GET with query options, `_` standing for `$`: `_top=5`."""
        query = {f"${name[1:]}" if name.startswith("_") else name: value for name, value in params.items()}
        return self.call("GET", path, headers=headers or {}, **({"params": query} if query else {}))

    def post(self, path: str, body: object) -> httpx.Response:
        """POST a JSON body."""
        return self.call("POST", path, json=body)

    def pages(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Give every page of a collection."""
        answer = self.get(path, **params).raise_for_status().json()
        yield answer
        while "@odata.nextLink" in answer:
            answer = self.get(answer["@odata.nextLink"]).raise_for_status().json()
            yield answer

    def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Give every value of a collection."""
        return [value for page in self.pages(path, **params) for value in page["value"]]

    def assign(self, number: str, user_id: str, number_type: str = "directRouting", **more: object) -> httpx.Response:
        """Ask for a number assignment."""
        body = {"telephoneNumber": number, "assignmentTargetId": user_id, "numberType": number_type, **more}
        return self.post(f"{ASSIGNMENTS}/assignNumber", body)

    def number(self, telephone_number: str) -> dict[str, Any] | None:
        """Give a row of the inventory, or None."""
        found = self.all(ASSIGNMENTS, _filter=f"telephoneNumber eq '{telephone_number}'")
        return found[0] if found else None
