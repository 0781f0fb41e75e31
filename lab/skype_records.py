"""The things of the on-premises servers as frozen values: users, their PINs, devices and groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

ON_PREMISES, ONLINE = "SRV:", "sipfed.online.lync.com"


@dataclass(frozen=True, slots=True)
class PinState:
    """What the server remembers of a PIN; the PIN itself is never kept."""

    expires_at: datetime
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate of a user."""

    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SkypeUser:
    """A user of the on-premises servers, also after a move to the cloud; the line is in Active Directory."""

    sam: str
    sip_address: str
    pool: str | None
    provider: str = ON_PREMISES
    enterprise_voice: bool = False
    enabled: bool = True
    policies: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, object] = field(default_factory=dict)  # HostedVoiceMail, PrivateLine and the like
    pin: PinState | None = None
    certificates: tuple[Certificate, ...] = ()
    orbit: str | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A common area phone or an analog device: a contact object with a line."""

    kind: str
    distinguished_name: str
    line_uri: str
    pool: str
    details: Mapping[str, object] = field(default_factory=dict)
    pin: PinState | None = None

    @property
    def sip_address(self) -> str:
        """Give the SIP address of the phone."""
        return str(self.details.get("SipAddress") or "")


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Call forwarding of an on-premises user."""

    forwarding: str = ""
    ringing: str = ""
    unanswered: str = "Voicemail"
    unanswered_wait_s: int = 20
    delegate_wait_s: int = 0
    work_hours_only: bool = False
    delegates: tuple[str, ...] = ()
    team: tuple[str, ...] = ()
