"""When a PowerShell pipeline is repeated, and what its failure means to the caller.

A connect and a read are repeated once with a new session, a write never: once it may have been sent it is Ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from connectors.errors import Ambiguous, Busy, ConnectorError, Refused, Throttled, Unreachable
from connectors.shell_errors import SYSTEM, NoPlace, classify, micro_delay_s, sign_in_ended
from connectors.shell_sessions import (
    Call,
    PipelineCancelledError,
    PipelineFailedError,
    PipelineLateError,
    Session,
    SessionLostError,
    Sessions,
)
from connectors.throttle import Clock, Hold


class Calls:
    """Pipelines over borrowed sessions; safe to share between threads."""

    def __init__(self, sessions: Sessions, address: str, *, clock: Clock, hold: Hold) -> None:
        self._sessions, self._address, self._clock, self._hold = sessions, address, clock, hold

    def objects(self, call: Call, deadline_s: float, *, writes: bool) -> Iterator[JsonValue]:
        """Run a pipeline and give its objects as they come. Raises errors of the connectors only."""
        deadline = self._clock.now() + deadline_s
        ended = is_last_try = False
        while not ended:
            self._hold.wait(max(0.0, deadline - self._clock.now()))
            delivered = has_session = False
            try:
                with self._sessions.borrowed(deadline) as session:
                    self._hold.last_look(max(0.0, deadline - self._clock.now()))  # waiting for a session took time
                    has_session = True
                    for value in session.stream(call, deadline):
                        delivered = True
                        yield value
                    self._heed(session)
                ended = True
            except Throttled as asked:
                self._heed_refusal(asked, deadline, has_session=has_session)
            except SessionLostError as lost:
                if delivered or is_last_try or (writes and lost.sent):
                    raise self._lost(call, lost, writes=writes) from lost
                is_last_try = True
            except (PipelineLateError, PipelineCancelledError) as stopped:
                is_late = isinstance(stopped, PipelineLateError)
                why = f"no end within {deadline_s:.0f} s, so it was stopped" if is_late else "it was cancelled"
                raise self._stopped(call, why, writes=writes) from stopped
            except PipelineFailedError as failed:
                if delivered or is_last_try or not self._may_sign_in_again(failed):
                    raise self._failed(call, failed, writes=writes, delivered=delivered) from failed
                is_last_try = True

    def _may_sign_in_again(self, failed: PipelineFailedError) -> bool:
        return self._sessions.prepare is not None and sign_in_ended(failed.failure)

    def _heed(self, session: Session) -> None:
        """Slow down by as much as the service says it slowed us down, or it escalates to refusals."""
        delay_s = sum(micro_delay_s(warning) for warning in session.warnings())
        if delay_s > 0:
            self._hold.hold(delay_s)

    def _heed_refusal(self, asked: Throttled, deadline: float, *, has_session: bool) -> None:
        """Let the command go out after the pause: it was not accepted. Raises it when that is too late."""
        if has_session:
            self._hold.hold(asked.retry_after_s)
        elif isinstance(asked, NoPlace) or self._clock.now() + asked.retry_after_s > deadline:
            raise asked  # waiting for a session took too long

    def _lost(self, call: Call, lost: SessionLostError, *, writes: bool) -> ConnectorError:
        if writes and lost.sent:
            return Ambiguous(f"{call.name}: {lost} ; it is settled by reading", system=SYSTEM, what=call.name)
        where = self._address
        return Unreachable(f"{call.name}: {lost} ; check that {where} can be reached", system=SYSTEM, what=call.name)

    def _stopped(self, call: Call, why: str, *, writes: bool) -> ConnectorError:
        message = f"{call.name}: {why}"
        return _ambiguous(call, message) if writes else Busy(f"{message} ; it is tried again", system=SYSTEM)

    def _failed(self, call: Call, failed: PipelineFailedError, *, writes: bool, delivered: bool) -> ConnectorError:
        error = classify(failed.failure, attempt=call.name, writes=writes)
        # A script that ends early has done some of its rows, unless it was refused before it began.
        if writes and call.script is not None and (delivered or not isinstance(error, Refused)):
            return _ambiguous(call, str(error))
        return error


def _ambiguous(call: Call, message: str) -> Ambiguous:
    return Ambiguous(f"{message} ; it is settled by reading", system=SYSTEM, what=call.name)
