"""Checks an evidence pack without Callwright and without its database: `python verify.py` in the unpacked folder.

This file is copied into every pack. It needs Python 3.9 or newer and nothing else, and imports nothing of Callwright.
With `--heads FILE` the chain is also compared with heads that were exported elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

GENESIS = "0" * 64


def text_of(value: Any) -> str:
    """Put a value into the one form that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """Give the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def read(folder: Path, name: str) -> Any:
    """Read one file of the pack."""
    return json.loads((folder / name).read_text(encoding="utf-8"))


def check(folder: Path, heads: Path | None = None) -> list[str]:
    """Give every fault in words; an empty list is the proof."""
    faults = files(folder)
    ends = entries(folder, faults)
    streams(folder, ends, faults)
    links(folder, faults, heads)
    plans(folder, faults)
    return faults


def files(folder: Path) -> list[str]:
    """Compare every file with the manifest of the pack."""
    faults = []
    listed = read(folder, "manifest.json")["files"]
    for name, stated in listed.items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != stated:
            faults.append(f"{name} is not as the manifest says")
    return faults


def entries(folder: Path, faults: list[str]) -> dict[str, tuple[str, int]]:
    """Walk along every stream; gives where each ends."""
    ends = {row["id"]: (digest(GENESIS + text_of(row["first"])), 0) for row in read(folder, "streams.json")}
    for line in (folder / "entries.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        name = f"stream {row['stream_id']} entry {row['seq']}"
        head, seq = ends.get(row["stream_id"], (GENESIS, 0))
        if row["seq"] != seq + 1 or row["previous"] != head:
            faults.append(f"{name} does not continue the entry before it")
        if row["payload"] is not None and inner(row) != row["payload_digest"]:
            faults.append(f"{name}: payload or effects were altered")
        if digest(row["previous"] + text_of([row[field] for field in CHAINED])) != row["digest"]:
            faults.append(f"{name} was altered")
        ends[row["stream_id"]] = (row["digest"], row["seq"])
    return ends


CHAINED = ("at", "stream_id", "seq", "plan_id", "line", "change", "target", "phase", "result", "payload_digest")


def inner(row: dict[str, Any]) -> str:
    """Give the salted digest of an entry's payload and effects; both are kept as the very text that was hashed."""
    found: str = row["salt"] + row["payload"]
    if row["effects"]:
        parts = (f"[{text_of(o)},{text_of(a)},{before},{after}]" for o, a, before, after in row["effects"])
        found += f"[{','.join(parts)}]"
    return digest(found)


def streams(folder: Path, ends: dict[str, tuple[str, int]], faults: list[str]) -> None:
    """Compare where each stream ends with how it was sealed."""
    sealed = {s[0]: (s[1], s[2]) for link in read(folder, "manifests.json") for s in link["streams"]}
    for name, end in ends.items():
        if sealed.get(name) != end:
            faults.append(f"stream {name} is not as it was sealed, or was not sealed")


def links(folder: Path, faults: list[str], heads: Path | None) -> None:
    """Walk along the chain of manifests, and compare it with exported heads."""
    chain = read(folder, "manifests.json")
    previous = None
    for link in chain:
        if previous is not None and link["previous"] != previous:
            faults.append(f"manifest {link['id']} does not continue the one before it")
        said = [link["request_id"], link["at"], link["streams"], link["note"]]
        if digest(link["previous"] + text_of(said)) != link["digest"]:
            faults.append(f"manifest {link['id']} was altered")
        previous = link["digest"]
    known = {link["id"]: link["digest"] for link in chain}
    for line in heads.read_text(encoding="utf-8").splitlines() if heads else ():
        head = json.loads(line)
        if known.get(head["manifest"], head["digest"]) != head["digest"]:
            faults.append(f"manifest {head['manifest']} is not as it was exported on {head['at']}")


def plans(folder: Path, faults: list[str]) -> None:
    """Compute the hash of every plan and compare the approvals with it."""
    hashes = {}
    for plan in read(folder, "plans.json"):
        lines = [[line["object"], line["changes"]] for line in plan["lines"]]
        hashes[plan["id"]] = digest(text_of([plan["id"], plan["request_id"], lines]))
        if hashes[plan["id"]] != plan["hash"] and not plan["erased"]:
            faults.append(f"plan {plan['id']} is not as it was stored")
    for approval in read(folder, "approvals.json"):
        if approval["plan_hash"] != hashes.get(approval["plan_id"]):
            faults.append(f"approval {approval['id']} is of another plan")
    for approval in read(folder, "batch-approvals.json"):
        for name, stated in approval["plans"].items():
            if hashes.get(name, stated) != stated:
                faults.append(f"approval {approval['id']} is of another plan {name}")


def main(arguments: list[str]) -> int:
    """Check the folder this file is in, or the one that is named."""
    heads = Path(arguments[arguments.index("--heads") + 1]) if "--heads" in arguments else None
    named = [a for a in arguments if not a.startswith("--") and (heads is None or a != str(heads))]
    folder = Path(named[0]) if named else Path(__file__).resolve().parent
    faults = check(folder, heads)
    for fault in faults:
        sys.stdout.write(f"FAULT  {fault}\n")
    last = read(folder, "manifests.json")[-1:] or [{"id": 0, "digest": GENESIS}]
    sys.stdout.write(f"{len(faults)} faults ; the chain ends at manifest {last[0]['id']}: {last[0]['digest']}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
