"""Work on the line that gives many users their policies: choose who is ready, start operations, follow them, look.

Nothing sleeps meanwhile: each visit goes as far as it can. Whoever an operation does not give everything to gets it by
a call of their own, from their own line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from pydantic import JsonValue
from sqlalchemy import Connection

from connectors.errors import Busy, NotFound, Refused, Settled, Throttled, Unreachable
from datasets.policy_operations import LARGEST, PolicyOperation
from datasets.users import VoiceUser
from engine import leases, plan_store, policy_batches
from engine.change import Change, Effect
from engine.journal import Stream
from engine.kinds import KINDS
from engine.leases import Lease
from engine.line_record import LineRecord
from engine.plan import ChangeState, LineState
from engine.plan_store import StoredChange, StoredLine
from engine.policy_batch_plan import KIND, OWN, POLICY_BATCH, SMALLEST
from engine.readers import Observed, voice_value
from engine.runtime import Runtime
from engine.writers import begin_policy_operation

AT_ONCE = 3
"""Operations at a time, of all plans together. Microsoft says no more than "a few"; how many that is, is a guess."""
FILLING, OPERATION = "policy_filling", "policy_operation"
_LOOKED_AT = 100  # users read and recorded before the leases on them are let go
_STARTED = (ChangeState.APPLIED, ChangeState.VERIFIED)


class PolicyBatchWork:
    """One visit to such a line; the line's state says afterwards how far it came.

    A change is sent (an intent), applied (the operation has an id), verified (it is over), and planned again for the
    next round; when the line ends all its changes are verified.
    """

    def __init__(self, runtime: Runtime, stream: Stream, held: Iterable[Lease], line: StoredLine) -> None:
        self._runtime, self._stream, self._held, self.line = runtime, stream, list(held), line
        self._record = LineRecord(runtime, stream, self._held, line)
        self._record.on_end = self._let_go
        self._told: dict[int, PolicyOperation] = {}
        self._is_busy = False

    def run(self) -> None:
        """Go as far as possible. Raises Unreachable or LeaseLost; the line can then be continued by anybody."""
        try:
            while (users := self._users()) and self._is_given(users):
                self._told.clear()
        except Unreachable as error:
            self._park(str(error))
            raise

    # ---- who

    def _users(self) -> Sequence[int]:
        """Give the lines of the round that is under way, or choose those of a new one; none when there is no round."""
        with self._runtime.database.read() as connection:
            for change in self.line.changes:
                if change.state != ChangeState.PLANNED:
                    return policy_batches.sent(connection, self.line, change).lines
            found = policy_batches.members(connection, self.line, self._runtime.now())
        if len(found.ready) >= SMALLEST and (fitting := self._fitting(found.ready[:LARGEST])):
            return fitting
        if len(found.ready) + found.coming < SMALLEST:
            return self._end("too few users are left for an operation")
        if not found.beginning:  # the others wait for something that takes its time
            self._release(dict.fromkeys(found.ready, "too few users are ready for an operation"))
        self._record.park(FILLING, f"{len(found.ready)} users are ready, {found.coming} may still come")
        return ()

    def _end(self, reason: str) -> Sequence[int]:
        """End the line; who is ready, or still comes, gets policies by a call of their own."""
        if plan_store.has_sent(self.line):
            for change in self.line.changes:
                self._record.verified(change, "verified", reason)
        else:
            self._record.superseded(reason)
        return ()

    def _let_go(self, connection: Connection) -> None:
        """Have everybody who still waits for this line get policies by a call of their own, as it ends."""
        policy_batches.let_go(connection, self.line, self.line.reason or "too few users are left", self._runtime.now())

    def _release(self, reasons: Mapping[int, str]) -> None:
        if reasons:
            with self._runtime.database.write() as connection:
                policy_batches.release(connection, self.line.plan_id, dict(reasons), self._runtime.now())

    def _fitting(self, users: Sequence[int]) -> list[int]:
        """Leave out users whose policies somebody changed since the plan; their own lines say so and are refused."""
        fitting: list[int] = []
        for lines, voices in self._read(self._waiting(users)):
            stale = {line.line for line in lines if not all(e.fits(_value(voices, e)) for e in _own(line).effects)}
            self._release(dict.fromkeys(stale, "policies were changed meanwhile"))
            fitting += [line.line for line in lines if line.line not in stale]
        return fitting

    def _read(self, waiting: Mapping[int, str]) -> Iterator[tuple[list[StoredLine], Mapping[str, VoiceUser]]]:
        """Read lines and what Teams shows of their users, some at a time; the line for all is kept meanwhile."""
        numbers = list(waiting)
        for some in (numbers[start : start + _LOOKED_AT] for start in range(0, len(numbers), _LOOKED_AT)):
            with self._runtime.database.write() as connection:
                leases.renew(connection, self._held, now=self._runtime.now(), ttl=self._runtime.lease)
                lines = plan_store.load_lines(connection, self.line.plan_id, some)
            ids = [line.object.removeprefix("user:") for line in lines]
            yield lines, self._runtime.systems.teams.voice_users_by_ids(ids)

    def _waiting(self, users: Sequence[int]) -> dict[int, str]:
        with self._runtime.database.read() as connection:
            return policy_batches.waiting(connection, self.line.plan_id, users)

    # ---- operations

    def _is_given(self, users: Sequence[int]) -> bool:
        """Bring a round on; tells whether it is over and the next one may be chosen."""
        waiting = self._waiting(users)
        if waiting and not self._are_over(waiting):
            return False
        failed = self._failed(waiting)
        self._release(failed)
        self._is_busy = False
        left = self._look({line: obj for line, obj in waiting.items() if line not in failed})
        if left and self._may_lag():
            return self._park(f"{len(left)} users do not show their policies yet", at_once=self._is_busy)
        self._release(dict.fromkeys(left, "the operation is over, and reading does not show its policies"))
        said = f"{len(waiting) - len(failed) - len(left)} of {len(users)} users have it"
        for change in self.line.changes:
            if change.state != ChangeState.PLANNED:
                self._record.outcome(change, ChangeState.PLANNED, "applied", said)
        return True

    def _are_over(self, waiting: Mapping[int, str]) -> bool:
        """Start what was not, ask how far the rest is; parks or ends the line unless everything is over."""
        for change in self.line.changes:
            self._start(change, waiting)
        if self.line.state == LineState.FAILED:
            return False
        for pause_s in (0.0, *self._runtime.limits.look_again_s):
            if pause_s:
                self._runtime.sleep(pause_s)
            over = [self._is_over(change) for change in self.line.changes if change.state in _STARTED]
            if all(over):
                break
        if all(change.state == ChangeState.VERIFIED for change in self.line.changes):
            return True
        return self._still_open(waiting)

    def _start(self, change: StoredChange, waiting: Mapping[int, str]) -> None:
        if change.state in (ChangeState.SENT, ChangeState.UNKNOWN):
            self._settle(change)
        elif change.state == ChangeState.PLANNED and self.line.state != LineState.FAILED:
            self._send(change, waiting)

    def _send(self, change: StoredChange, waiting: Mapping[int, str]) -> None:
        with self._runtime.database.read() as connection:
            under_way = policy_batches.under_way(connection)
            round_ = policy_batches.count_sent(connection, self.line, change) + 1
        if under_way >= AT_ONCE:
            return
        name = f"callwright {self.line.plan_id} {self.line.line}.{change.seq}.{round_}"
        known: dict[str, JsonValue] = {**change.change.parameters, "name": name, "round": round_, "lines": [*waiting]}
        self._record.intent(change, {"kind": KIND, **known})
        users = [obj.removeprefix("user:") for obj in waiting.values()]
        try:
            found = begin_policy_operation(self._runtime.systems, change.change, users, name)
        except Exception as error:  # noqa: BLE001 - the one place where the failure of an operation becomes an outcome
            self._judge(change, error)
        else:
            self._accepted(change, name, found, "accepted")

    def _accepted(self, change: StoredChange, name: str, operation_id: str, said: str) -> None:
        self._record.outcome(change, ChangeState.APPLIED, "applied", said, name=name, operation=operation_id)

    def _judge(self, change: StoredChange, error: Exception) -> None:
        """Turn an error into an outcome; what a lost reply left open is settled at once, or by a later visit."""
        if isinstance(error, (Busy, Throttled, Unreachable)):
            self._record.not_done(change, str(error))
            if isinstance(error, Unreachable):
                raise error
        elif isinstance(error, (Refused, Settled)):
            self._give_up(change, str(error))
        else:
            self._record.outcome(change, ChangeState.UNKNOWN, "unknown", f"{type(error).__name__}: {error}")
            self._settle(change)

    def _settle(self, change: StoredChange) -> None:
        """Look for an operation whose reply was lost by its name; absence needs the lag window and two reads."""
        name = self._sent(change).name
        found = self._batches_named(name)
        if found is not None:
            self._accepted(change, name, found.id, "found by its name")
            return
        assert change.sent_at is not None
        if self._runtime.now() >= change.sent_at + self._lag:
            self._record.absent_read(change)
        if change.absent_reads >= 2:
            self._record.not_done(change, "settled by reading: there is no operation of that name")

    def _batches_named(self, name: str) -> PolicyOperation | None:
        batches = self._runtime.systems.policy_batches
        return None if batches is None else batches.named(name)

    def _is_over(self, change: StoredChange) -> bool:
        if change.state == ChangeState.VERIFIED:
            return True
        found = self._operation(change)
        if not found.is_over:
            self._told.pop(change.seq)
            return False
        known: dict[str, JsonValue] = {"name": self._sent(change).name, "operation": found.id}
        said = f"over, {len(found.failed)} users got nothing"
        self._record.outcome(change, ChangeState.VERIFIED, "applied", said, **known)
        return True

    def _operation(self, change: StoredChange) -> PolicyOperation:
        """Read how far an operation is, once in a visit when it is over; one that nobody knows any more is over."""
        if change.seq not in self._told:
            batches, known = self._runtime.systems.policy_batches, self._sent(change).operation_id or ""
            try:
                found = None if batches is None else batches.operation(known)
            except NotFound:
                found = None
            self._told[change.seq] = found or PolicyOperation(id=known, status="Completed")
        return self._told[change.seq]

    def _sent(self, change: StoredChange) -> policy_batches.Sent:
        with self._runtime.database.read() as connection:
            return policy_batches.sent(connection, self.line, change)

    def _still_open(self, waiting: Mapping[int, str]) -> bool:
        """Wait for operations that go on; after too long their users are not kept waiting any more."""
        give_up_s = self._runtime.limits.policy_give_up_s
        for change in self.line.changes:
            is_open = change.state not in (ChangeState.PLANNED, ChangeState.VERIFIED)
            if is_open and change.sent_at and self._runtime.now() >= change.sent_at + timedelta(seconds=give_up_s):
                said = f"operation {self._sent(change).operation_id} was not over after {give_up_s / 60:.0f} minutes"
                return self._give_up(change, f"{said} ; look at it in Teams PowerShell")
        return self._park(f"Teams gives {len(waiting)} users their policies")

    def _give_up(self, change: StoredChange, reason: str) -> bool:
        """End the line as failed; its users get their policies, or the reason why not, from calls of their own."""
        return self._record.end(change, LineState.FAILED, reason, Observed())

    @property
    def _lag(self) -> timedelta:
        return self._runtime.limits.lag(KINDS[KIND])

    def _park(self, reason: str, *, at_once: bool = False) -> bool:
        if self.line.state != LineState.FAILED:
            poll = timedelta(seconds=0 if at_once else self._runtime.limits.poll_s)
            self._record.park(OPERATION, reason, not_before=self._runtime.now() + poll)
        return False

    # ---- what came of it

    def _failed(self, waiting: Mapping[int, str]) -> dict[int, str]:
        """Say for which lines an operation failed, and why."""
        told: dict[str, str] = {}
        for change in self.line.changes:
            if change.state == ChangeState.VERIFIED:
                kind = change.change.parameters["policy_type"]
                told |= {user: f"{kind} of many: {why}" for user, why in self._operation(change).failed.items()}
        users = {line: obj.removeprefix("user:").casefold() for line, obj in waiting.items()}
        return {line: told[user] for line, user in users.items() if user in told}

    def _may_lag(self) -> bool:
        """Tell whether reads may not show yet what was over a moment ago, or somebody was just worked on."""
        over_since = max(self._sent(change).at for change in self.line.changes)
        return self._is_busy or self._runtime.now() < over_since + self._lag

    def _look(self, waiting: Mapping[int, str]) -> list[int]:
        """Read many users at once and record who shows the policies; gives the lines of those who do not."""
        missing: list[int] = []
        for lines, voices in self._read(waiting):
            shown = {line.line for line in lines if all(_value(voices, e) == e.after for e in _own(line).effects)}
            missing += [line.line for line in lines if line.line not in shown]
            missing += self._recorded([line for line in lines if line.line in shown])
        return missing

    def _recorded(self, lines: Sequence[StoredLine]) -> list[int]:
        """Record policies as given under the leases of their users; gives the lines that somebody works on now."""
        runtime, holder = self._runtime, self._held[0].holder
        with runtime.database.write() as connection:
            now, ttl = runtime.now(), runtime.lease
            taken = [leases.acquire(connection, "object", line.object, holder, now=now, ttl=ttl) for line in lines]
            held = {lease.key: lease for lease in taken if lease is not None}
        try:
            with runtime.database.read() as connection:
                again = plan_store.load_lines(connection, self.line.plan_id, [line.line for line in lines])
            return [line.line for line in again if not self._is_recorded(line, held.get(line.object))]
        finally:
            with runtime.database.write() as connection:
                leases.release(connection, held.values(), now=runtime.now())

    def _is_recorded(self, line: StoredLine, lease: Lease | None) -> bool:
        """Record a user's policies as given; a line that does not wait for us any more is left alone."""
        if line.state != LineState.WAITING or line.condition != POLICY_BATCH:
            return True
        if lease is None:
            self._is_busy = True
            return False
        own = next(change for change in line.changes if change.change.kind == OWN)
        record = LineRecord(self._runtime, self._stream, [self._held[0], lease], line)
        return record.verified(own, "verified", f"given together with others ({self.line.line})")


def _own(line: StoredLine) -> Change:
    return next(change.change for change in line.changes if change.change.kind == OWN)


def _value(voices: Mapping[str, VoiceUser], effect: Effect) -> JsonValue:
    return voice_value(voices.get(effect.object.removeprefix("user:")), effect.attribute)
