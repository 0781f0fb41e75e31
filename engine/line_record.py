"""The records of one line's work: every step of a line becomes journal entries and states in one transaction each.

Deciding is left to `engine/line.py`. Each transaction proves that the leases are still held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlalchemy import Connection

from engine import claims, leases, plan_store
from engine.journal import Appender, Entry, Result, Stream
from engine.leases import Lease
from engine.plan import ChangeState, LineState
from engine.plan_store import StoredChange, StoredLine
from engine.readers import Observed
from engine.runtime import Runtime


class LineRecord:
    """Writes down what happens to a line; the boolean that steps return says whether the line goes on."""

    def __init__(self, runtime: Runtime, stream: Stream, held: list[Lease], line: StoredLine) -> None:
        self._runtime, self._stream, self._held, self.line = runtime, stream, held, line
        self.on_end: Callable[[Connection], object] = lambda _connection: None  # in the transaction that ends the line

    @contextmanager
    def _transaction(self) -> Iterator[Appender]:
        with self._stream.transaction(self._runtime.database) as appender:
            self._renew(appender.connection)
            yield appender

    @contextmanager
    def _held_write(self) -> Iterator[Connection]:
        """Open a transaction that journals nothing; what another process has made of the line meanwhile stays."""
        with self._runtime.database.write() as connection:
            self._renew(connection)
            yield connection

    def _renew(self, connection: Connection) -> None:
        leases.renew(connection, self._held, now=self._runtime.now(), ttl=self._runtime.lease)

    def to_do(self) -> list[StoredChange]:
        """List the changes that have not been sent, or are known not to have happened."""
        return [change for change in self.line.changes if change.state == ChangeState.PLANNED]

    def intent(self, change: StoredChange, payload: JsonValue = None) -> None:
        """Commit the intent under valid leases; from here on the change is in doubt until its outcome.

        The payload says what is sent: the change as it was planned, unless something else is given.
        """
        with self._transaction() as appender:
            change.state, change.sent_at, change.absent_reads = ChangeState.SENT, self._runtime.now(), 0
            self._append(appender, change, "", payload or change.change.model_dump(mode="json"))
            plan_store.set_change(appender.connection, self.line, change)

    def _append(self, appender: Appender, change: StoredChange, result: Result, payload: JsonValue) -> None:
        is_done = result in ("verified", "already")
        appender.append(
            Entry(
                at=self._runtime.now(),
                line=self.line.line,
                change=change.seq,
                target=change.change.target,
                phase="outcome" if result else "intent",
                result=result,
                payload=payload,
                effects=change.change.effects if is_done else (),
            )
        )

    def outcome(
        self, change: StoredChange, state: ChangeState, result: Result, message: str, **known: JsonValue
    ) -> None:
        """Commit an outcome that neither ends nor advances the line; what else is known of it is kept with it."""
        with self._transaction() as appender:
            change.state = state
            self._append(appender, change, result, {"message": message, **known})
            plan_store.set_change(appender.connection, self.line, change)

    def absent_read(self, change: StoredChange) -> None:
        """Count a read after the lag window that showed no effect."""
        change.absent_reads += 1
        with self._held_write() as connection:
            plan_store.set_change(connection, self.line, change)

    def not_done(self, change: StoredChange, message: str) -> None:
        """Record that the call surely did not happen; it may be sent again."""
        self.line.reason = message
        self.outcome(change, ChangeState.PLANNED, "not_done", message)

    def verified(self, change: StoredChange, result: Result, message: str) -> bool:
        """Record success; the last change takes the line with it, and the inventory in the same transaction."""
        with self._transaction() as appender:
            change.state = ChangeState.VERIFIED
            self._append(appender, change, result, {"message": message})
            plan_store.set_change(appender.connection, self.line, change)
            claims.settle_done(appender.connection, change.change, self.line.plan_id, self._runtime.now())
            if all(each.state == ChangeState.VERIFIED for each in self.line.changes):
                self._set(LineState.VERIFIED, "")
                plan_store.set_line(appender.connection, self.line)
                self.on_end(appender.connection)
        return True

    def end(self, change: StoredChange, state: LineState, message: str, observed: Observed) -> bool:
        """Record that the line stops here; claims of what was not done go back in the same transaction."""
        with self._transaction() as appender:
            left = [each for each in self.to_do() if each is not change]
            change.state = ChangeState.FAILED
            self._append(appender, change, "refused" if state == LineState.REFUSED else "failed", {"message": message})
            plan_store.set_change(appender.connection, self.line, change)
            for each in (change, *left):
                seen = observed if each is change else Observed()
                claims.settle_undone(appender.connection, each.change, self.line.plan_id, self._runtime.now(), seen)
            self._set(state, message)
            plan_store.set_line(appender.connection, self.line)
            self.on_end(appender.connection)
        return False

    def doubt(self, reason: str, after: timedelta | None = None) -> bool:
        """Leave the line as unknown until a later look."""
        poll = timedelta(seconds=self._runtime.limits.poll_s)
        self._set(LineState.UNKNOWN, reason)
        self.line.not_before = self._runtime.now() + (poll if after is None else min(poll, after))
        self._save_line()
        return False

    def superseded(self, reason: str) -> None:
        """End a line of which nothing was sent: others do what it was for."""
        self._set(LineState.SUPERSEDED, reason)
        with self._held_write() as connection:
            plan_store.set_line(connection, self.line)
            self.on_end(connection)

    def park(self, condition: str, reason: str, not_before: datetime | None = None) -> None:
        """Leave the line until a later visit, without a time at which it is given up."""
        self._set(LineState.WAITING, reason)
        self.line.condition, self.line.not_before = condition, not_before
        self._save_line()

    def park_while(self, holds: Callable[[Connection], bool], condition: str, reason: str, until: datetime) -> bool:
        """Leave the line until a moment if something holds as it is left; tells whether it does."""
        with self._held_write() as connection:
            if not holds(connection):
                return False
            self._set(LineState.WAITING, reason)
            self.line.condition, self.line.not_before, self.line.give_up_at = condition, until, until
            plan_store.set_line(connection, self.line)
        return True

    def wait(self, condition: str, reason: str, give_up_s: float, *, remedy: str = "", at_once: bool = False) -> bool:
        """Park the line; a line that waited for too long fails with what to do about it."""
        now = self._runtime.now()
        if self.line.condition != condition or self.line.give_up_at is None:
            self.line.give_up_at = now + timedelta(seconds=give_up_s)
        give_up_at = self.line.give_up_at
        if now >= give_up_at and self.to_do():
            message = f"gave up waiting: {reason}" + (f" ; {remedy}" if remedy else "")
            return self.end(self.to_do()[0], LineState.FAILED, message, Observed())
        self._set(LineState.WAITING, reason)
        self.line.condition, self.line.give_up_at = condition, give_up_at
        self.line.not_before = now if at_once else min(give_up_at, now + timedelta(seconds=self._runtime.limits.poll_s))
        self._save_line()
        return False

    def _set(self, state: LineState, reason: str) -> None:
        self.line.state, self.line.reason = state, reason
        self.line.condition = self.line.not_before = self.line.give_up_at = None

    def _save_line(self) -> None:
        with self._held_write() as connection:
            plan_store.set_line(connection, self.line)
