"""Get- and Set-CsUserCallingSettings, and the delegates of a user."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lab import calling
from lab.calling import CallingSettings, Delegate
from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.cmdlets_host import teams_host
from lab.cmdlets_objects import MODELS, MODULE
from lab.posh_values import PsObject, Value
from lab.records import Effect, User
from lab.rules import bad_request, unknown_user
from lab.tenant import Tenant, View

_FORWARDING = {
    "IsForwardingEnabled": "forwarding",
    "ForwardingType": "forwarding_type",
    "ForwardingTargetType": "forwarding_target_type",
    "ForwardingTarget": "forwarding_target",
}
_UNANSWERED = {
    "IsUnansweredEnabled": "unanswered",
    "UnansweredDelay": "unanswered_delay",
    "UnansweredTargetType": "unanswered_target_type",
    "UnansweredTarget": "unanswered_target",
}
_GROUP = {"CallGroupOrder": "group_order", "CallGroupTargets": "group_targets"}
_OTHER = {"GroupNotificationOverride": "notification_override", "BusyOnBusyOption": "busy_on_busy"}
_SINCE, _SINCE_BUSY = (4, 0, 0), (8, 0, 0)
_DELAY = re.compile(r"(?:00:)?(?:00:)?(\d{1,2})|00:01:00")
_RIGHTS = ("MakeCalls", "ReceiveCalls", "ManageSettings")


def settings(call: Call) -> Iterable[Value]:
    """Get-CsUserCallingSettings."""
    identity = call.text("Identity")

    def look(view: View) -> Iterable[Value]:
        user = view.user(identity)
        if user is None:
            raise unknown_user(identity)
        shown = _shown(view.tenant, user, calling.of_user(view.tenant, user.id))
        if host.version < _SINCE_BUSY:
            shown.props.remove("BusyOnBusyOption")
        return [shown]

    host = teams_host(call)
    return host.read(call, look, host.names_of(identity))


def _shown(tenant: Tenant, user: User, now: CallingSettings) -> PsObject:
    props: list[tuple[str, Value]] = [("SipUri", tenant.voice(user.id).sip_address)]
    for names in (_FORWARDING, _UNANSWERED):
        props += [(shown, getattr(now, name)) for shown, name in names.items()]
    props += [
        ("Delegates", [_delegate(tenant, one) for one in now.delegates]),
        ("Delegators", [_address(tenant, owner) for owner in calling.delegators(tenant, user.id)]),
        ("CallGroupOrder", now.group_order),
        ("CallGroupTargets", list(now.group_targets)),
        ("GroupMembershipDetails", []),
        ("GroupNotificationOverride", now.notification_override),
        ("BusyOnBusyOption", now.busy_on_busy),
    ]
    return PsObject(props, types=(MODELS + "UserCallingSettings", "System.Object"), adapted=True)


def _delegate(tenant: Tenant, one: Delegate) -> PsObject:
    rights = (one.may_call, one.may_receive, one.may_manage)
    props: list[tuple[str, Value]] = [("Id", _address(tenant, one.user_id)), *zip(_RIGHTS, rights, strict=True)]
    return PsObject(props, types=(MODELS + "Delegate", "System.Object"), adapted=True)


def _address(tenant: Tenant, user_id: str) -> str:
    return tenant.voice(user_id).sip_address or user_id


def change(call: Call) -> Iterable[Value]:
    """Set-CsUserCallingSettings: a whole group of settings at a time."""
    host = teams_host(call)
    identity = call.text("Identity")

    def act() -> list[Effect]:
        return calling.change(host.parts.tenant, identity, _changes(call))

    return host.write(call, act, host.names_of(identity))


def _changes(call: Call) -> dict[str, object]:
    """Read the parameters; a group that is on must be given whole."""
    _check_whole(call, _FORWARDING, "IsForwardingEnabled", "ForwardingType", "ForwardingTargetType")
    _check_whole(call, _UNANSWERED, "IsUnansweredEnabled", "UnansweredTargetType", "UnansweredDelay")
    _check_whole(call, _GROUP, "", *_GROUP)
    changes: dict[str, object] = {}
    for shown, name in {**_FORWARDING, **_UNANSWERED, **_GROUP, **_OTHER}.items():
        if call.has(shown):
            changes[name] = call.bound.get(shown)
    if "unanswered_delay" in changes:
        changes["unanswered_delay"] = _delay(call.text("UnansweredDelay"))
    if "group_targets" in changes:
        changes["group_targets"] = tuple(call.texts("CallGroupTargets"))
    return changes


def _check_whole(call: Call, group: dict[str, str], switch: str, *wanted: str) -> None:
    given = [name for name in group if call.has(name)]
    switched_off = bool(switch) and call.has(switch) and not call.flag(switch)
    missing = [name for name in (switch, *wanted) if name and not call.has(name)]
    if given and missing and not switched_off:
        raise bad_request(f"Settings are changed as a group: {', '.join(missing)} must be specified too.")


def _delay(text: str) -> str:
    """Read 5 to 60 seconds in steps of five, as seconds or hh:mm:ss."""
    found = _DELAY.fullmatch(text)
    seconds = 60 if found and found[1] is None else int(found[1]) if found else 0
    if not 5 <= seconds <= 60 or seconds % 5:
        raise bad_request("UnansweredDelay must be between 5 and 60 seconds in steps of 5.")
    return "00:01:00" if seconds == 60 else f"00:00:{seconds:02d}"


def delegate(call: Call) -> Iterable[Value]:
    """New- and Set-CsUserCallingDelegate."""
    host = teams_host(call)
    identity, other = call.text("Identity"), call.text("Delegate")

    def act() -> list[Effect]:
        tenant = host.parts.tenant
        rights = [call.flag(name) if call.has(name) else True for name in _RIGHTS]
        made = Delegate(tenant.telephony_user(other).id, *rights)
        return calling.change_delegate(tenant, identity, made, must_exist=call.cmdlet.name.startswith("Set"))

    return host.write(call, act, host.names_of(identity))


def drop_delegate(call: Call) -> Iterable[Value]:
    """Remove-CsUserCallingDelegate."""
    host = teams_host(call)
    tenant, identity, other = host.parts.tenant, call.text("Identity"), call.text("Delegate")

    def act() -> list[Effect]:
        return calling.drop_delegate(tenant, identity, tenant.telephony_user(other).id)

    return host.write(call, act, host.names_of(identity))


_IDENTITY = Parameter("Identity", position=0, sets=needed(), from_value=True, from_property=True)
_DELEGATE = Parameter("Delegate", sets=needed())
_TARGETS = ("Voicemail", "SingleTarget", "MyDelegates", "Group")

CALLING = (
    Cmdlet("Get-CsUserCallingSettings", settings, (_IDENTITY,), module=MODULE, since=_SINCE),
    Cmdlet(
        "Set-CsUserCallingSettings",
        change,
        (
            _IDENTITY,
            Parameter("IsForwardingEnabled", "bool"),
            Parameter("ForwardingType", choices=("Immediate", "Simultaneous")),
            Parameter("ForwardingTargetType", choices=_TARGETS),
            Parameter("ForwardingTarget"),
            Parameter("IsUnansweredEnabled", "bool"),
            Parameter("UnansweredDelay"),
            Parameter("UnansweredTargetType", choices=_TARGETS),
            Parameter("UnansweredTarget"),
            Parameter("CallGroupOrder", choices=("InOrder", "Simultaneous")),
            Parameter("CallGroupTargets", "strings"),
            Parameter("GroupNotificationOverride", choices=("Ring", "Mute", "Banner")),
            Parameter(
                "BusyOnBusyOption",
                choices=("PlayBusySignal", "RedirectAsUnansweredCall", "RingUser"),
                since=_SINCE_BUSY,
            ),
        ),
        module=MODULE,
        changes=True,
        since=_SINCE,
    ),
    *(
        Cmdlet(
            f"{verb}-CsUserCallingDelegate",
            delegate,
            (_IDENTITY, _DELEGATE, *(Parameter(name, "bool") for name in _RIGHTS)),
            module=MODULE,
            changes=True,
        )
        for verb in ("New", "Set")
    ),
    Cmdlet("Remove-CsUserCallingDelegate", drop_delegate, (_IDENTITY, _DELEGATE), module=MODULE, changes=True),
)
