"""The rest of the ActiveDirectory module: groups and their members, accounts made, removed, switched, moved."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from lab.cmdlets import Call, Cmdlet, Parameter, needed, words
from lab.cmdlets_attributes import ldap_name
from lab.cmdlets_directory import MODULE, ad_value, directory_error, shown_account, table_changes
from lab.cmdlets_filter import FilterRefused, parse_filter
from lab.cmdlets_host import host_of
from lab.posh_values import PsObject, Value
from lab.records import AdUser, Effect, Group, opaque_id
from lab.rules import Refusal, bad_request
from lab.tenant import Tenant, View

_MODELS = "Microsoft.ActiveDirectory.Management."
MOST_MEMBERS = 5_000  # what the web service of the directory lists of one group
_OPERATORS = frozenset({"eq", "ne", "like", "notlike"})
_PRINCIPAL = words("DistinguishedName Name ObjectClass ObjectGUID SamAccountName SID")
_EXISTS = "The specified account already exists"


def _suffix(tenant: Tenant) -> str:
    return ",".join(f"DC={part}" for part in tenant.domain.split("."))


def _missing(tenant: Tenant, identity: str) -> Refusal:
    text = f"Cannot find an object with identity: '{identity}' under: '{_suffix(tenant)}'."
    return Refusal("NotFound", text, status=404)


def account(tenant: Tenant, identity: str) -> AdUser:
    """Find an account or refuse."""
    found = tenant.find_ad_user(identity)
    if found is None:
        raise _missing(tenant, identity)
    return found


def group(tenant: Tenant, identity: str) -> Group:
    """Find a group by name, distinguished name or GUID, or refuse."""
    folded = identity.casefold()
    for row in tenant.groups.values():
        if folded in (row.id.casefold(), row.display_name.casefold(), _dn(tenant, row).casefold()):
            return row
    raise _missing(tenant, identity)


def _dn(tenant: Tenant, row: Group) -> str:
    return f"CN={row.display_name},OU=Groups,{_suffix(tenant)}"


def _group(tenant: Tenant, row: Group) -> PsObject:
    props: list[tuple[str, Value]] = [
        ("DistinguishedName", _dn(tenant, row)),
        ("GroupCategory", "Security"),
        ("GroupScope", "Global"),
        ("Name", row.display_name),
        ("ObjectClass", "group"),
        ("ObjectGUID", uuid.UUID(row.id) if _is_guid(row.id) else row.id),
        ("SamAccountName", row.display_name),
        ("Description", row.description),
    ]
    types = (_MODELS + "ADGroup", _MODELS + "ADPrincipal", "System.Object")
    return PsObject(props, types=types, adapted=True, text=_dn(tenant, row))


def _is_guid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def groups(call: Call) -> Iterable[Value]:
    """Get-ADGroup."""

    def look(view: View) -> Iterable[Value]:
        tenant = view.tenant
        if call.set_name == "Identity":
            return [_group(tenant, group(tenant, call.text("Identity")))]
        rows = [_group(tenant, row) for row in tenant.groups.values()]
        return [row for row in rows if _keeps(call)(row.props.get)]

    return host_of(call).read(call, look, [call.text("Identity")], tell=directory_error)


def _keeps(call: Call) -> Callable[[Callable[[str], Value]], bool]:
    text = call.text("Filter").strip()
    if text == "*":
        return lambda _lookup: True
    try:
        return parse_filter(text, _OPERATORS, lambda name: name.lower() in words("name samaccountname description"))
    except FilterRefused as error:
        raise bad_request(str(error)) from error


def members(call: Call) -> Iterable[Value]:
    """Get-ADGroupMember: direct members, or with -Recursive the people below; a group of itself ends."""

    def look(view: View) -> Iterable[Value]:
        tenant = view.tenant
        found = group(tenant, call.text("Identity"))
        ids = list(tenant.transitive_members(found.id) if call.flag("Recursive") else found.members)
        if len(ids) > MOST_MEMBERS:
            raise bad_request("The size limit for this request was exceeded")
        return list(_principals(tenant, ids, leaves=call.flag("Recursive")))

    return host_of(call).read(call, look, [call.text("Identity")], tell=directory_error)


def _principals(tenant: Tenant, ids: Iterable[str], *, leaves: bool) -> Iterator[PsObject]:
    """Show members; who is in the cloud only is not in this directory."""
    for member in ids:
        if member in tenant.groups:
            if not leaves:
                yield _group(tenant, tenant.groups[member])
            continue
        user = tenant.users.get(member)
        row = tenant.find_ad_user((user.text("onPremisesSamAccountName") if user else "") or "")
        if row:
            types = (_MODELS + "ADPrincipal", _MODELS + "ADObject", "System.Object")
            props = [(name, ad_value(row, name)) for name in _PRINCIPAL]
            yield PsObject(props, types=types, adapted=True, text=row.distinguished_name)


def change_members(call: Call) -> Iterable[Value]:
    """Add- and Remove-ADGroupMember; members that are there already matter only when told so."""
    host = host_of(call)
    tenant, adding = host.parts.tenant, call.cmdlet.name.startswith("Add")

    def act() -> list[Effect]:
        with tenant.lock:
            found = group(tenant, call.text("Identity"))
            ids = [_member_id(tenant, name) for name in call.texts("Members")]
            return _change(tenant, found, ids, adding=adding, strict=call.flag("DisablePermissiveModify"))

    return host.write(call, act, [call.text("Identity"), *call.texts("Members")], tell=directory_error)


def _change(tenant: Tenant, found: Group, ids: list[str], *, adding: bool, strict: bool) -> list[Effect]:
    wrong = [member for member in ids if (member in found.members) == adding]
    if wrong and (strict or not adding):
        raise bad_request(_EXISTS if adding else "The specified account name is not a member of the group")
    rest = [member for member in ids if member not in wrong]
    if not rest:
        return []
    return tenant.change_members(found.id, add=rest) if adding else tenant.change_members(found.id, remove=rest)


def _member_id(tenant: Tenant, identity: str) -> str:
    """Give the id of a member: an account that the cloud knows, or a group."""
    row = tenant.find_ad_user(identity)
    user_id = tenant.by_sam.get(row.sam_account_name.casefold()) if row else None
    return user_id or group(tenant, identity).id


def memberships(call: Call) -> Iterable[Value]:
    """Get-ADPrincipalGroupMembership."""

    def look(view: View) -> Iterable[Value]:
        row = account(view.tenant, call.text("Identity"))
        user_id = view.tenant.by_sam.get(row.sam_account_name.casefold(), "")
        return [_group(view.tenant, view.tenant.groups[one]) for one in view.tenant.groups_of.get(user_id, ())]

    return host_of(call).read(call, look, [call.text("Identity")], tell=directory_error)


def new_group(call: Call) -> Iterable[Value]:
    """New-ADGroup."""
    host, name = host_of(call), call.text("Name")
    tenant = host.parts.tenant

    def act() -> list[Effect]:
        with tenant.lock:
            if any(row.display_name.casefold() == name.casefold() for row in tenant.groups.values()):
                raise bad_request(_EXISTS)
            made = Group(opaque_id("group", tenant.tenant_id, name), name, (), call.text("Description"))
            tenant.put_group(made)
            return [Effect(f"group:{made.id}", "exists", before=False, after=True)]

    answer = list(host.write(call, act, [name], tell=directory_error))
    return [*answer, *([_group(tenant, group(tenant, name))] if call.flag("PassThru") else [])]


# Accounts


def new_user(call: Call) -> Iterable[Value]:
    """New-ADUser: an account of the directory only; the cloud's comes from provisioning."""
    host, name = host_of(call), call.text("Name")
    tenant = host.parts.tenant
    sam = call.text("SamAccountName") or name

    def act() -> list[Effect]:
        with tenant.lock:
            place = call.text("Path") or f"CN=Users,{_suffix(tenant)}"
            distinguished = f"CN={name},{place}"
            if tenant.find_ad_user(sam) or tenant.find_ad_user(distinguished):
                raise Refusal("AlreadyExists", _EXISTS, status=409)
            upn = call.text("UserPrincipalName") or f"{sam}@{tenant.domain}"
            enabled = call.flag("Enabled") and call.has("AccountPassword")
            made = AdUser(sam, distinguished, opaque_id("ad", tenant.tenant_id, sam), upn, enabled)
            tenant.put_ad_user(made)
            changes = {ldap_name(key) or key: call.text(key) for key in _DETAILS if call.has(key)}
            more = table_changes(call, "OtherAttributes")
            tenant.set_ad_user(sam, {**changes, **more})
            return [Effect(f"ad:{sam}", "exists", before=False, after=True)]

    answer = list(host.write(call, act, [sam], tell=directory_error))
    return [*answer, *([shown_account(account(tenant, sam))] if call.flag("PassThru") else [])]


def remove_user(call: Call) -> Iterable[Value]:
    """Remove-ADUser: without -Confirm:$false nobody answers the question, so nothing is removed."""
    host, identity = host_of(call), call.text("Identity")
    tenant = host.parts.tenant

    def act() -> list[Effect]:
        with tenant.lock:
            if call.common.get("confirm") != "False":
                raise bad_request("A command that prompts the user failed because the host does not support prompts.")
            row = account(tenant, identity)
            tenant.drop_ad_user(row)
            _forget(tenant, row.sam_account_name.casefold())
            return [Effect(f"ad:{row.sam_account_name}", "exists", before=True, after=False)]

    return host.write(call, act, [identity], tell=directory_error)


def _forget(tenant: Tenant, sam: str) -> None:
    """Let go with an account what depends on it: the server's user, and after a while the cloud's account."""
    user = tenant.skype.pop(sam, None)
    if user:
        tenant.skype_by_sip.pop(user.sip_address.casefold().removeprefix("sip:"), None)
    user_id = tenant.by_sam.get(sam)

    def vanish() -> None:
        if user_id in tenant.users:
            tenant.delete_user(str(user_id))

    tenant.schedule(tenant.settings.directory_sync_delay_s, vanish)


def switch(call: Call) -> Iterable[Value]:
    """Enable-, Disable- and Unlock-ADAccount."""
    verb = call.cmdlet.name.partition("-")[0]

    def change(row: AdUser) -> AdUser:
        return row if verb == "Unlock" else replace(row, enabled=verb == "Enable")

    return _altered(call, change)


def move_object(call: Call) -> Iterable[Value]:
    """Move-ADObject: to another organisational unit."""

    def change(row: AdUser) -> AdUser:
        name = row.distinguished_name.partition(",")[0]
        return replace(row, distinguished_name=f"{name},{call.text('TargetPath')}")

    return _altered(call, change)


def set_password(call: Call) -> Iterable[Value]:
    """Set-ADAccountPassword -Reset: nothing is kept of the password."""
    return _altered(call, lambda row: row)


def _altered(call: Call, change: Callable[[AdUser], AdUser]) -> Iterable[Value]:
    """Replace an account by what a change makes of it."""
    host, identity = host_of(call), call.text("Identity")
    tenant = host.parts.tenant

    def act() -> list[Effect]:
        with tenant.lock:
            before = account(tenant, identity)
            after = change(before)
            tenant.drop_ad_user(before)
            tenant.put_ad_user(after)
            subject = f"ad:{before.sam_account_name}"
            names = {"enabled": "enabled", "distinguished_name": "distinguishedName"}
            changed = [(n, s) for n, s in names.items() if getattr(before, n) != getattr(after, n)]
            return [Effect(subject, s, getattr(before, n), getattr(after, n)) for n, s in changed]

    answer = list(host.write(call, act, [identity], tell=directory_error))
    return [*answer, *([shown_account(account(tenant, identity))] if call.flag("PassThru") else [])]


_DETAILS = (
    *words("Department Title Company Office OfficePhone MobilePhone HomePhone EmployeeID GivenName Surname"),
    *words("DisplayName EmailAddress Description City Country"),
)
_IDENTITY = Parameter("Identity", position=0, sets=needed(), from_value=True, from_property=True)
_REST = (Parameter("PassThru", "switch"), Parameter("Server"), Parameter("Credential", "any"))


def _changing(name: str, run: Callable[[Call], Iterable[Value]], *parameters: Parameter) -> Cmdlet:
    return Cmdlet(name, run, (*parameters, *_REST), module=MODULE, changes=True)


_MEMBERS = (_IDENTITY, Parameter("Members", "strings", position=1, sets=needed()))
_PERMISSIVE = Parameter("DisablePermissiveModify", "switch")

DIRECTORY_GROUPS = (
    Cmdlet(
        "Get-ADGroup",
        groups,
        (
            Parameter("Identity", position=0, sets=needed("Identity"), from_value=True),
            Parameter("Filter", sets=needed("Filter")),
            Parameter("Properties", "strings"),
            *_REST[1:],
        ),
        default_set="Filter",
        module=MODULE,
    ),
    Cmdlet("Get-ADGroupMember", members, (_IDENTITY, Parameter("Recursive", "switch"), *_REST[1:]), module=MODULE),
    Cmdlet("Get-ADPrincipalGroupMembership", memberships, (_IDENTITY, *_REST[1:]), module=MODULE),
    _changing("Add-ADGroupMember", change_members, *_MEMBERS, _PERMISSIVE),
    _changing("Remove-ADGroupMember", change_members, *_MEMBERS, _PERMISSIVE),
    _changing(
        "New-ADGroup",
        new_group,
        Parameter("Name", position=0, sets=needed()),
        Parameter("GroupScope", position=1, sets=needed(), choices=("DomainLocal", "Global", "Universal")),
        *(Parameter(name) for name in ("Path", "SamAccountName", "Description", "GroupCategory")),
    ),
    _changing(
        "New-ADUser",
        new_user,
        Parameter("Name", position=0, sets=needed()),
        *(Parameter(name) for name in ("SamAccountName", "UserPrincipalName", "Path")),
        Parameter("AccountPassword", "any"),
        Parameter("Enabled", "bool"),
        Parameter("ChangePasswordAtLogon", "bool"),
        Parameter("OtherAttributes", "hashtable"),
        *(Parameter(name) for name in _DETAILS),
    ),
    _changing("Remove-ADUser", remove_user, _IDENTITY),
    *(_changing(f"{verb}-ADAccount", switch, _IDENTITY) for verb in ("Enable", "Disable", "Unlock")),
    _changing("Move-ADObject", move_object, _IDENTITY, Parameter("TargetPath", sets=needed())),
    _changing(
        "Set-ADAccountPassword",
        set_password,
        _IDENTITY,
        Parameter("Reset", "switch"),
        Parameter("NewPassword", "any", sets=needed()),
    ),
)
