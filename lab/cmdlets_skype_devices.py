"""Common area phones and analog devices of the on-premises servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from lab import skype
from lab.cmdlets import Call, Cmdlet, Parameter, needed, words
from lab.cmdlets_filter import FilterRefused, parse_filter
from lab.cmdlets_host import host_of
from lab.cmdlets_skype import MODULE, skype_error
from lab.posh_values import PsObject, Value
from lab.records import Effect
from lab.rules import bad_request
from lab.skype_records import Device
from lab.store import diff
from lab.tenant import Tenant, View

PHONE, ANALOG = "CommonAreaPhone", "AnalogDevice"
_TEXTS = words("DisplayName DisplayNumber Description SipAddress")
_BOOLS = words("Enabled EnterpriseVoiceEnabled")
_OPERATORS = frozenset({"eq", "ne", "like", "notlike", "gt", "lt", "ge", "le", "match"})
_ANALOG = words("Gateway AnalogFax")


def _details(call: Call) -> dict[str, object]:
    found: dict[str, object] = {name: call.text(name) for name in (*_TEXTS, "Gateway") if call.has(name)}
    return found | {name: call.flag(name) for name in (*_BOOLS, "AnalogFax") if call.has(name)}


def _of(kind: str, act: Callable[[Call, Tenant, str], list[Effect]]) -> Callable[[Call], Iterable[Value]]:
    def run(call: Call) -> Iterable[Value]:
        """Carry out a change of a device; -PassThru gives it."""
        host = host_of(call)
        tenant = host.parts.tenant
        name = call.text("Identity") or call.text("LineUri")
        answer = list(host.write(call, lambda: act(call, tenant, kind), [name], tell=skype_error))
        gives = call.cmdlet.name.startswith("New") or call.flag("PassThru")
        lines = [row for row in tenant.devices.values() if row.line_uri == call.text("LineUri")]
        return [*answer, *(_shown(row) for row in lines if gives)]

    return run


def _new(call: Call, tenant: Tenant, kind: str) -> list[Effect]:
    with tenant.lock:
        line = call.text("LineUri")
        skype.check_line(tenant, line)
        details: dict[str, object] = {"Enabled": True, "EnterpriseVoiceEnabled": True, **_details(call)}
        name = str(details.get("DisplayName") or line.removeprefix("tel:"))
        distinguished = call.text("DN") or f"CN={{{name}}},{call.text('OU')}"
        if distinguished.casefold() in tenant.devices:
            raise bad_request(f'"{distinguished}" already exists.')
        digits = line.removeprefix("tel:").removeprefix("+")
        details.setdefault("SipAddress", f"sip:{digits.replace(';', '-')}@{tenant.domain}")
        made = Device(kind, distinguished, line, skype.pool(tenant, call.text("RegistrarPool")), details)
        tenant.devices[distinguished.casefold()] = made
        return [Effect(f"device:{distinguished}", "exists", before=False, after=True)]


def _set(call: Call, tenant: Tenant, kind: str) -> list[Effect]:
    with tenant.lock:
        before = skype.device(tenant, kind, call.text("Identity"))
        line = call.text("LineUri") if call.has("LineUri") else before.line_uri
        if line != before.line_uri:
            skype.check_line(tenant, line, owner=before.distinguished_name.casefold())
        after = replace(before, line_uri=line, details={**before.details, **_details(call)})
        return _stored(tenant, before, after)


def _move(call: Call, tenant: Tenant, kind: str) -> list[Effect]:
    with tenant.lock:
        before = skype.device(tenant, kind, call.text("Identity"))
        return _stored(tenant, before, replace(before, pool=skype.pool(tenant, call.text("Target"))))


def _stored(tenant: Tenant, before: Device, after: Device) -> list[Effect]:
    tenant.devices[after.distinguished_name.casefold()] = after
    pairs: dict[str, tuple[object, object]] = {"lineUri": (before.line_uri, after.line_uri)}
    pairs["pool"] = (before.pool, after.pool)
    names = {**before.details, **after.details}
    pairs |= {name: (before.details.get(name), after.details.get(name)) for name in names}
    return diff(f"device:{after.distinguished_name}", pairs)


def _remove(call: Call, tenant: Tenant, kind: str) -> list[Effect]:
    with tenant.lock:
        found = skype.device(tenant, kind, call.text("Identity"))
        del tenant.devices[found.distinguished_name.casefold()]
        return [Effect(f"device:{found.distinguished_name}", "exists", before=True, after=False)]


def _list(kind: str) -> Callable[[Call], Iterable[Value]]:
    def read(call: Call) -> Iterable[Value]:
        """Get- of a device kind."""

        def look(view: View) -> Iterable[Value]:
            if call.text("Identity"):
                return [_shown(skype.device(view.tenant, kind, call.text("Identity")))]
            unit = call.text("OU").lower()
            rows = [row for row in view.tenant.devices.values() if row.kind == kind]
            found = [_shown(row) for row in rows if row.distinguished_name.lower().endswith(unit)]
            return _filtered(call, found)[: call.number("ResultSize", len(found))]

        return host_of(call).read(call, look, [call.text("Identity")], tell=skype_error)

    return read


def _filtered(call: Call, rows: list[PsObject]) -> list[PsObject]:
    if not call.has("Filter"):
        return rows
    try:
        test = parse_filter(call.text("Filter"), _OPERATORS, lambda _name: True)
    except FilterRefused as error:
        raise bad_request(str(error)) from error
    return [row for row in rows if test(row.props.get)]


def _shown(row: Device) -> PsObject:
    props: list[tuple[str, Value]] = [
        ("Identity", row.distinguished_name),
        ("RegistrarPool", row.pool),
        ("LineURI", row.line_uri),
        *((name, row.details.get(name)) for name in (*_TEXTS, *_BOOLS)),
    ]
    if row.kind == ANALOG:
        props += [(name, row.details.get(name)) for name in _ANALOG]
    type_ = "Microsoft.Rtc.Management.ADConnect.Schema.OCSAD" + (PHONE if row.kind == PHONE else ANALOG) + "Contact"
    return PsObject(props, types=(type_, "System.Object"), adapted=True, text=row.distinguished_name)


_IDENTITY = Parameter("Identity", position=0, sets=needed(), from_value=True, from_property=True)
_LINE = Parameter("LineUri", sets=needed())
_REST = (
    *(Parameter(name) for name in _TEXTS),
    *(Parameter(name, "bool") for name in _BOOLS),
    Parameter("PassThru", "switch"),
    Parameter("DomainController"),
)


def _cmdlets(kind: str, own: tuple[Parameter, ...], new_only: tuple[Parameter, ...]) -> tuple[Cmdlet, ...]:
    places = (Parameter("OU", sets=needed("OU")), Parameter("DN", sets=needed("DN")))
    pool = Parameter("RegistrarPool", sets=needed())
    search = (
        Parameter("Identity", position=0, from_value=True),
        *(Parameter(n) for n in words("Filter LdapFilter OU")),
    )
    target = Parameter("Target", position=1, sets=needed())
    return (
        Cmdlet(f"New-Cs{kind}", _of(kind, _new), (_LINE, pool, *places, *new_only, *_REST), "OU", MODULE, changes=True),
        Cmdlet(
            f"Set-Cs{kind}",
            _of(kind, _set),
            (_IDENTITY, Parameter("LineUri"), *own, *_REST),
            module=MODULE,
            changes=True,
        ),
        Cmdlet(f"Get-Cs{kind}", _list(kind), (*search, Parameter("ResultSize", "int")), module=MODULE),
        Cmdlet(f"Remove-Cs{kind}", _of(kind, _remove), (_IDENTITY,), module=MODULE, changes=True),
        Cmdlet(f"Move-Cs{kind}", _of(kind, _move), (_IDENTITY, target), module=MODULE, changes=True),
    )


SKYPE_DEVICES = (
    *_cmdlets(PHONE, (), ()),
    *_cmdlets(
        ANALOG,
        (Parameter("Gateway"), Parameter("AnalogFax", "bool")),
        (Parameter("Gateway", sets=needed()), Parameter("AnalogFax", "bool", sets=needed())),
    ),
)
