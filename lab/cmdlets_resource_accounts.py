"""Resource accounts: the accounts behind auto attendants and call queues."""

from __future__ import annotations

from collections.abc import Iterable

from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.cmdlets_host import Host, host_of
from lab.cmdlets_objects import MODELS, MODULE
from lab.posh_values import PsObject, Value
from lab.records import Effect, Json, User
from lab.rules import bad_request, not_found
from lab.tenant import Tenant, View

# What an account answers for.
APPLICATIONS = {
    "ce933385-9390-45d1-9512-c8d228074e07": "Auto Attendant",
    "11cd3e2e-fccb-42ad-ad00-878b93575e07": "Call Queue",
}
ATTENDANT = next(iter(APPLICATIONS))


def _host(call: Call) -> Host:
    host = host_of(call)
    host.need_person(call)
    return host


def account(tenant: Tenant, identity: str) -> User:
    """Find a resource account or refuse."""
    found = tenant.find_user(identity)
    if found is None or found.account_type != "resourceAccount":
        raise not_found(f"Application instance '{identity}' is not found")
    return found


def accounts(call: Call) -> Iterable[Value]:
    """Get-CsOnlineApplicationInstance: one, several, or all in pages."""

    def look(view: View) -> Iterable[Value]:
        named = [call.text("Identity")] if call.has("Identity") else call.texts("Identities")
        if named:
            wanted = [part.strip() for text in named for part in text.split(",")]
            return [_shown(view, account(view.tenant, one)) for one in wanted]
        rows = [user for user in view.users() if user.account_type == "resourceAccount"]
        start = call.number("Skip", 0)
        return [_shown(view, user) for user in rows[start : start + call.number("ResultSize", len(rows))]]

    return _host(call).read(call, look, [call.text("Identity")])


def _shown(view: View, user: User) -> PsObject:
    held = view.numbers_held_by(user.id)
    props: list[tuple[str, Value]] = [
        ("ObjectId", user.id),
        ("TenantId", view.tenant.tenant_id),
        ("UserPrincipalName", user.upn),
        ("ApplicationId", user.text("applicationId") or ATTENDANT),
        ("DisplayName", user.text("displayName")),
        ("PhoneNumber", f"tel:{held[0].telephone_number}" if held else None),
    ]
    return PsObject(props, types=(MODELS + "ApplicationInstance", "System.Object"), adapted=True)


def new(call: Call) -> Iterable[Value]:
    """New-CsOnlineApplicationInstance: an account that may not sign in, without licence and number."""
    host = _host(call)
    tenant, upn = host.parts.tenant, call.text("UserPrincipalName")

    def act() -> list[Effect]:
        fields: dict[str, Json] = {"userPrincipalName": upn, "displayName": call.text("DisplayName") or upn}
        fields |= {"applicationId": _application(call), "accountEnabled": False}
        made = tenant.create_user(fields, kind="resourceAccount")
        return [Effect(f"user:{made.id}", "exists", before=False, after=True)]

    answer = list(host.write(call, act, [upn]))
    made = tenant.find_user(upn)
    return [*answer, *([_shown(tenant.view(), made)] if made else [])]


def _application(call: Call) -> str:
    known = call.text("ApplicationId").lower()
    if known not in APPLICATIONS:
        raise bad_request(f"Application '{call.text('ApplicationId')}' is neither an auto attendant nor a call queue")
    return known


def change(call: Call) -> Iterable[Value]:
    """Set-CsOnlineApplicationInstance."""
    host = _host(call)
    tenant, identity = host.parts.tenant, call.text("Identity")

    def act() -> list[Effect]:
        with tenant.lock:
            user = account(tenant, identity)
            changes: dict[str, Json] = {}
            if call.has("DisplayName"):
                changes["displayName"] = call.text("DisplayName")
            if call.has("ApplicationId"):
                changes["applicationId"] = _application(call)
            return tenant.patch_user(user.id, changes, forced=True)

    return host.write(call, act, host.names_of(identity))


_IDENTITY = Parameter("Identity", position=0, sets=needed(), from_value=True, from_property=True)
RESOURCE_ACCOUNTS = (
    Cmdlet(
        "Get-CsOnlineApplicationInstance",
        accounts,
        (
            Parameter("Identity", position=0, sets={"Identity": False}, from_value=True),
            Parameter("Identities", "strings", sets={"Identities": False}),
            Parameter("ResultSize", "int"),
            Parameter("Skip", "int"),
        ),
        default_set="Identity",
        module=MODULE,
    ),
    Cmdlet(
        "New-CsOnlineApplicationInstance",
        new,
        (
            Parameter("UserPrincipalName", sets=needed()),
            Parameter("ApplicationId", sets=needed()),
            Parameter("DisplayName"),
        ),
        module=MODULE,
        changes=True,
    ),
    Cmdlet(
        "Set-CsOnlineApplicationInstance",
        change,
        (_IDENTITY, Parameter("ApplicationId"), Parameter("DisplayName"), Parameter("Force", "switch")),
        module=MODULE,
        changes=True,
    ),
)
