"""A snapshot is written as a stream: its memory does not grow with the tenant, and half a file is never left."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from config.errors import InputRefused
from connectors.errors import ConnectorError
from engine.opening import OpenSystems
from engine.snapshot import write_snapshot
from tests.fakes.scripted_graph import ROOT, scripted

AT = datetime(2026, 9, 1, 6, 0, tzinfo=UTC)
PAGE = 999


def tenant(pages: int) -> Callable[[httpx.Request], httpx.Response]:
    """Answer as a tenant whose users and numbers fill so many pages."""

    def answer(request: httpx.Request) -> httpx.Response:
        path, page = request.url.path, int(request.url.params.get("$skiptoken", "1"))
        if path.endswith("/organization"):
            return httpx.Response(200, json={"value": [{"id": "t", "displayName": "Contoso"}]})
        kinds = {"/users": _user, "/userConfigurations": _voice}
        make = next((make for end, make in kinds.items() if path.endswith(end)), None)
        if make is None:
            return httpx.Response(200, json={"value": []})
        body: dict[str, object] = {"value": [make(f"{page:04}-{n:03}") for n in range(PAGE)]}
        if page < pages:
            body["@odata.nextLink"] = f"{ROOT}{path.removeprefix('/v1.0')}?$skiptoken={page + 1}"
        return httpx.Response(200, json=body)

    return answer


def _user(name: str) -> dict[str, object]:
    return {"id": name, "userPrincipalName": f"{name}@contoso.example", "displayName": name, "assignedLicenses": []}


def _voice(name: str) -> dict[str, object]:
    return {"id": name, "accountType": "user", "isEnterpriseVoiceEnabled": True}


def systems(pages: int) -> OpenSystems:
    """Give the connectors of such a tenant, which has no PowerShell."""
    stand = scripted(tenant(pages))
    return OpenSystems(stand.graph, stand.teams)


def test_memory_does_not_grow_with_the_tenant(tmp_path: Path) -> None:
    """Three times as many users need hardly more memory than a few pages of them."""
    peaks = []
    for pages in (2, 6):
        tracemalloc.start()
        summary = write_snapshot(systems(pages), tmp_path / "tenant.jsonl", at=AT)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert summary.lines["user"] == summary.lines["voice"] == pages * PAGE
    assert peaks[1] <= peaks[0] * 1.3


def test_what_nothing_here_can_read_is_named(tmp_path: Path) -> None:
    """Without PowerShell the summary says which kinds are missing."""
    summary = write_snapshot(systems(1), tmp_path / "tenant.jsonl", at=AT)
    assert summary.left_out == (
        "policy",
        "usages",
        "translation_rule",
        "gateway",
        "route",
        "location",
        "number_block",
        "group_policy",
        "ad_account",
        "skype_pool",
        "skype_policy",
        "orbit_range",
        "skype_user",
        "unassigned_range",
        "skype_device",
    )


def test_a_failing_export_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    """When a system fails in the middle, the file of yesterday is still there, whole, and nothing beside it."""
    file = tmp_path / "tenant.jsonl"
    file.write_text("yesterday")
    healthy = tenant(1)

    def failing(request: httpx.Request) -> httpx.Response:
        refused = httpx.Response(403, json={"error": {"code": "Authorization_RequestDenied", "message": "no"}})
        return refused if request.url.path.endswith("/userConfigurations") else healthy(request)

    stand = scripted(failing)
    with pytest.raises(ConnectorError):
        write_snapshot(OpenSystems(stand.graph, stand.teams), file, at=AT)
    assert file.read_text() == "yesterday"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The refusal names the file."""
    with pytest.raises(InputRefused, match=r"tenant\.jsonl"):
        write_snapshot(systems(1), tmp_path / "nowhere" / "tenant.jsonl", at=AT)


def test_each_line_is_checked_before_it_is_written(tmp_path: Path) -> None:
    """What the schema does not allow is refused by line and field instead of being handed on."""

    def odd(request: httpx.Request) -> httpx.Response:
        answer = tenant(1)(request)
        if request.url.path.endswith("/users"):
            users = json.loads(answer.content)
            users["value"][3]["usageLocation"] = "Austria"
            return httpx.Response(200, json=users)
        return answer

    stand = scripted(odd)
    with pytest.raises(InputRefused, match=r"tenant\.jsonl:5: usage_location: "):
        write_snapshot(OpenSystems(stand.graph, stand.teams), tmp_path / "tenant.jsonl", at=AT)
