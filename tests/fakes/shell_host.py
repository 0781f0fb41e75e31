"""A PowerShell host for tests: it answers pipelines from a list and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue, SecretStr

from connectors.powershell import PowerShell
from connectors.shell_endpoint import Endpoint
from connectors.shell_places import Quota
from connectors.shell_sessions import Call, PipelineCancelledError
from connectors.throttle import Pause
from tests.fakes.set_clock import SetClock

ENDPOINT = Endpoint("host.example", auth="basic", username="svc", password=SecretStr("p4ss"))
CMDLETS_ONLY = Endpoint("host.example", username="svc", allows_scripts=False)


@dataclass
class Answer:
    """What one pipeline gives: objects, then perhaps an error; `breaks` spoils the session."""

    objects: Sequence[JsonValue] = ()
    error: Exception | None = None
    warnings: Sequence[str] = ()
    breaks: bool = False


@dataclass
class FakeHost:
    """Opens sessions and answers their pipelines in order; without a prepared answer a pipeline gives nothing."""

    answers: list[Answer] = field(default_factory=list)
    opening: list[Exception] = field(default_factory=list)
    time: SetClock = field(default_factory=SetClock)
    calls: list[tuple[int, Call]] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)
    alive: bool = True

    def open(self, _deadline: float) -> FakeSession:
        """Open a session, or fail as prepared."""
        if self.opening:
            raise self.opening.pop(0)
        self.sessions.append(FakeSession(self, len(self.sessions)))
        return self.sessions[-1]

    def shell(
        self,
        *,
        sessions: int = 3,
        endpoint: Endpoint = ENDPOINT,
        quota: Quota | None = None,
        pause: Pause | None = None,
    ) -> PowerShell:
        """Give the connector over this host."""
        clock = self.time.clock
        return PowerShell(
            endpoint,
            sessions=sessions,
            clock=clock,
            hold=pause or Pause(clock),
            open_session=self.open,
            idle_s=30,
            quota=quota,
        )

    def sent(self, index: int = -1) -> Call:
        """Give one pipeline that was asked for."""
        return self.calls[index][1]


class FakeSession:
    """One session of the fake host."""

    def __init__(self, host: FakeHost, number: int) -> None:
        self.host, self.number = host, number
        self.broken = self.closed = self.cancelled = False
        self._answer = Answer()

    def stream(self, call: Call, deadline: float) -> Iterator[JsonValue]:
        """Answer as prepared."""
        self.host.calls.append((self.number, call))
        self._answer = self.host.answers.pop(0) if self.host.answers else Answer()
        self.cancelled = False
        for value in self._answer.objects:
            yield value
            if self.cancelled:
                raise PipelineCancelledError
        if self._answer.error is not None:
            self.broken = self._answer.breaks
            raise self._answer.error

    def warnings(self) -> list[str]:
        """Give the prepared warnings."""
        return list(self._answer.warnings)

    def cancel(self) -> None:
        """Remember that it was cancelled; the next value is the last."""
        self.cancelled = True

    def is_alive(self) -> bool:
        """Say what the host was told to say."""
        return self.host.alive

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
