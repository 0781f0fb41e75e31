"""What every protocol end of the stand-in tenant is given."""

from __future__ import annotations

from dataclasses import dataclass

from lab.calls import CallLog
from lab.clock import Clock
from lab.faults import Faults
from lab.settings import Settings
from lab.tenant import Tenant
from lab.tokens import Tokens


@dataclass(frozen=True, slots=True)
class LabParts:
    """The shared parts; `username` and `password` are those of the WSMan end."""

    tenant: Tenant
    faults: Faults
    calls: CallLog
    clock: Clock
    settings: Settings
    tokens: Tokens
    username: str
    password: str
