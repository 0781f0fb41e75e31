"""The shells of one endpoint: who owns them, how many there may be, and when an idle one dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from lab.clock import Clock
from lab.psrp_session import Session
from lab.wsman_soap import WsmanFault, quota_exceeded, shell_not_found

IDLE_TIMEOUT_S = 7200.0
SHELL_IN_USE = 2150858852


@dataclass
class Shell:
    """A shell with its runspace pool."""

    id: str
    owner: str
    resource: str
    session: Session
    created: datetime
    idle_timeout_s: float = IDLE_TIMEOUT_S
    client_ip: str = ""
    used: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.used = self.created


class Shells:
    """All shells of one endpoint."""

    def __init__(self, clock: Clock, limit: Callable[[], int]) -> None:
        self._clock, self._limit = clock, limit
        self._shells: dict[str, Shell] = {}

    def __iter__(self) -> Iterator[Shell]:
        return iter(list(self._shells.values()))

    def check_quota(self, owner: str) -> None:
        """Refuse when the owner has as many shells as allowed."""
        self.sweep()
        if sum(shell.owner == owner for shell in self) >= self._limit():
            raise quota_exceeded(self._limit())

    def add(self, shell: Shell) -> None:
        """Keep a new shell."""
        if shell.id in self._shells:
            raise WsmanFault(SHELL_IN_USE, "wsman:AlreadyExists", f"There is a shell with the id {shell.id}.")
        self._shells[shell.id] = shell

    def get(self, shell_id: str, owner: str) -> Shell:
        """Find a shell of this owner and note that it was used."""
        self.sweep()
        shell = self._shells.get(shell_id)
        if shell is None or shell.owner != owner:
            raise shell_not_found(shell_id)
        shell.used = self._clock.now()
        return shell

    def remove(self, shell: Shell) -> None:
        """Close a shell."""
        self._shells.pop(shell.id, None)
        shell.session.close()

    def sweep(self) -> None:
        """Close the shells nobody used for their idle time-out."""
        now = self._clock.now()
        for shell in self:
            if shell.session.is_busy:
                shell.used = now
            elif (now - shell.used).total_seconds() > shell.idle_timeout_s:
                self.remove(shell)

    def close(self) -> None:
        """Close every shell."""
        for shell in self:
            self.remove(shell)
