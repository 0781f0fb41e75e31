"""Large arguments and outputs, lost answers and many sessions through the lab's remoting end, with stock clients."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan

from lab.server import Lab
from tests.fakes.powershell_end import PowerShellEnd, script
from tests.fakes.voice_rows import PER_ROW, people, rows


@pytest.fixture
def end(tmp_path: Path) -> Iterator[PowerShellEnd]:
    """Serve a tenant of twenty people."""
    with PowerShellEnd(tmp_path, users=20) as served:
        yield served


def drain(pool: RunspacePool, shell: PowerShell) -> Iterator[int]:
    """Receive the output of a pipeline piece by piece without reading it; gives the sizes."""
    state = ""
    while not state.endswith("Done"):
        state, _, streams = pool.shell.receive("stdout", command_id=shell._command_id)
        yield len(streams["stdout"])


def test_five_thousand_rows_in_one_argument(end: PowerShellEnd) -> None:
    """A script takes 5,000 typed rows and gives one result for each, in order."""
    given = [{"Key": n, "Name": f"Ünï {n}"} for n in range(5000)]
    with end.pool() as pool:
        shell = script(pool, 'param($Rows) foreach ($r in $Rows) { "$($r.Key):$($r.Name)" }', given)
    assert shell.output == [f"{n}:Ünï {n}" for n in range(5000)]


def test_rows_report_their_own_outcome(end: PowerShellEnd) -> None:
    """One failing row in the middle of a chunk does not stop the others."""
    ids = people(end, 3)
    given = rows(ids)
    given[1]["Identity"] = "nobody@contoso.example"
    with end.teams() as pool:
        found = [item.extended_properties for item in script(pool, PER_ROW, given).output]
    assert [row["Key"] for row in found] == ["0", "1", "2"]
    assert [row["Error"] is None for row in found] == [True, False, True]
    assert found[1]["Id"].startswith("NotFound,Microsoft.Teams")
    assert end.parts.tenant.numbers["+431934609002"].target_id == ids[2]


@pytest.mark.slow
def test_twenty_thousand_objects_leave_the_server_flat(tmp_path: Path) -> None:
    """20,000 users of thirty properties stream through in full while the memory stays flat."""
    with PowerShellEnd(tmp_path, users=20) as end, end.teams() as pool:
        many = "param($N) $u = @(Get-CsOnlineUser -ResultSize 20); foreach ($n in $N) { $u }"
        shell = PowerShell(pool).add_script(many).add_argument(list(range(1000)))
        shell.begin_invoke()
        received = drain(pool, shell)
        next(received)
        tracemalloc.start()
        total = sum(received)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        shell.poll_invoke()
    assert total > 20_000_000
    assert peak < 16_000_000


def test_lost_answer_after_the_effect(end: PowerShellEnd) -> None:
    """The second row's effect is done, then the connection is cut; the server goes on with the third."""
    ids = people(end, 3)
    end.parts.faults.add({"name": "drop_reply", "times": 1, "match": {"operation": "Set-Cs*", "target": ids[1]}})
    with end.teams() as pool:
        with pytest.raises(requests.ConnectionError):
            script_without_close(pool, rows(ids))
        calls = [line for line in end.parts.calls.since(0) if line["write"]]
        assert script(pool, "'the shell is still there'").output == ["the shell is still there"]
    assert len(calls) >= 2
    assert end.parts.tenant.numbers["+431934609001"].target_id == ids[1]


def script_without_close(pool: RunspacePool, given: list[dict[str, str]]) -> PowerShell:
    """Run the row script and leave the pipeline alone when it breaks."""
    shell: PowerShell = PowerShell(pool).add_script(PER_ROW).add_argument(given)
    shell.invoke()
    return shell


def test_whole_lab_over_tls(tmp_path: Path) -> None:
    """The assembled lab answers a verifying client over TLS, with the tokens of its own token endpoint."""
    with Lab(tmp_path, users=4) as lab:
        end: Any = lab.endpoints["powershell"]
        secret = Path(end["password_file"]).read_text(encoding="utf-8").strip()
        connection = WSMan(
            end["server"],
            port=end["port"],
            path=end["path"],
            auth=end["auth"],
            username=end["username"],
            password=secret,
            cert_validation=str(lab.endpoints["ca_bundle"]),
            no_proxy=True,
        )
        with connection, RunspacePool(connection) as pool:
            assert script(pool, "(Get-ADDomain).DNSRoot").output == ["contoso.example"]
        calls = lab.control("GET", "/calls?since=0")
    assert "Get-ADDomain" in str(calls)
