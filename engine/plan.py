"""A plan: the lines of one request, each an ordered list of changes for one user, with a hash over all (pure)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from datasets.record import Record
from engine.change import Change, fingerprint


class LineState(StrEnum):
    """Where a line stands; a run never hides the last five."""

    PLANNED = "planned"
    VERIFIED = "verified"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    WAITING = "waiting"
    UNKNOWN = "unknown"
    FAILED = "failed"
    REFUSED = "refused"
    DISCARDED = "discarded"


class ChangeState(StrEnum):
    """Where a change stands: sent means an intent without an outcome, applied means accepted but not yet seen."""

    PLANNED = "planned"
    SENT = "sent"
    APPLIED = "applied"
    UNKNOWN = "unknown"
    VERIFIED = "verified"
    FAILED = "failed"


OPEN_LINES = (LineState.PLANNED, LineState.WAITING, LineState.UNKNOWN)


class Line(Record):
    """What a plan intends for one object.

    `success` is what the line is called once verified (onboarded, planned_ahead); `source` says what it answers, so
    that it can be planned anew. A line may be waiting or refused from the start.
    """

    object: str
    label: str
    success: str = "onboarded"
    source: dict[str, JsonValue] = Field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    state: LineState = LineState.PLANNED
    reason: str = ""
    condition: str | None = None
    not_before: datetime | None = None
    give_up_at: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """Digest the observed values that the line was planned against."""
        return fingerprint([[e.object, e.attribute, e.before] for change in self.changes for e in change.effects])


class Plan(Record):
    """The lines of one request, in order."""

    id: str
    request_id: str
    lines: tuple[Line, ...]

    @property
    def hash(self) -> str:
        """Digest everything that would be done: an approval is bound to this.

        States are left out: a line that was given up or taken over since does less, never more.
        """
        lines = [[line.object, [c.model_dump(mode="json") for c in line.changes]] for line in self.lines]
        return fingerprint([self.id, self.request_id, lines])
