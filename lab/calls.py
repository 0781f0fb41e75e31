"""The call log: one line per call, kept in memory and written to a JSON-lines file when the call's effect is done."""

from __future__ import annotations

import threading
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
        self._lines: list[dict[str, Json]] = []
        self._file = path.open("wb", buffering=0)

    def add(self, line: CallLine) -> int:
        """Log one call; gives its sequence number."""
        with self._lock:
            entry = self._entry(line, len(self._lines) + 1)
            self._file.write(orjson.dumps(entry, default=str) + b"\n")
            self._lines.append(entry)
            return len(self._lines)

    def since(self, seq: int = 0) -> list[dict[str, Json]]:
        """Give the lines after a sequence number."""
        with self._lock:
            return self._lines[max(0, seq) :]

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
