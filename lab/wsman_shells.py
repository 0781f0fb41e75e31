"""The shells of one endpoint: who owns them, how many there may be, and when an idle one dies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lab.clock import Clock
from lab.psrp_session import Session
from lab.settings import Settings
from lab.wsman_soap import WsmanFault, disconnected, quota_exceeded, shell_not_found

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
    connected: bool = True
    used: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.used = self.created

    def disconnect(self) -> None:
        """Let its client go; pipelines run on until their output is full."""
        self.connected = False
        self._interrupt()

    def reconnect(self) -> None:
        """Take its client, or another one, back."""
        self.connected = True
        self._interrupt()

    def _interrupt(self) -> None:
        for outbox in (self.session.outbox, *self.session.commands.values()):
            outbox.interrupt(now=not self.connected)


class Tenancy:
    """All shells of all endpoints: what the quotas count."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self.clock, self.settings = clock, settings
        self.ends: list[Shells] = []

    def close(self) -> None:
        """Close every shell."""
        for end in self.ends:
            end.close()

    def count(self) -> int:
        """Count the shells that are still alive."""
        for end in self.ends:
            end.sweep()
        return sum(len(end) for end in self.ends)


class Shells:
    """All shells of one endpoint."""

    def __init__(self, tenancy: Tenancy) -> None:
        self._tenancy = tenancy
        self._shells: dict[str, Shell] = {}
        tenancy.ends.append(self)

    def __iter__(self) -> Iterator[Shell]:
        return iter(list(self._shells.values()))

    def __len__(self) -> int:
        return len(self._shells)

    def check_quota(self, owner: str) -> None:
        """Refuse when the owner, or the tenant, has as many shells as allowed."""
        settings = self._tenancy.settings
        alive = self._tenancy.count()
        if sum(shell.owner == owner for shell in self) >= settings.shells_per_user:
            raise quota_exceeded(settings.shells_per_user)
        if alive >= settings.shells_per_tenant:
            raise quota_exceeded(settings.shells_per_tenant, "tenant")

    def add(self, shell: Shell) -> None:
        """Keep a new shell."""
        if shell.id in self._shells:
            raise WsmanFault(SHELL_IN_USE, "wsman:AlreadyExists", f"There is a shell with the id {shell.id}.")
        self._shells[shell.id] = shell

    def of(self, owner: str) -> list[Shell]:
        """Give the shells of an owner."""
        self.sweep()
        return [shell for shell in self if shell.owner == owner]

    def get(self, shell_id: str, owner: str) -> Shell:
        """Find a connected shell of this owner and note that it was used."""
        shell = self.find(shell_id, owner)
        if not shell.connected:
            raise disconnected(shell_id)
        shell.used = self._tenancy.clock.now()
        return shell

    def find(self, shell_id: str, owner: str) -> Shell:
        """Find a shell of this owner, connected or not."""
        self.sweep()
        shell = self._shells.get(shell_id)
        if shell is None or shell.owner != owner:
            raise shell_not_found(shell_id)
        return shell

    def touch(self, shell: Shell) -> None:
        """Start the idle time of a shell anew."""
        shell.used = self._tenancy.clock.now()

    def expire(self, shell: Shell) -> None:
        """Have a shell been idle for longer than it may."""
        shell.used -= timedelta(seconds=shell.idle_timeout_s + 1)

    def remove(self, shell: Shell) -> None:
        """Close a shell."""
        self._shells.pop(shell.id, None)
        shell.session.close()

    def sweep(self) -> None:
        """Close the shells nobody used for their idle time-out; a disconnected one is idle whatever it does."""
        now = self._tenancy.clock.now()
        for shell in self:
            if shell.session.is_busy and shell.connected:
                shell.used = now
            elif (now - shell.used).total_seconds() > shell.idle_timeout_s:
                self.remove(shell)

    def close(self) -> None:
        """Close every shell."""
        for shell in self:
            self.remove(shell)
