"""Work on one line of a plan: settle what was sent, check that the plan still fits, send, look, record.

Every remote write stands between two committed journal entries. What a reply left open is settled by reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from connectors.errors import AlreadyThere, Busy, NotFound, OnPremisesNumber, Refused, Throttled, Unreachable
from engine import claims, gates, policy_batches
from engine.change import Effect
from engine.conditions import CONDITIONS, LINE_RELEASED
from engine.journal import Result, Stream
from engine.kinds import kind_of
from engine.leases import Lease
from engine.line_record import LineRecord
from engine.overlay import recent_effects
from engine.plan import ChangeState, LineState
from engine.plan_store import StoredChange, StoredLine
from engine.policy_batch_plan import POLICY_BATCH, POLICY_DIRECT
from engine.readers import Observed, Reader
from engine.runtime import Runtime
from engine.turnstile import Turn
from engine.writers import write

IN_DOUBT = (ChangeState.SENT, ChangeState.APPLIED, ChangeState.UNKNOWN)
REPLAN = "replan"
SYSTEM = "system"
BUSY = "busy"


class LineWork:
    """One attempt to bring one line to its end; the line's state says afterwards how far it came."""

    def __init__(
        self, runtime: Runtime, stream: Stream, held: Iterable[Lease], line: StoredLine, turn: Turn | None = None
    ) -> None:
        self._runtime, self.line, self._turn = runtime, line, turn or Turn()
        self._record = LineRecord(runtime, stream, list(held), line)

    def run(self) -> None:
        """Go as far as possible. Raises Unreachable or LeaseLost; the line can then be continued by anybody."""
        try:
            self._run()
        except Unreachable as error:
            self._record.wait(SYSTEM, str(error), self._runtime.limits.unreachable_give_up_s)
            raise

    def _run(self) -> None:
        in_doubt = [change for change in self.line.changes if change.state in IN_DOUBT]
        if not all(self._settle(change) for change in in_doubt) or self._still_waits() or not self._is_fresh():
            return
        self._turn.end()
        for change in self._record.to_do():
            if not (self._is_ready(change) and self._send(change)):
                return

    # ---- before sending

    def _still_waits(self) -> bool:
        """Look at nothing else while what the line waits for does not show: a wave has thousands of such lines."""
        first = next(iter(self._record.to_do()), None)
        if first is None or not (kind_of(first.change).is_wait or self.line.condition == POLICY_BATCH):
            return False
        return not self._is_ready(first)

    def _is_fresh(self) -> bool:
        """Compare the world with what the plan saw; refuse the line by name when somebody else changed it."""
        for change in self._record.to_do():
            if (moved := self._moved(change)) is not None:
                said = f"{moved}, which the plan did not expect ; plan it again"
                return self._record.end(change, LineState.REFUSED, said, Observed())
        remote = [change for change in self._record.to_do() if not kind_of(change.change).is_local]
        observed = self._observe(remote)
        for change in remote:
            effects = change.change.effects
            if effects and all(observed[e.key_pair] == e.after for e in effects):
                # Before it waited for others the user did not have them: so this is our work, to be undone as such.
                is_ours = self.line.condition in (POLICY_BATCH, POLICY_DIRECT)
                how: tuple[Result, str] = ("verified", "seen") if is_ours else ("already", "was already so")
                self._record.verified(change, *how)
                continue
            stale = [e for e in effects if not e.fits(observed[e.key_pair])]
            if stale:
                return self._stale(change, observed, stale[0].key_pair)
            observed |= {e.key_pair: e.after for e in effects}  # what the next change of this line will find
        return True

    def _moved(self, change: StoredChange) -> str | None:
        with self._runtime.database.read() as connection:
            return claims.moved(connection, change.change, self._runtime.now())

    def _observe(self, changes: Iterable[StoredChange]) -> Observed:
        return self._seen([effect for change in changes for effect in change.change.effects])

    def _seen(self, effects: list[Effect]) -> Observed:
        """Read values; what we verified a moment ago outweighs a lagging read."""
        observed = Reader(self._runtime.systems).observe(effects)
        with self._runtime.database.read() as connection:
            objects = {effect.object for effect in effects}
            ours = recent_effects(connection, objects, now=self._runtime.now(), limits=self._runtime.limits)
        return observed | {key: value for key, value in ours.items() if key in observed}

    def _stale(self, change: StoredChange, observed: Observed, key: tuple[str, str]) -> bool:
        obj, attribute = key
        if obj.startswith("number:") and attribute != "location":
            return self._held_by_other(change, observed)
        said = f"{attribute} of {self.line.label} is now {observed[key]!r}, which the plan did not expect"
        return self._record.end(change, LineState.REFUSED, f"{said} ; plan it anew", observed)

    def _is_ready(self, change: StoredChange) -> bool:
        if gates.to_look_at(change.change):
            seen = self._seen(gates.to_look_at(change.change))
            if (why := gates.barred(change.change, seen)) is not None:
                return self._record.end(change, LineState.REFUSED, f"{change.change.kind}: {why}", Observed())
        if change.change.waits_for is None:
            return True
        if change.change.waits_for == POLICY_BATCH:
            return self._is_on_its_own(change)
        condition = CONDITIONS[change.change.waits_for]
        if condition.holds(Reader(self._runtime.systems), change.change):
            return True
        give_up_s = condition.give_up(self._runtime.limits)
        return self._record.wait(change.change.waits_for, condition.says, give_up_s, remedy=condition.remedy)

    def _is_on_its_own(self, change: StoredChange) -> bool:
        """Tell whether policies that others get too are given by a call of their own; parks the line until then.

        A parked line is not polled: whoever works on the line for all records what it gave, or lets this one go.
        """
        now, is_parked = self._runtime.now(), self.line.condition == POLICY_BATCH
        is_late = is_parked and self.line.give_up_at is not None and now >= self.line.give_up_at
        if self.line.condition == POLICY_DIRECT or is_late:
            return True
        until = self.line.give_up_at if is_parked else None
        until = until or now + timedelta(seconds=2 * self._runtime.limits.policy_give_up_s)
        return not self._record.park_while(
            lambda connection: policy_batches.is_open(connection, self.line.plan_id, change.change),
            POLICY_BATCH,
            "gets policies together with others",
            until,
        )

    # ---- sending

    def _send(self, change: StoredChange) -> bool:
        """Send one change, again after a pause while the system is busy; tells whether it is verified."""
        if kind_of(change.change).is_wait:  # what it waits for shows, as its condition just read
            return self._record.verified(change, "verified", "seen")
        for pause_s in (*self._runtime.limits.retry_after_s, None):
            self._record.intent(change)
            try:
                write(self._runtime.systems, change.change, self._runtime.limits.write_deadline_s)
            except Exception as error:  # noqa: BLE001 - the one place where one user's failure becomes an outcome
                again = self._judge(change, error)
            else:
                return self._look(change)
            if again is not None:
                return again
            if pause_s is not None:
                self._runtime.sleep(pause_s)
        return self._record.wait(BUSY, self.line.reason, self._runtime.limits.busy_give_up_s)

    def _judge(self, change: StoredChange, error: Exception) -> bool | None:
        """Turn an error into an outcome: None means try again, otherwise whether the line goes on."""
        lags = isinstance(error, NotFound) and kind_of(change.change).fresh_users_lag
        if isinstance(error, (Busy, Throttled, Unreachable)) or lags:
            self._record.not_done(change, str(error))
            if isinstance(error, Unreachable):
                raise error
            return None
        if isinstance(error, AlreadyThere):
            observed = Reader(self._runtime.systems).observe(change.change.effects)
            if self._shown(change, observed):
                return self._record.verified(change, "verified", str(error))
            if change.change.kind == "assign_number":
                return self._held_by_other(change, observed)
        if isinstance(error, OnPremisesNumber) and self._clears_a_line():
            return self._wait_for_release(change, error)
        if isinstance(error, (Refused, NotFound, AlreadyThere)):
            return self._record.end(change, LineState.FAILED, str(error), Observed())
        self._record.outcome(change, ChangeState.UNKNOWN, "unknown", f"{type(error).__name__}: {error}")
        return self._settle(change)

    def _clears_a_line(self) -> bool:
        return any(each.change.kind == "await_line_release" for each in self.line.changes)

    def _wait_for_release(self, change: StoredChange, error: OnPremisesNumber) -> bool:
        """Wait on: the list of numbers has heard of the cleared line, and the part of Teams that assigns has not."""
        self._record.not_done(change, str(error))
        condition = CONDITIONS[LINE_RELEASED]
        give_up_s = condition.give_up(self._runtime.limits)
        return self._record.wait(LINE_RELEASED, condition.says, give_up_s, remedy=condition.remedy)

    # ---- after sending

    def _look(self, change: StoredChange) -> bool:
        """Read the accepted change back; what does not show yet is looked at again later, not believed."""
        for pause_s in (0.0, *self._runtime.limits.look_again_s):
            if pause_s:
                self._runtime.sleep(pause_s)
            if self._shown(change, Reader(self._runtime.systems).observe(self._remote_effects(change))):
                return self._record.verified(change, "verified", "")
        self._record.outcome(change, ChangeState.APPLIED, "applied", "accepted, not visible yet")
        return self._record.doubt("accepted, but reading does not show it yet")

    def _settle(self, change: StoredChange) -> bool:
        """Decide by reading what became of a sent change; absence needs the lag window and two reads."""
        observed = Reader(self._runtime.systems).observe(self._remote_effects(change))
        if self._shown(change, observed):
            return self._record.verified(change, "verified", "settled by reading")
        now, kind = self._runtime.now(), kind_of(change.change)
        lag = self._runtime.limits.lag(kind) + timedelta(seconds=kind.runs_for_s)
        assert change.sent_at is not None
        if now < change.sent_at + lag:
            return self._record.doubt(
                "the reply was lost and reading does not show the effect yet", change.sent_at + lag - now
            )
        self._record.absent_read(change)
        if change.absent_reads < 2:
            return self._record.doubt("one more read decides whether it happened")
        return self._absent(change, observed)

    def _absent(self, change: StoredChange, observed: Observed) -> bool:
        """Record that a change surely did not happen; it may be sent again, a few times."""
        self.line.attempts += 1
        if change.state == ChangeState.APPLIED or self.line.attempts > self._runtime.limits.repeats:
            said = f"{change.change.kind} was accepted but never took effect"
            return self._record.end(
                change, LineState.FAILED, f"{said} ; check {self.line.label} in the tenant", observed
            )
        self._record.not_done(change, "settled by reading: it did not happen")
        return True

    def _shown(self, change: StoredChange, observed: Observed) -> bool:
        return all(observed[effect.key_pair] == effect.after for effect in self._remote_effects(change))

    @staticmethod
    def _remote_effects(change: StoredChange) -> tuple[Effect, ...]:
        return () if kind_of(change.change).is_local else change.change.effects

    def _held_by_other(self, change: StoredChange, observed: Observed) -> bool:
        """Learn who holds the number; a line that a feed asked for is planned anew with another one."""
        number = change.change.parameters.get("number")
        if self.line.source.get("named"):  # a number that was named is not replaced by another one
            said = f"{number} is held by somebody else ; plan it anew"
            return self._record.end(change, LineState.REFUSED, said, observed)
        self._record.end(
            change, LineState.WAITING, f"{number} is held by somebody else ; planned anew with another", observed
        )
        return self._record.wait(REPLAN, self.line.reason, self._runtime.limits.busy_give_up_s, at_once=True)
