"""The fault plan: what goes wrong for which calls. Every protocol asks it once per call and plays the verdict.

Names and parameters: truncate(keep) · duplicate() ·
latency(seconds) · lag(seconds) · drop_reply() · error(status, code, message) · false_success()
· throttle(retry_after_s) · unavailable(retry_after_s) · token_down() ·
kill_shell() · expire_idle() · cut_reply(). A fault applies to calls whose operation and target match its globs (several
with `|` between), after letting `after` of them pass, for `times` calls (None: until removed), each with `probability`.
The other names are modes of the real platform: `lab.fault_modes`.
A throttle with `rate_per_s` (and `burst`) refuses only what is too fast; `early` counts calls made while told to wait,
those apart that come within `grace_s` of the refusal: they were on their way.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from lab.fault_modes import MODES, OPERATIONS
from lab.pacing import GRACE_S, Bucket
from lab.records import Json
from lab.rules import bad_request

NAMES = (
    MODES
    | frozenset({"latency", "lag", "drop_reply", "error", "false_success", "throttle", "unavailable", "token_down"})
    | {
        "truncate",
        "duplicate",
        "kill_shell",
        "expire_idle",
        "cut_reply",
    }
)
_KEYS = frozenset({"name", "match", "times", "after", "probability"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with one call: wait, then refuse, pretend, or do it and say nothing."""

    latency_s: float = 0.0  # real seconds, before anything else
    lag_s: float = 0.0  # a read answers with the state of that many lab seconds ago
    drop_reply: bool = False  # the effect happens, then the connection is closed without an answer
    false_success: bool = False  # says yes, does nothing
    throttle_s: float | None = None  # refuse with "wait that long", nothing is done
    unavailable: bool = False  # refuse as 503, nothing is done
    unavailable_s: float | None = None  # and say how long to wait
    keep: float = 1.0  # share of a list that is shown
    copies: int = 1  # how often each row of a list is shown
    error: tuple[int, str, str] | None = None  # refuse with status, code, message; nothing is done
    kill_shell: bool = False  # PowerShell only: the shell dies, after the effect of a cmdlet or before an operation
    expire_idle: bool = False  # PowerShell only: the shell has been idle for too long
    modes: frozenset[str] = frozenset()  # named modes of the real platform
    cut_reply: bool = False  # PowerShell only: the effect happens, the connection ends in the middle of the answer


@dataclass(slots=True)
class Fault:
    """One entry of the plan."""

    id: int
    name: str
    operation: str = "*"
    target: str = "*"
    times: int | None = None
    after: int = 0
    probability: float = 1.0
    parameters: Mapping[str, Json] = field(default_factory=dict)
    seen: int = 0
    played: int = 0
    bucket: Bucket | None = None

    def matches(self, operations: Sequence[str], targets: Sequence[str]) -> bool:
        """Tell whether the globs fit this call; case does not matter."""
        return _fits(self.operation, operations) and (self.target == "*" or _fits(self.target, targets))

    def as_json(self) -> dict[str, Json]:
        """Give the form of the control port."""
        shown: dict[str, Json] = {"id": self.id, "name": self.name}
        shown["match"] = {"operation": self.operation, "target": self.target}
        shown |= {"times": self.times, "after": self.after, "probability": self.probability}
        shown |= {"early": self.bucket.early} if self.bucket else {}
        return shown | {"seen": self.seen, "played": self.played} | dict(self.parameters)


class Faults:
    """The plan as a whole; safe for threads, cheap while empty."""

    def __init__(self, *, seed: int = 1) -> None:
        self._lock = threading.Lock()
        self._plan: dict[int, Fault] = {}
        self._ids = itertools.count(1)
        self._random = random.Random(seed)

    def add(self, body: Mapping[str, Json]) -> int:
        """Add a fault as the control port describes it; gives its id."""
        fault = _fault(next(self._ids), body)
        with self._lock:
            self._plan[fault.id] = fault
        return fault.id

    def remove(self, fault_id: int) -> bool:
        """Remove one fault; tells whether it was there."""
        with self._lock:
            return self._plan.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._plan.clear()

    def listed(self) -> list[dict[str, Json]]:
        """Give all faults with how often they were seen and played."""
        with self._lock:
            return [fault.as_json() for fault in self._plan.values()]

    def before(self, operation: str, *targets: str, address: str = "") -> Verdict:
        """Decide what happens to a call; `targets` are all names of what it touches.

        A web call can also be named by its address: `PATCH /users/…`.
        """
        verdict = Verdict()
        if not self._plan:
            return verdict
        with self._lock:
            for fault in self._plan.values():
                if fault.matches((operation, address), targets) and self._plays(fault):
                    verdict = _apply(verdict, fault)
        return verdict

    def _plays(self, fault: Fault) -> bool:
        fault.seen += 1
        if fault.seen <= fault.after or (fault.times is not None and fault.played >= fault.times):
            return False
        if fault.probability < 1 and self._random.random() >= fault.probability:
            return False
        if fault.bucket and fault.bucket.admits(time.monotonic()):
            return False
        fault.played += 1
        return True


def _fits(glob: str, names: Sequence[str]) -> bool:
    globs = glob.casefold().split("|")
    return any(fnmatchcase(name.casefold(), one) for name in names for one in globs)


def _fault(fault_id: int, body: Mapping[str, Json]) -> Fault:
    """Read a fault from JSON; refuses unknown names."""
    name = str(body.get("name"))
    if name not in NAMES:
        raise bad_request(f"there is no fault '{name}'; known: {', '.join(sorted(NAMES))}")
    raw = body.get("match")
    match: Mapping[str, Json] = raw if isinstance(raw, Mapping) else {}
    default = "token*" if name == "token_down" else OPERATIONS.get(name, "*")
    times = body.get("times")
    rate, hold_s = float(str(body.get("rate_per_s") or 0)), float(str(body.get("retry_after_s", 1.0)))
    return Fault(
        id=fault_id,
        name=name,
        operation=str(match.get("operation", default)),
        target=str(match.get("target", "*")),
        times=None if times is None else int(str(times)),
        after=int(str(body.get("after") or 0)),
        probability=float(str(body.get("probability", 1.0))),
        parameters={key: value for key, value in body.items() if key not in _KEYS},
        bucket=_bucket(body, rate, hold_s) if rate else None,
    )


def _bucket(body: Mapping[str, Json], rate: float, hold_s: float) -> Bucket:
    """Make the bucket of a throttle that refuses only what is too fast."""
    burst, grace_s = body.get("burst") or max(1.0, rate), body.get("grace_s", GRACE_S)
    return Bucket(rate, float(str(burst)), hold_s, grace_s=float(str(grace_s)))


def _apply(verdict: Verdict, fault: Fault) -> Verdict:
    """Add one played fault to a verdict."""
    given = fault.parameters
    seconds = float(str(given.get("seconds", 1.0)))
    match fault.name:
        case name if name in MODES:
            return replace(verdict, modes=verdict.modes | {name})
        case "latency":
            return replace(verdict, latency_s=verdict.latency_s + seconds)
        case "lag":
            return replace(verdict, lag_s=max(verdict.lag_s, seconds))
        case "throttle":
            return replace(verdict, throttle_s=float(str(given.get("retry_after_s", 1.0))))
        case "error":
            code, message = str(given.get("code", "BadRequest")), str(given.get("message", "The request failed"))
            return replace(verdict, error=(int(str(given.get("status", 400))), code, message))
        case "unavailable" | "token_down":
            wait = given.get("retry_after_s")
            return replace(verdict, unavailable=True, unavailable_s=None if wait is None else float(str(wait)))
        case "truncate" | "duplicate" | "kill_shell" | "expire_idle" | "cut_reply":
            return _spoiled(verdict, fault)
        case _:
            return replace(verdict, **{fault.name: True})  # type: ignore[arg-type]  # drop_reply or false_success


def _spoiled(verdict: Verdict, fault: Fault) -> Verdict:
    """Add what spoils an answer: a part of a list, the same rows twice, or what can only happen to a shell."""
    if fault.name == "duplicate":
        return replace(verdict, copies=2)
    if fault.name == "truncate":
        return replace(verdict, keep=min(verdict.keep, float(str(fault.parameters.get("keep", 0.5)))))
    return _strike(verdict, fault.name)


def _strike(verdict: Verdict, name: str) -> Verdict:
    """Add what can only happen to a shell."""
    match name:
        case "kill_shell":
            return replace(verdict, kill_shell=True)
        case "expire_idle":
            return replace(verdict, expire_idle=True)
        case _:
            return replace(verdict, cut_reply=True)
