"""A token bucket for throttling by rate: how many calls it admits, and who calls although told to wait."""

from __future__ import annotations

from dataclasses import dataclass, field

GRACE_S = 0.05  # a call already on its way when the refusal was written is nobody's fault


@dataclass(slots=True)
class Bucket:
    """Admits `rate_per_s` calls on average and `burst` at once; a refusal holds for `hold_s`."""

    rate_per_s: float
    burst: float
    hold_s: float
    early: int = 0  # calls that came inside a hold
    grace_s: float = GRACE_S  # a busy machine needs more
    level: float = field(init=False)
    refused_at: float = float("-inf")
    filled_at: float | None = None

    def __post_init__(self) -> None:
        self.level = self.burst

    def admits(self, now: float) -> bool:
        """Take one call at a moment of a monotonic clock; tells whether it may pass."""
        since = now - self.refused_at
        if since < self.hold_s:
            self.early += since > self.grace_s
            return False
        passed = now - self.filled_at if self.filled_at is not None else 0.0
        self.level, self.filled_at = min(self.burst, self.level + passed * self.rate_per_s), now
        if self.level < 1:
            self.refused_at = now
            return False
        self.level -= 1
        return True
