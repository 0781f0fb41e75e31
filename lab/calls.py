"""The call log: one line per call in a JSON-lines file, written when its effect is done, and read back from there."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from lab.clock import Clock, stamp
from lab.records import Effect, Json


@dataclass(slots=True)
class CallLine:
    """One call as it will be logged; secrets never belong into `parameters`."""

    protocol: str  # graph, powershell or token
    operation: str
    actor: str
    target: str = ""
    parameters: Mapping[str, Json] = field(default_factory=dict)
    write: bool = False
    status: int | str = 200
    error: str | None = None
    effects: Sequence[Effect] = ()


class CallLog:
    """All calls in the order their effects were done; safe for threads."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._ends = array("Q", [0])  # where each line ends in the file: a long rehearsal must not fill the memory
        self._file = path.open("wb", buffering=0)

    def add(self, line: CallLine) -> int:
        """Log one call; gives its sequence number."""
        with self._lock:
            seq = len(self._ends)
            text = orjson.dumps(self._entry(line, seq), default=str) + b"\n"
            self._file.write(text)
            self._ends.append(self._ends[-1] + len(text))
            return seq

    def since(self, seq: int = 0) -> list[dict[str, Json]]:
        """Give the lines after a sequence number."""
        with self._lock:
            first = min(max(0, seq), len(self._ends) - 1)
            start, end = self._ends[first], self._ends[-1]
        if start == end:
            return []
        with self.path.open("rb") as file:
            file.seek(start)
            return [orjson.loads(line) for line in file.read(end - start).splitlines()]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _entry(self, line: CallLine, seq: int) -> dict[str, Json]:
        return {
            "seq": seq,
            "at": stamp(self._clock.now()),
            "protocol": line.protocol,
            "operation": line.operation,
            "actor": line.actor,
            "target": line.target,
            "parameters": dict(line.parameters),
            "write": line.write,
            "status": line.status,
            "error": line.error,
            "effects": [effect.as_json() for effect in line.effects],
        }
