"""Response groups of the on-premises servers: agent groups, queues and workflows, edited as instances in one script."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lab import objects, skype
from lab.cmdlets import Call, Cmdlet, Parameter, needed, words
from lab.cmdlets_host import host_of
from lab.cmdlets_skype import MODULE, skype_error
from lab.locations import new_id
from lab.posh_collections import Collection
from lab.posh_compare import wildcard
from lab.posh_values import PsObject, Value, as_list, to_text
from lab.records import ConfigObject, Effect, Json
from lab.rules import bad_request, not_found
from lab.tenant import Tenant, View

AGENTS, QUEUE, WORKFLOW = "RgsAgentGroup", "RgsQueue", "RgsWorkflow"
_TYPES = "Microsoft.Rtc.Rgs.Management.WritableSettings."
_KINDS: dict[str, dict[str, Json]] = {
    AGENTS: {
        "Description": "",
        "ParticipationPolicy": "Informal",
        "AgentAlertTime": 20,
        "RoutingMethod": "Parallel",
        "DistributionGroupAddress": "",
        "AgentsByUri": (),
    },
    QUEUE: {
        "Description": "",
        "AgentGroupIDList": (),
        "OverflowThreshold": None,
        "OverflowCandidate": "NewestCall",
        "OverflowAction": "",
        "TimeoutThreshold": None,
        "TimeoutAction": "",
    },
    WORKFLOW: {"Description": "", "PrimaryUri": "", "Active": True, "LineUri": "", "DefaultAction": ""},
}
_NUMBERS = {"AgentAlertTime": (10, 600), "OverflowThreshold": (0, 1000), "TimeoutThreshold": (10, 65535)}
_LISTS = frozenset({"AgentsByUri", "AgentGroupIDList"})
_CHOICES = {
    "ParticipationPolicy": ("Informal", "Formal"),
    "RoutingMethod": ("LongestIdle", "RoundRobin", "Serial", "Parallel", "Attendant"),
    "OverflowCandidate": ("NewestCall", "OldestCall"),
}


def service(tenant: Tenant) -> str:
    """Give the identity of the one response group service."""
    return f"service:ApplicationServer:{skype.pools(tenant)[0]}"


def _new(kind: str) -> Callable[[Call], Iterable[Value]]:
    def run(call: Call) -> Iterable[Value]:
        """New-CsRgs…: gives the instance."""
        host = host_of(call)
        tenant, made = host.parts.tenant, list[Value]()

        def act() -> list[Effect]:
            with tenant.lock:
                if call.text("Parent").lower() != service(tenant).lower():
                    raise not_found(f'Cannot find service "{call.text("Parent")}".')
                if _by_name(tenant, kind, call.text("Name")):
                    raise bad_request(f'"{call.text("Name")}" already exists.')
                details = {**_KINDS[kind], **_given(kind, call), "Name": call.text("Name")}
                _check(tenant, details)
                identity = f"{service(tenant)}/{new_id()}"
                effects = objects.store(tenant, kind, identity, details)
                made.append(_shown(objects.get(tenant, kind, identity)))
                return effects

        return [*host.write(call, act, [call.text("Name")], tell=skype_error), *made]

    return run


def _set(kind: str) -> Callable[[Call], Iterable[Value]]:
    def run(call: Call) -> Iterable[Value]:
        """Set-CsRgs… -Instance: the whole object as it was changed, over whatever is there."""
        host = host_of(call)
        tenant, instance = host.parts.tenant, call.bound.get("Instance")

        def act() -> list[Effect]:
            with tenant.lock:
                if not _is_live(instance, kind):
                    raise bad_request(f"Cannot convert the instance to {kind}: get it and set it in one script.")
                assert isinstance(instance, PsObject)
                identity = to_text(instance.props.get("Identity"))
                objects.get(tenant, kind, identity)
                details = {name: _json(name, instance.props.get(name)) for name in ("Name", *_KINDS[kind])}
                _check(tenant, details)
                return objects.store(tenant, kind, identity, details)

        name = to_text(instance.props.get("Name")) if isinstance(instance, PsObject) else ""
        return host.write(call, act, [name], tell=skype_error)

    return run


def _is_live(instance: Value, kind: str) -> bool:
    """Tell whether a value is an object of this runspace and not a bag that came over the wire."""
    return isinstance(instance, PsObject) and instance.adapted and instance.types[:1] == (_TYPES + kind[3:],)


def _get(kind: str) -> Callable[[Call], Iterable[Value]]:
    def run(call: Call) -> Iterable[Value]:
        """Get-CsRgs…: by identity of the service or of the object, by name, or all."""

        def look(view: View) -> Iterable[Value]:
            identity = call.text("Identity").lower()
            pattern = wildcard(call.text("Name") or "*")
            rows = [row for row in objects.every(view.tenant, kind) if row.name.lower().startswith(identity)]
            if identity and not rows and identity != service(view.tenant).lower():
                raise skype.missing(call.text("Identity"))
            return [_shown(row) for row in rows if pattern.match(str(row.details.get("Name")))]

        return host_of(call).read(call, look, [call.text("Identity") or call.text("Name")], tell=skype_error)

    return run


def _remove(kind: str) -> Callable[[Call], Iterable[Value]]:
    def run(call: Call) -> Iterable[Value]:
        """Remove-CsRgs… -Instance; a group that a queue uses stays."""
        host = host_of(call)
        tenant, instance = host.parts.tenant, call.bound.get("Instance")
        identity = to_text(instance.props.get("Identity")) if isinstance(instance, PsObject) else ""

        def act() -> list[Effect]:
            with tenant.lock:
                for row in objects.every(tenant, QUEUE) if kind == AGENTS else ():
                    if identity.lower() in map(str.lower, objects.names(row.details, "AgentGroupIDList")):
                        raise bad_request(f'"{identity}" is used by queue "{row.details.get("Name")}".')
                return objects.drop(tenant, kind, identity)

        return host.write(call, act, [identity], tell=skype_error)

    return run


def _by_name(tenant: Tenant, kind: str, name: str) -> ConfigObject | None:
    rows = objects.every(tenant, kind)
    return next((row for row in rows if str(row.details.get("Name")).casefold() == name.casefold()), None)


def _given(kind: str, call: Call) -> dict[str, Json]:
    return {name: _json(name, call.bound.get(name)) for name in _KINDS[kind] if call.has(name)}


def _json(name: str, value: Value) -> Json:
    if name in _LISTS:
        return list(dict.fromkeys(to_text(item) for item in as_list(value)))
    return value if value is None or isinstance(value, bool | int) else to_text(value)


def _check(tenant: Tenant, details: dict[str, Json]) -> None:
    for name, (least, most) in _NUMBERS.items():
        value = details.get(name)
        if isinstance(value, int) and not least <= value <= most:
            raise bad_request(f"{name} must be between {least} and {most}.")
    for address in objects.names(details, "AgentsByUri"):
        if address.casefold().removeprefix("sip:") not in tenant.skype_by_sip:
            raise not_found(f'Agent "{address}" is not enabled for Skype for Business Server.')
    if objects.names(details, "AgentsByUri") and details.get("DistributionGroupAddress"):
        raise bad_request("AgentsByUri and DistributionGroupAddress are mutually exclusive.")
    for group in objects.names(details, "AgentGroupIDList"):
        objects.get(tenant, AGENTS, group)


def _shown(row: ConfigObject) -> PsObject:
    props: list[tuple[str, Value]] = [("Identity", row.name), ("Name", row.details.get("Name"))]
    for name in _KINDS[row.kind]:
        value = row.details.get(name)
        props.append((name, Collection(value) if isinstance(value, list | tuple) else value))
    return PsObject(props, types=(_TYPES + row.kind[3:], "System.Object"), adapted=True, text=row.name)


def _parameter(name: str, default: Json) -> Parameter:
    kind = "strings" if name in _LISTS else "int" if name in _NUMBERS else "string"
    return Parameter(name, "bool" if default is True else kind, choices=_CHOICES.get(name, ()))


_INSTANCE = (Parameter("Instance", "any", position=0, sets=needed()),)

SKYPE_GROUPS = tuple(
    cmdlet
    for kind, properties in _KINDS.items()
    for cmdlet in (
        Cmdlet(
            f"New-Cs{kind}",
            _new(kind),
            (
                Parameter("Parent", position=0, sets=needed()),
                Parameter("Name", position=1, sets=needed()),
                *(_parameter(name, default) for name, default in properties.items()),
                Parameter("Force", "switch"),
            ),
            module=MODULE,
            changes=True,
        ),
        Cmdlet(f"Set-Cs{kind}", _set(kind), _INSTANCE, module=MODULE, changes=True),
        Cmdlet(f"Remove-Cs{kind}", _remove(kind), _INSTANCE, module=MODULE, changes=True),
        Cmdlet(
            f"Get-Cs{kind}",
            _get(kind),
            (*(Parameter(name) for name in words("Identity Name Owner")), Parameter("ShowAll", "switch")),
            module=MODULE,
        ),
    )
)
