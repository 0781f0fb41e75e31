"""How a benchmark reports: a table for people, then one JSON object as the last line; the exit code says if goals held.

Each `benchmarks/<name>.py` measures, makes a list of `Goal` and ends with
`raise SystemExit(report("<name>", goals, context, as_json=...))`.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Op = Literal["<=", ">="]
Context = Mapping[str, object]


@dataclass(frozen=True)
class Goal:
    """One promised figure: what was measured, the bound, and which side of it is good."""

    name: str
    value: float
    bound: float
    op: Op = "<="

    @property
    def ok(self) -> bool:
        """Tell whether the figure holds; a value that is not a number never does."""
        if math.isnan(self.value):
            return False
        return self.value <= self.bound if self.op == "<=" else self.value >= self.bound

    def as_line(self) -> dict[str, object]:
        """Give the goal as the JSON object of the last line."""
        value = self.value if math.isfinite(self.value) else None
        return {"name": self.name, "value": value, "goal": self.bound, "op": self.op, "ok": self.ok}


def report(bench: str, goals: Sequence[Goal], context: Context | None = None, *, as_json: bool = False) -> int:
    """Print the table (unless `as_json`) and the JSON last line; give the exit code 0 or 1."""
    facts = {**machine(), **(context or {})}
    if not as_json:
        print(table(bench, goals, facts))
    line = {"bench": bench, "goals": [goal.as_line() for goal in goals], "context": facts}
    print(json.dumps(line, default=str), flush=True)
    return 0 if goals and all(goal.ok for goal in goals) else 1


def wants_json(arguments: Sequence[str] | None = None) -> bool:
    """Tell whether `--json` was given on the command line."""
    return "--json" in (sys.argv[1:] if arguments is None else arguments)


def table(bench: str, goals: Sequence[Goal], facts: Context) -> str:
    """Lay the goals and the context out for a person."""
    width = max([len(goal.name) for goal in goals] + [len(key) for key in facts] + [4])
    lines = [f"{bench}"]
    for goal in goals:
        mark = "ok" if goal.ok else "MISSED"
        lines.append(f"  {goal.name:<{width}}  {goal.value:>12.4g}  {goal.op} {goal.bound:<10g} {mark}")
    lines += [f"  {key:<{width}}  {value}" for key, value in facts.items()]
    return "\n".join(lines)


def machine() -> dict[str, object]:
    """Describe where the figures were taken: processors, load, Python, processor name."""
    return {
        "cpus": os.cpu_count(),
        "load_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
