"""What PowerShell remoting costs: scripted rows against single cmdlets, our reading against pypsrp's, memory, latency.

Runs against a stand-in tenant in a process of its own, over TLS on loopback. The baselines are stock pypsrp: one cmdlet
per pipeline, and its own deserialiser. Reads of 100,000 users run in a fresh process, which measures itself.
"""

from __future__ import annotations

import json
import queue
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import JsonValue, SecretStr
from pypsrp.complex_objects import GenericComplexObject
from pypsrp.powershell import Fragmenter, RunspacePool
from pypsrp.powershell import PowerShell as Pipeline
from pypsrp.serializer import Serializer
from pypsrp.wsman import WSMan

from benchmarks.labs import lab_process
from benchmarks.report import Goal, report, wants_json
from connectors.app_registration import AppRegistration, ClientSecret
from connectors.powershell import MessageReader, PowerShell
from connectors.scripts import SET_AD_USER
from connectors.shell_endpoint import Endpoint
from connectors.teams_shell import TeamsShell
from connectors.tokens import Tokens

ROUNDS = 3
SINGLE_ROWS, SCRIPTED_ROWS = 40, 400
OBJECTS = 1000
MANY_USERS = 100_000
LATENCY_S, SESSIONS, CHUNKS, CHUNK_ROWS = 0.2, 3, 4, 20
PIPELINE_OUTPUT = 0x00041004

Endpoints = dict[str, Any]


def main() -> int:
    """Measure and report."""
    as_json = wants_json()
    with tenant(100) as endpoints:
        scripted, single = rates(endpoints)
        share = latency_share(endpoints)
    ours, stock = reading_costs()
    with tenant(MANY_USERS) as endpoints:
        big = big_read(endpoints)
    goals = [
        Goal("scripted_vs_single", scripted / single, 10, ">="),
        Goal("deserialise_vs_stock", stock / ours, 8, ">="),
        Goal("rss_100k_mb", big["added_mb"], 150),
        Goal("latency_share", share, 0.9, ">="),
    ]
    context = {
        "scripted_rows_per_s": round(scripted, 1),
        "single_cmdlets_per_s": round(single, 1),
        "our_ms_per_object": round(ours * 1000, 4),
        "stock_ms_per_object": round(stock * 1000, 4),
        "read_100k_s": round(big["seconds"], 1),
        "read_100k_cpu_s": round(big["cpu_s"], 1),
        "latency_limit": f"{SESSIONS} sessions / {LATENCY_S} s = {SESSIONS / LATENCY_S:.0f} rows/s",
    }
    return report("powershell", goals, context, as_json=as_json)


@contextmanager
def tenant(users: int) -> Iterator[Endpoints]:
    """Start a stand-in tenant and give its endpoints."""
    with (
        tempfile.TemporaryDirectory() as folder,
        lab_process(Path(folder), "--users", str(users), "--seed", "1") as (_, endpoints),
    ):
        yield endpoints


def endpoint_of(endpoints: Endpoints) -> Endpoint:
    """Give where PowerShell is."""
    place = endpoints["powershell"]
    return Endpoint(
        place["server"],
        port=place["port"],
        path=place["path"],
        auth=place["auth"],
        username=place["username"],
        password=SecretStr(Path(place["password_file"]).read_text().strip()),
        ca_bundle=Path(endpoints["ca_bundle"]),
    )


def app_of(endpoints: Endpoints) -> AppRegistration:
    """Give our identity in the tenant."""
    secret = ClientSecret(Path(endpoints["client_secret_file"]).read_text().strip())
    bundle = Path(endpoints["ca_bundle"])
    return AppRegistration(
        endpoints["client_id"], endpoints["authority"], secret, ca_bundle=bundle, instance_discovery=False
    )


def rates(endpoints: Endpoints) -> tuple[float, float]:
    """Measure rows per second: ours in one scripted pipeline, stock pypsrp by single cmdlets; interleaved medians."""
    names = account_names(endpoints)
    scripted, single = [], []
    with PowerShell(endpoint_of(endpoints), sessions=1) as shell, stock_pool(endpoints) as pool:
        run_rows(shell, names, 10)
        for _ in range(ROUNDS):
            scripted.append(SCRIPTED_ROWS / timed(lambda: run_rows(shell, names, SCRIPTED_ROWS)))
            single.append(SINGLE_ROWS / timed(lambda: run_single(pool, names, SINGLE_ROWS)))
    return statistics.median(scripted), statistics.median(single)


def latency_share(endpoints: Endpoints) -> float:
    """Measure which share of sessions ÷ latency is reached when each cmdlet takes 200 ms and rows go in chunks."""
    names = account_names(endpoints)
    chunks: queue.SimpleQueue[int] = queue.SimpleQueue()
    for chunk in range(SESSIONS * CHUNKS):
        chunks.put(chunk)
    fault = {"name": "latency", "match": {"operation": "Set-ADUser"}, "seconds": LATENCY_S}
    with PowerShell(endpoint_of(endpoints), sessions=SESSIONS) as shell:
        workers = [threading.Thread(target=drain, args=(chunks, shell, names)) for _ in range(SESSIONS)]
        httpx.post(f"{endpoints['control_url']}/faults", json=fault, trust_env=False).raise_for_status()
        seconds = timed(lambda: run_all(workers))
        httpx.delete(f"{endpoints['control_url']}/faults", trust_env=False).raise_for_status()
    return SESSIONS * CHUNKS * CHUNK_ROWS * LATENCY_S / SESSIONS / seconds


def reading_costs() -> tuple[float, float]:
    """Measure CPU seconds per object of 30 properties: our reader, then stock pypsrp's; interleaved medians."""
    received = [b"".join(fragment(number, document) for number, document in batch) for batch in batches()]
    ours: list[float] = []
    stock: list[float] = []
    for _ in range(ROUNDS):
        for readers, costs in ((MessageReader, ours), (Fragmenter, stock)):
            reader = readers(100_000, Serializer())
            began = time.process_time()
            for data in received:
                reader.defragment(data)
            costs.append((time.process_time() - began) / OBJECTS)
    return statistics.median(ours), statistics.median(stock)


def big_read(endpoints: Endpoints) -> dict[str, float]:
    """Read 100,000 users in a fresh process and give what it measured of itself."""
    command = [sys.executable, "-m", "benchmarks.powershell", "--read", json.dumps(endpoints)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def read_and_measure(endpoints: Endpoints) -> int:
    """Stream every user and print what it took; the first read, of one user, is not counted."""
    shell = PowerShell(endpoint_of(endpoints), sessions=1)
    with TeamsShell(shell, Tokens(app_of(endpoints)).token):
        shell.cmdlet("Get-CsOnlineUser", {"ResultSize": 1}, deadline_s=60)
        before, cpu, began = memory_mb("VmRSS"), time.process_time(), time.perf_counter()
        count = sum(1 for _ in shell.stream("Get-CsOnlineUser", {}, deadline_s=800))
    print(
        json.dumps(
            {
                "users": count,
                "added_mb": memory_mb("VmHWM") - before,
                "cpu_s": time.process_time() - cpu,
                "seconds": time.perf_counter() - began,
            }
        )
    )
    return 0 if count >= MANY_USERS else 1


def account_names(endpoints: Endpoints) -> list[str]:
    """Give the account names of the tenant."""
    with PowerShell(endpoint_of(endpoints), sessions=1) as shell:
        users = shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=60)
    return [str(user["SamAccountName"]) for user in users]


def run_rows(shell: PowerShell, names: list[str], count: int) -> None:
    """Write so many rows in one pipeline; every one must succeed."""
    rows: list[dict[str, JsonValue]] = [
        {"key": str(n), "parameters": {"Identity": names[n % len(names)], "Replace": {"ipPhone": str(n)}}}
        for n in range(count)
    ]
    results = list(shell.run(SET_AD_USER, rows, deadline_s=120, writes=True))
    assert len(results) == count
    assert all(result.ok for result in results)


def run_single(pool: Any, names: list[str], count: int) -> None:
    """Write so many rows as stock pypsrp does it: a pipeline for each."""
    for n in range(count):
        with Pipeline(pool) as pipeline:
            pipeline.add_cmdlet("Set-ADUser")
            pipeline.add_parameters({"Identity": names[n % len(names)], "Replace": {"ipPhone": str(n)}})
            pipeline.invoke()
            assert not pipeline.streams.error


@contextmanager
def stock_pool(endpoints: Endpoints) -> Iterator[Any]:
    """Open a session with pypsrp as it comes."""
    place = endpoint_of(endpoints)
    assert place.password is not None
    connection = WSMan(
        place.server,
        port=place.port,
        path=place.path,
        auth=place.auth,
        username=place.username,
        password=place.password.get_secret_value(),
        cert_validation=str(place.ca_bundle),
    )
    with connection, RunspacePool(connection) as pool:
        yield pool


def drain(chunks: queue.SimpleQueue[int], shell: PowerShell, names: list[str]) -> None:
    """Take chunks until there are none."""
    while True:
        try:
            chunks.get_nowait()
        except queue.Empty:
            return
        run_rows(shell, names, CHUNK_ROWS)


def run_all(workers: list[threading.Thread]) -> None:
    """Run the workers to their end."""
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def batches() -> Iterator[list[tuple[int, bytes]]]:
    """Give serialised users in portions of the size that one answer carries."""
    serializer, size = Serializer(), 200
    documents = [ET.tostring(serializer.serialize(sample(n)), encoding="utf-8") for n in range(OBJECTS)]
    for start in range(0, OBJECTS, size):
        yield list(enumerate(documents[start : start + size], start=start + 1))


def sample(number: int) -> Any:
    """Make an object of thirty properties."""
    user = GenericComplexObject()
    user.types, user.to_string = ["Deserialized.Microsoft.Rtc.Management.OnlineUser", "System.Object"], str(number)
    texts = {f"Text{n}": f"value {n} of user {number}" for n in range(20)}
    flags = {f"Flag{n}": n % 2 == 0 for n in range(5)}
    others = {
        "Features": ["Teams", "PhoneSystem"],
        "Nothing": None,
        "Count": number,
        "Id": uuid.uuid4(),
        "Policy": None,
    }
    user.adapted_properties = texts | flags | others
    return user


def fragment(number: int, document: bytes) -> bytes:
    """Pack a document as the one fragment of an output message."""
    header = struct.pack("<II", 1, PIPELINE_OUTPUT) + uuid.UUID(int=1).bytes_le + uuid.UUID(int=2).bytes_le
    return struct.pack(">QQBI", number, 0, 3, len(header) + len(document)) + header + document


def timed(act: Callable[[], object]) -> float:
    """Give the seconds that it takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def memory_mb(name: str) -> float:
    """Give a memory figure of this process from the kernel."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    if "--read" in sys.argv:
        raise SystemExit(read_and_measure(json.loads(sys.argv[sys.argv.index("--read") + 1])))
    raise SystemExit(main())
