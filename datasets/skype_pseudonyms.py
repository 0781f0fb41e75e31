"""Pseudonyms for the lines of a snapshot that only Skype for Business Server knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from datasets.skype_snapshot import OrbitRange, SkypeDevice, SkypePolicy, SkypePool, SkypeUser, UnassignedRange
from datasets.snapshot_line import SnapshotLine

L = TypeVar("L", bound=SnapshotLine)


class Names(Protocol):
    """What replaces values of each kind."""

    def account_name(self, text: str) -> str:
        """Replace an account name."""

    def address(self, text: str) -> str:
        """Replace a SIP address."""

    def number(self, text: str) -> str:
        """Move the numbers in a text."""

    def word(self, kind: str, text: str) -> str:
        """Replace a name by a word that says what it was."""

    def policy(self, name: str) -> str:
        """Replace the name of a policy."""

    def host(self, name: str) -> str:
        """Replace the name of a server."""


def replaced(line: L, **replace: Callable[[str], str]) -> L:
    """Give the line with some texts replaced; what is absent stays absent."""
    present = {name: make(value) for name, make in replace.items() if (value := getattr(line, name))}
    return line.model_copy(update=present)


def _of_pool(names: Names, line: SkypePool) -> SkypePool:
    return replaced(line, fqdn=names.host)


def _of_policy(names: Names, line: SkypePolicy) -> SkypePolicy:
    return replaced(line, name=names.policy)


def _of_user(names: Names, line: SkypeUser) -> SkypeUser:
    policies = {kind: names.policy(name) for kind, name in line.policies.items()}
    plain = line.model_copy(update={"policies": policies})
    return replaced(plain, sam_account_name=names.account_name, sip_address=names.address, pool=names.host)


def _of_range(names: Names, line: UnassignedRange) -> UnassignedRange:
    """Move both ends; a range over several blocks of numbers may come out with another size, never backwards."""
    first, last = sorted((names.number(line.first), names.number(line.last)), key=lambda text: (len(text), text))
    return replaced(
        line.model_copy(update={"first": first, "last": last}),
        name=lambda text: names.word("Range", text),
        announcement_service=lambda text: _service(names, text),
        announcement_name=lambda text: names.word("Announcement", text),
        auto_attendant=names.number,
    )


def _of_orbits(names: Names, line: OrbitRange) -> OrbitRange:
    return replaced(line, name=lambda text: names.word("Orbits", text), service=lambda text: _service(names, text))


def _of_device(names: Names, line: SkypeDevice) -> SkypeDevice:
    return replaced(
        line.model_copy(update={"description": None}),
        distinguished_name=lambda text: f"CN={names.word('Device', text)},OU=Devices,DC=example",
        line_uri=names.number,
        pool=names.host,
        display_name=lambda text: names.word("Device", text),
        display_number=names.number,
        sip_address=names.address,
        gateway=names.host,
    )


def _service(names: Names, text: str) -> str:
    """Replace the host in the name of a service, such as `ApplicationServer:pool1.contoso.com`."""
    kind, _, host = text.rpartition(":")
    return f"{kind}:{names.host(host)}"


SKYPE: Mapping[type[SnapshotLine], Callable[[Any, Any], SnapshotLine]] = {
    SkypePool: _of_pool,
    SkypePolicy: _of_policy,
    SkypeUser: _of_user,
    UnassignedRange: _of_range,
    OrbitRange: _of_orbits,
    SkypeDevice: _of_device,
}
