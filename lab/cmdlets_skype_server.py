"""PINs, certificates, and what the server tells of itself: version, pools, hosting provider, replication."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from lab import pins, skype
from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.cmdlets_host import host_of
from lab.cmdlets_skype import MODULE, skype_error
from lab.posh_values import PsObject, SecureString, Value, to_text
from lab.records import Effect
from lab.skype_records import ONLINE
from lab.tenant import Tenant, View

_MANAGEMENT = "Microsoft.Rtc.Management."
_PIN_INFO = _MANAGEMENT + "UserPinService.PinInfoDetails"
_PRODUCTS = {"7": "Skype for Business Server 2019", "6": "Skype for Business Server 2015", "5": "Lync Server 2013"}


def _object(type_: str, **props: Value) -> PsObject:
    return PsObject(props.items(), types=(type_, "System.Object"), adapted=True)


# PINs


def set_pin(call: Call) -> Iterable[Value]:
    """Set-CsClientPin: without a PIN one is made and shown, the only time a PIN is."""
    host = host_of(call)
    tenant, identity = host.parts.tenant, call.text("Identity")
    given = call.bound.get("Pin")
    pin = given.reveal if isinstance(given, SecureString) else to_text(given)
    shown: list[Value] = []

    def act() -> list[Effect]:
        chosen = pin or pins.made(pins.shortest_for(pins.holder(tenant, identity)))
        effects = pins.set_pin(tenant, identity, chosen)
        if not pin:
            shown.append(_object(_PIN_INFO, User=identity, Pin=chosen, IsPinSet=True, IsLockedOut=False))
        return effects

    return [*host.write(call, act, [identity], tell=skype_error), *shown]


def lock_pin(call: Call) -> Iterable[Value]:
    """Lock-CsClientPin and Unlock-CsClientPin."""
    host, identity = host_of(call), call.text("Identity")
    locked = call.cmdlet.name.startswith("Lock")
    return host.write(call, lambda: pins.lock(host.parts.tenant, identity, locked=locked), [identity], tell=skype_error)


def pin_info(call: Call) -> Iterable[Value]:
    """Get-CsClientPinInfo: whether there is one, never which."""
    identity = call.text("Identity")

    def look(view: View) -> Iterable[Value]:
        state = pins.holder(view.tenant, identity).pin
        until = state.expires_at if state else None
        locked = bool(state and state.locked)
        return [
            _object(_PIN_INFO, User=identity, IsPinSet=state is not None, IsLockedOut=locked, PinExpirationTime=until)
        ]

    return host_of(call).read(call, look, [identity], tell=skype_error)


def certificates(call: Call) -> Iterable[Value]:
    """Get-CsClientCertificate."""
    identity = call.text("Identity")

    def look(view: View) -> Iterable[Value]:
        found = skype.user(view.tenant, identity).certificates
        type_ = _MANAGEMENT + "UserPinService.CertInfoDetails"
        return [_object(type_, IssuedTime=one.issued_at, ExpirationTime=one.expires_at) for one in found]

    return host_of(call).read(call, look, [identity], tell=skype_error)


def revoke(call: Call) -> Iterable[Value]:
    """Revoke-CsClientCertificate: all of them, on the server only."""
    host, identity = host_of(call), call.text("Identity")
    return host.write(call, lambda: pins.revoke(host.parts.tenant, identity), [identity], tell=skype_error)


# The server


def _read(rows: Callable[[Tenant], list[Value]]) -> Callable[[Call], Iterable[Value]]:
    return lambda call: host_of(call).read(call, lambda view: rows(view.tenant), tell=skype_error)


def _version(tenant: Tenant) -> list[Value]:
    build = tenant.settings.skype_build
    product = _PRODUCTS.get(build.partition(".")[0], _PRODUCTS["7"])
    return [f"Microsoft {product} ({build}): Volume license key installed."]


def _provider(_tenant: Tenant) -> list[Value]:
    type_ = _MANAGEMENT + "WritableConfig.Settings.Edge.DisplayHostingProvider"
    return [
        _object(
            type_,
            Identity="SkypeforBusinessOnline",
            Name="SkypeforBusinessOnline",
            ProxyFqdn=ONLINE,
            VerificationLevel="UseSourceVerification",
            Enabled=True,
            EnabledSharedAddressSpace=True,
            HostsOCSUsers=True,
            IsLocal=False,
            AutodiscoverUrl="https://webdir.online.lync.com/Autodiscover/AutodiscoverService.svc/root",
        )
    ]


def _front_ends(tenant: Tenant) -> list[str]:
    return [f"fe{number}.{tenant.domain}" for number in range(1, skype.FRONT_ENDS + 1)]


def _pools(tenant: Tenant) -> list[Value]:
    computers: list[Value] = list(_front_ends(tenant))
    type_ = _MANAGEMENT + "Xds.DisplayPool"
    return [
        _object(type_, Identity=name, Fqdn=name, Computers=computers, Site="Site:HQ", Services=[f"Registrar:{name}"])
        for name in skype.pools(tenant)
    ]


def _replication(tenant: Tenant) -> list[Value]:
    stale = {name.casefold() for name in tenant.settings.stale_replicas}
    now = tenant.clock.now()
    found: list[Value] = []
    for name in _front_ends(tenant):
        fresh = name.casefold() not in stale
        report = now if fresh else now - timedelta(days=1)
        type_ = _MANAGEMENT + "Xds.ReplicaState"
        build = tenant.settings.skype_build
        found.append(_object(type_, UpToDate=fresh, ReplicaFqdn=name, LastStatusReport=report, ProductVersion=build))
    return found


_WHO = (Parameter("Identity", position=0, sets=needed(), from_value=True, from_property=True),)
_WHO_ELSE = (Parameter("DomainController"),)

SKYPE_SERVER = (
    Cmdlet("Set-CsClientPin", set_pin, (*_WHO, Parameter("Pin", "any"), *_WHO_ELSE), module=MODULE, changes=True),
    Cmdlet("Lock-CsClientPin", lock_pin, (*_WHO, *_WHO_ELSE), module=MODULE, changes=True),
    Cmdlet("Unlock-CsClientPin", lock_pin, (*_WHO, *_WHO_ELSE), module=MODULE, changes=True),
    Cmdlet("Get-CsClientPinInfo", pin_info, (*_WHO, *_WHO_ELSE), module=MODULE),
    Cmdlet("Get-CsClientCertificate", certificates, (*_WHO, *_WHO_ELSE), module=MODULE),
    Cmdlet("Revoke-CsClientCertificate", revoke, (*_WHO, *_WHO_ELSE), module=MODULE, changes=True),
    Cmdlet("Get-CsServerVersion", _read(_version), module=MODULE),
    Cmdlet("Get-CsHostingProvider", _read(_provider), (Parameter("Identity", position=0),), module=MODULE),
    Cmdlet("Get-CsPool", _read(_pools), (Parameter("Identity", position=0),), module=MODULE),
    Cmdlet("Get-CsManagementStoreReplicationStatus", _read(_replication), module=MODULE),
)
