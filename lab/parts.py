"""What every protocol end of the stand-in tenant is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.calls import CallLog
from lab.clock import Clock
from lab.faults import Faults
from lab.settings import Settings
from lab.tenant import Tenant
from lab.tokens import Tokens


@dataclass(frozen=True, slots=True)
class LabParts:
    """The shared parts; `username` and `password` are those of the WSMan end, `operators` its further accounts."""

    tenant: Tenant
    faults: Faults
    calls: CallLog
    clock: Clock
    settings: Settings
    tokens: Tokens
    username: str
    password: str
    operators: Mapping[str, str] = field(default_factory=dict)

    @property
    def accounts(self) -> dict[str, str]:
        """Give the password of everybody who may open a shell."""
        return {self.username: self.password, **self.operators}
