"""What a large stand-in tenant costs: how long 100,000 people take to be ready, and the memory that stays.

The lab runs as its own process, as `./callwright lab` starts it, with three in ten people homed on premises. Its memory
is the peak after everybody and every number was read once through Graph.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.labs import lab_process
from benchmarks.report import Goal, report, wants_json

PEOPLE, SHARE = 100_000, 0.3
START_GOAL_S, MEMORY_GOAL_MB = 60, 1536
SCOPE = "https://graph.microsoft.com/.default"
NUMBERS = "/admin/teams/telephoneNumberManagement/numberAssignments?$top=1000"


@dataclass(frozen=True)
class Running:
    """A lab that runs: its process, its endpoints and how long it took to be ready."""

    process: subprocess.Popen[str]
    endpoints: Mapping[str, Any]
    ready_s: float

    def peak_mb(self) -> float:
        """Give the most memory it ever had, in megabytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def cpu_s(self) -> float:
        """Give the processor time it used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


def main() -> int:
    """Measure and report."""
    with tempfile.TemporaryDirectory(prefix="callwright-lab-") as folder, _lab(Path(folder)) as lab:
        at_start, cpu = lab.peak_mb(), lab.cpu_s()
        started = time.perf_counter()
        read = _everything(lab.endpoints)
        read_s = time.perf_counter() - started
        peak = lab.peak_mb()
    goals = [Goal("start_100k_s", lab.ready_s, START_GOAL_S), Goal("rss_100k_mb", peak, MEMORY_GOAL_MB)]
    context = {
        "people": PEOPLE,
        "share_on_premises": SHARE,
        "start_cpu_s": round(cpu, 1),
        "rss_at_start_mb": round(at_start),
        "bytes_per_person": round(at_start * 2**20 / PEOPLE),
        "rows_read": read,
        "read_s": round(read_s, 1),
    }
    return report("lab_scale", goals, context, as_json=wants_json())


@contextmanager
def _lab(folder: Path) -> Iterator[Running]:
    """Run a lab until the block ends."""
    started = time.perf_counter()
    with lab_process(folder, "--users", str(PEOPLE), "--hybrid", str(SHARE)) as (process, endpoints):
        yield Running(process, endpoints, time.perf_counter() - started)


def _everything(endpoints: Mapping[str, Any]) -> int:
    """Read everybody and every number once; gives how many rows that were."""
    context = ssl.create_default_context(cafile=endpoints["ca_bundle"])
    secret = Path(endpoints["client_secret_file"]).read_text()
    form = {"grant_type": "client_credentials", "client_id": endpoints["client_id"], "client_secret": secret}
    body = urllib.parse.urlencode({**form, "scope": SCOPE}).encode()
    with urllib.request.urlopen(endpoints["token_url"], body, context=context) as answer:
        token = json.load(answer)["access_token"]
    rows = 0
    for path in ("/users?$top=999", NUMBERS):
        link: str | None = endpoints["graph_url"] + path
        while link:
            request = urllib.request.Request(link, headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(request, context=context) as answer:
                page = json.load(answer)
            rows, link = rows + len(page["value"]), page.get("@odata.nextLink")
    return rows


if __name__ == "__main__":
    sys.exit(main())
