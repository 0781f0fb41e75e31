"""Reads what only Skype for Business Server lists, for a snapshot: pools, policies, users, ranges, orbits, devices."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.bags import text_of, text_or_none, value_of
from connectors.clixml import Bag
from connectors.errors import Unsupported
from connectors.powershell import PowerShell
from connectors.skype import build_in
from datasets.skype_snapshot import (
    POLICY_TYPES,
    USER_POLICY_TYPES,
    DeviceKind,
    OrbitRange,
    SkypeDevice,
    SkypePolicy,
    SkypePool,
    SkypeUser,
    UnassignedRange,
)
from datasets.snapshot_line import SnapshotLine

_DEADLINE_S = 3600.0
_GLOBAL = "Global"
_DEVICES: tuple[DeviceKind, ...] = ("CommonAreaPhone", "AnalogDevice")


class SkypeListing:
    """Everything that the servers list, as lines of a snapshot; nothing where the host has no module for them."""

    def __init__(self, shell: PowerShell) -> None:
        self._shell = shell

    def lines(self) -> Iterator[SnapshotLine]:
        """Read it all, in the order of the schema."""
        yield from self._pools()
        for policy_type in POLICY_TYPES:
            yield from self._policies(policy_type)
        yield from map(_orbits, self._rows("Get-CsCallParkOrbit"))
        memberships = self._rows("Get-CsGroupPickupUserOrbit")
        at_orbit = {text_of(row, "User"): text_or_none(row, "Orbit") for row in memberships}
        yield from (_user(row, at_orbit) for row in self._rows("Get-CsUser"))
        yield from map(_range, self._rows("Get-CsUnassignedNumber"))
        for kind in _DEVICES:
            yield from (_device(kind, row) for row in self._rows(f"Get-Cs{kind}"))

    def _rows(self, cmdlet: str) -> Iterator[Bag]:
        """Read the rows of a cmdlet; none when the host does not know it."""
        try:
            yield from self._shell.stream(cmdlet, {}, deadline_s=_DEADLINE_S)
        except Unsupported:
            return

    def _pools(self) -> Iterator[SkypePool]:
        build = build_in(self._rows("Get-CsServerVersion"))
        for row in self._rows("Get-CsPool"):
            services = value_of(row, "Services")
            names = services if isinstance(services, list) else [services]
            if any(str(name).startswith("Registrar:") for name in names):
                yield SkypePool(fqdn=text_of(row, "Fqdn"), build=build)

    def _policies(self, policy_type: str) -> Iterator[SkypePolicy]:
        for row in self._rows(f"Get-Cs{policy_type}"):
            name = _bare(text_of(row, "Identity"))
            if name != _GLOBAL:
                yield SkypePolicy(policy_type=policy_type, name=name)


def _bare(name: str) -> str:
    return name.partition(":")[2] if name.casefold().startswith("tag:") else name


def _user(row: Bag, at_orbit: dict[str, str | None]) -> SkypeUser:
    address = text_of(row, "SipAddress")
    return SkypeUser(
        sam_account_name=text_of(row, "SamAccountName"),
        sip_address=address,
        pool=text_or_none(row, "RegistrarPool"),
        hosting_provider=text_or_none(row, "HostingProvider"),
        is_enabled=value_of(row, "Enabled") is True,
        has_enterprise_voice=value_of(row, "EnterpriseVoiceEnabled") is True,
        policies={kind: _bare(name) for kind in USER_POLICY_TYPES if (name := text_or_none(row, kind))},
        pickup_orbit=at_orbit.get(address),
    )


def _range(row: Bag) -> UnassignedRange:
    priority = value_of(row, "Priority")
    return UnassignedRange(
        name=text_of(row, "Identity"),
        first=text_of(row, "NumberRangeStart"),
        last=text_of(row, "NumberRangeEnd"),
        announcement_service=text_or_none(row, "AnnouncementService"),
        announcement_name=text_or_none(row, "AnnouncementName"),
        auto_attendant=text_or_none(row, "ExUmAutoAttendantPhoneNumber"),
        priority=priority if isinstance(priority, int) else None,
    )


def _orbits(row: Bag) -> OrbitRange:
    return OrbitRange(
        name=text_of(row, "Identity"),
        first=text_of(row, "NumberRangeStart"),
        last=text_of(row, "NumberRangeEnd"),
        service=text_or_none(row, "CallParkService"),
        orbit_type=text_or_none(row, "Type"),
    )


def _device(kind: DeviceKind, row: Bag) -> SkypeDevice:
    return SkypeDevice(
        device_kind=kind,
        distinguished_name=text_of(row, "Identity"),
        line_uri=text_of(row, "LineURI"),
        pool=text_of(row, "RegistrarPool"),
        display_name=text_or_none(row, "DisplayName"),
        display_number=text_or_none(row, "DisplayNumber"),
        description=text_or_none(row, "Description"),
        sip_address=text_or_none(row, "SipAddress"),
        is_enabled=value_of(row, "Enabled") is not False,
        has_enterprise_voice=value_of(row, "EnterpriseVoiceEnabled") is not False,
        gateway=text_or_none(row, "Gateway"),
        is_fax=value_of(row, "AnalogFax") is True,
    )
