"""Call forwarding, delegates and team of on-premises users, read from one of three front ends that may lag behind."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from lab import skype
from lab.cmdlets import Call, Cmdlet, Parameter, allowed, needed
from lab.cmdlets_host import host_of
from lab.cmdlets_objects import modified
from lab.cmdlets_skype import MODULE, skype_error
from lab.posh_values import PsObject, Value
from lab.records import Effect
from lab.rules import bad_request
from lab.skype_records import Forwarding, SkypeUser
from lab.store import diff
from lab.tenant import Tenant, View

_TYPES = "Microsoft.Rtc.Management.UserCallForwarding."
_DELEGATE_WAITS = (0, 5, 10, 15)
LONGEST_WAIT = 60
_reads = itertools.count()


def current(tenant: Tenant, sam: str) -> Forwarding:
    """Give the newest settings, as the home front end has them."""
    versions = tenant.forwarding.get(sam)
    return versions[-1][1] if versions else Forwarding()


def seen(tenant: Tenant, sam: str) -> Forwarding:
    """Give the settings as the next front end has them: the first is the home of everybody, the others lag."""
    front_end = next(_reads) % skype.FRONT_ENDS
    lag = tenant.settings.front_end_lag_s
    if front_end == 0 or lag <= 0:
        return current(tenant, sam)
    visible = tenant.clock.now() - timedelta(seconds=lag)
    known = [settings for at, settings in tenant.forwarding.get(sam, ()) if at <= visible]
    return known[-1] if known else Forwarding()


def _store(tenant: Tenant, user: SkypeUser, after: Forwarding) -> list[Effect]:
    before = current(tenant, user.sam)
    tenant.forwarding.setdefault(user.sam, []).append((tenant.clock.now(), after))
    pairs: dict[str, tuple[object, object]] = {}
    for name in Forwarding.__slots__:
        pairs[f"forwarding:{name}"] = (getattr(before, name), getattr(after, name))
    return diff(f"skype:{user.sam}", pairs)


def settings(call: Call) -> Iterable[Value]:
    """Get-CsUserCallForwardingSettings."""

    def look(view: View) -> Iterable[Value]:
        user = skype.user(view.tenant, call.text("User"))
        now = seen(view.tenant, user.sam)
        state = "CallForwardingEnabled" if now.forwarding else "SimulRingEnabled" if now.ringing else "Disabled"
        props: list[tuple[str, Value]] = [
            ("User", user.sip_address),
            ("CallForwardingState", state),
            ("ForwardDestination", now.forwarding),
            ("SimulRingDestination", now.ringing),
            ("UnansweredCallHandling", now.unanswered),
            ("UnansweredWaitTime", now.unanswered_wait_s),
            ("DelegateRingWaitTime", now.delegate_wait_s),
            ("SettingsActiveWorkHours", now.work_hours_only),
            ("Delegates", list(now.delegates)),
            ("Team", list(now.team)),
        ]
        return [PsObject(props, types=(_TYPES + "Settings", "System.Object"), adapted=True)]

    return host_of(call).read(call, look, [call.text("User")], tell=skype_error)


def change(call: Call) -> Iterable[Value]:
    """Set-CsUserCallForwardingSettings: forward, ring too, or neither; and what happens to unanswered calls."""
    host = host_of(call)
    tenant = host.parts.tenant

    def act() -> list[Effect]:
        with tenant.lock:
            user = skype.user(tenant, call.text("User"))
            return _store(tenant, user, _changed(call, current(tenant, user.sam)))

    return host.write(call, act, [call.text("User")], tell=skype_error)


def _changed(call: Call, before: Forwarding) -> Forwarding:
    after = replace(before, forwarding=call.text("EnableForwarding"), ringing=call.text("EnableSimulRing"))
    wait = call.number("DelegateRingWaitTime", call.number("TeamDelegateRingWaitTime", before.delegate_wait_s))
    unanswered_wait = call.number("UnansweredWaitTime", before.unanswered_wait_s)
    if wait not in _DELEGATE_WAITS:
        raise bad_request("DelegateRingWaitTime must be 0, 5, 10 or 15.")
    if not 0 <= unanswered_wait <= LONGEST_WAIT:
        raise bad_request(f"UnansweredWaitTime must be between 0 and {LONGEST_WAIT}.")
    if "Delegates" in (after.forwarding, after.ringing) and not (before.delegates or call.texts("Delegates")):
        raise bad_request("The user has no delegates.")
    unanswered = call.text("UnansweredToOther") or ("Voicemail" if call.flag("UnansweredToVoicemail") else "")
    return replace(
        after,
        delegate_wait_s=wait,
        unanswered_wait_s=unanswered_wait,
        unanswered=unanswered or before.unanswered,
        work_hours_only=call.flag("SettingsActiveWorkHours"),
        delegates=tuple(call.texts("Delegates")) or before.delegates,
        team=tuple(call.texts("Team")) or before.team,
    )


def people(call: Call) -> Iterable[Value]:
    """Get-CsUserDelegates and Get-CsUserTeamMembers."""
    name = _list_name(call)

    def look(view: View) -> Iterable[Value]:
        user = skype.user(view.tenant, call.text("User"))
        found = getattr(seen(view.tenant, user.sam), name.lower())
        props: list[tuple[str, Value]] = [("User", user.sip_address), (name, list(found))]
        return [PsObject(props, types=(_TYPES + name, "System.Object"), adapted=True)]

    return host_of(call).read(call, look, [call.text("User")], tell=skype_error)


def change_people(call: Call) -> Iterable[Value]:
    """Set-CsUserDelegates and Set-CsUserTeamMembers: a list, or Add, Remove, Replace."""
    host, name = host_of(call), _list_name(call)
    tenant = host.parts.tenant

    def act() -> list[Effect]:
        with tenant.lock:
            user = skype.user(tenant, call.text("User"))
            before = current(tenant, user.sam)
            wanted = [str(one) for one in modified(getattr(before, name.lower()), call.bound.get(name))]
            for address in wanted:
                skype.user(tenant, address)
            after = replace(before, **{name.lower(): tuple(wanted)})  # type: ignore[arg-type]  # delegates or team
            return _store(tenant, user, after)

    return host.write(call, act, [call.text("User")], tell=skype_error)


def _list_name(call: Call) -> str:
    return "Delegates" if call.cmdlet.name.endswith("Delegates") else "Team"


_USER = Parameter("User", position=0, aliases=("Identity",), sets=needed(), from_value=True, from_property=True)
_UNANSWERED = (
    Parameter("UnansweredToVoicemail", "switch"),
    Parameter("UnansweredToOther"),
    Parameter("UnansweredWaitTime", "int"),
    Parameter("SettingsActiveWorkHours", "switch"),
)

SKYPE_FORWARDING = (
    Cmdlet("Get-CsUserCallForwardingSettings", settings, (_USER,), module=MODULE),
    Cmdlet(
        "Set-CsUserCallForwardingSettings",
        change,
        (
            _USER,
            Parameter("EnableForwarding", sets=needed("Forward")),
            Parameter("Delegates", "strings", sets=allowed("Forward")),
            Parameter("DelegateRingWaitTime", "int", sets=allowed("Forward")),
            Parameter("EnableSimulRing", sets=needed("Ring")),
            Parameter("Team", "strings", sets=allowed("Ring")),
            Parameter("TeamDelegateRingWaitTime", "int", sets=allowed("Ring")),
            Parameter("DisableForwarding", "switch", sets=needed("Disable")),
            *_UNANSWERED,
        ),
        default_set="Disable",
        module=MODULE,
        changes=True,
    ),
    Cmdlet("Get-CsUserDelegates", people, (_USER,), module=MODULE),
    Cmdlet("Get-CsUserTeamMembers", people, (_USER,), module=MODULE),
    *(
        Cmdlet(
            name,
            change_people,
            (_USER, Parameter(subject, "any", sets=needed())),
            module=MODULE,
            changes=True,
        )
        for name, subject in (("Set-CsUserDelegates", "Delegates"), ("Set-CsUserTeamMembers", "Team"))
    ),
)
