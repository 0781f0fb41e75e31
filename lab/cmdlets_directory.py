"""The Active Directory module: Get-ADUser, Set-ADUser and Get-ADDomain."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

from lab.cmdlets import Call, Cmdlet, Parameter, needed, words
from lab.cmdlets_attributes import ALIASES, DEFAULTS, LISTS, SCHEMA, ldap_name
from lab.cmdlets_filter import FilterRefused, Predicate, parse_filter, parse_ldap
from lab.cmdlets_host import host_of
from lab.posh_errors import ErrorRecord
from lab.posh_values import Hashtable, PsObject, Value, as_list, to_text
from lab.records import AdUser, Effect
from lab.rules import Refusal, bad_request
from lab.tenant import View

MODULE = "ActiveDirectory"
_MODELS = "Microsoft.ActiveDirectory.Management."
_OPERATORS = frozenset({"eq", "le", "ge", "ne", "lt", "gt", "approx", "like", "notlike"})
_DIRECT = (
    *words("Department Title Company Office OfficePhone MobilePhone HomePhone Fax EmployeeID EmployeeNumber"),
    *words("City Country State GivenName Surname DisplayName EmailAddress Description"),
)
_UNKNOWN_VALUE = "The specified directory service attribute or value does not exist"


def ad_users(call: Call) -> Iterable[Value]:
    """Get-ADUser: one account by identity, or those a filter finds."""
    host, identity = host_of(call), call.text("Identity")
    wanted = _properties(call)

    def look(view: View) -> Iterable[Value]:
        if call.set_name == "Identity":
            return [shown_account(_account(view, identity), wanted)]
        keeps = _predicate(call)
        base = call.text("SearchBase").lower()
        found = (row for row in view.ad_users() if row.distinguished_name.lower().endswith(base))
        rows = [shown_account(row, wanted) for row in found if keeps(_lookup(row))]
        size = call.bound.get("ResultSetSize")
        return rows[:size] if isinstance(size, int) else rows

    return host.read(call, look, [identity], tell=directory_error)


def _account(view: View, identity: str) -> AdUser:
    found = view.ad_user(identity)
    if found is None:
        raise _not_found(identity, view.tenant.domain)
    return found


def _not_found(identity: str, domain: str) -> Refusal:
    suffix = ",".join(f"DC={part}" for part in domain.split("."))
    return Refusal("NotFound", f"Cannot find an object with identity: '{identity}' under: '{suffix}'.", status=404)


def _properties(call: Call) -> list[str]:
    """Give the properties to show: the default ones and those asked for, spelled as asked."""
    found = list(DEFAULTS)
    for name in call.texts("Properties"):
        if name == "*":
            found.extend([*ALIASES, *SCHEMA.values()])
        elif ldap_name(name) is None and name.lower() not in {item.lower() for item in DEFAULTS}:
            text = f"One or more properties are invalid.\r\nParameter name: {name}"
            raise call.fail(_ad_error(text, "System.ArgumentException", "InvalidArgument", name))
        else:
            found.append(name)
    return found


def _predicate(call: Call) -> Predicate:
    try:
        if call.set_name == "LdapFilter":
            return parse_ldap(call.text("LDAPFilter"))
        text = call.text("Filter").strip()
        if text == "*":
            return lambda _lookup: True
        return parse_filter(text, _OPERATORS, _known)
    except FilterRefused as error:
        raise bad_request(str(error)) from error


def _known(name: str) -> bool:
    return ldap_name(name) is not None or name.lower() in {item.lower() for item in DEFAULTS}


def _lookup(row: AdUser) -> Callable[[str], Value]:
    return lambda name: ad_value(row, name)


def ad_value(row: AdUser, name: str) -> Value:
    """Read a property of an account under its LDAP or its PowerShell name."""
    fixed: dict[str, Value] = {
        "distinguishedname": row.distinguished_name,
        "enabled": row.enabled,
        "name": row.distinguished_name.partition(",")[0].partition("=")[2],
        "objectclass": "user",
        "objectguid": uuid.UUID(row.object_guid),
        "samaccountname": row.sam_account_name,
        "sid": f"S-1-5-21-1004336348-1177238915-682003330-{int(row.object_guid[:6], 16)}",
        "userprincipalname": row.upn,
    }
    if name.lower() in fixed:
        return fixed[name.lower()]
    attribute = ldap_name(name) or name
    value = row.attributes.get(attribute)
    return value if value is None or attribute not in LISTS else [value]


def shown_account(row: AdUser, wanted: Iterable[str] = DEFAULTS) -> PsObject:
    """Show an account with some of its properties."""
    props = [(name, ad_value(row, name)) for name in wanted]
    types = ("ADUser", "ADAccount", "ADPrincipal", "ADObject", "ADEntity")
    return PsObject(
        props,
        types=(*(_MODELS + name for name in types), "System.Object"),
        adapted=True,
        text=row.distinguished_name,
    )


def directory_error(refusal: Refusal) -> ErrorRecord:
    """Word a refusal as the ActiveDirectory module does."""
    if refusal.code == "AlreadyExists":
        return _ad_error(refusal.message, _MODELS + "ADIdentityAlreadyExistsException", "ResourceExists")
    if refusal.code == "NotFound":
        return _ad_error(refusal.message, _MODELS + "ADIdentityNotFoundException", "ObjectNotFound")
    if refusal.status == 403:
        return _ad_error(refusal.message, "System.UnauthorizedAccessException", "PermissionDenied")
    return _ad_error(refusal.message, _MODELS + "ADException", "InvalidOperation")


def _ad_error(text: str, exception: str, category: str, target: Value = None) -> ErrorRecord:
    return ErrorRecord(text, f"ActiveDirectoryCmdlet:{exception}", category, exception, target=target)


# Writing


def set_ad_user(call: Call) -> Iterable[Value]:
    """Set-ADUser: direct parameters, then Remove, Add, Replace and Clear in this order."""
    host, identity = host_of(call), call.text("Identity")

    def act() -> list[Effect]:
        tenant = host.parts.tenant
        with tenant.lock:
            row = tenant.find_ad_user(identity)
            if row is None:
                raise _not_found(identity, tenant.domain)
            return tenant.set_ad_user(row.sam_account_name, _changes(call, row))

    return host.write(call, act, [identity], tell=directory_error)


def _changes(call: Call, row: AdUser) -> dict[str, str | None]:
    changes: dict[str, str | None] = {}
    for name in _DIRECT:
        if call.has(name):
            changes[_attribute(name)] = call.text(name) or None
    after = {**row.attributes, **{name: value for name, value in changes.items() if value is not None}}
    for name, values in _table(call, "Remove"):
        if after.get(name, "").lower() not in {value.lower() for value in values}:
            raise bad_request(_UNKNOWN_VALUE)
        changes[name] = None
        after.pop(name, None)
    for name, values in _table(call, "Add"):
        if name in after or len(values) > 1:
            raise bad_request("Multiple values were specified for an attribute that can have only one value")
        changes[name] = values[0]
    for name, values in _table(call, "Replace"):
        if len(values) > 1:
            raise bad_request("Multiple values were specified for an attribute that can have only one value")
        changes[name] = values[0]
    for name in call.texts("Clear"):
        changes[_attribute(name)] = None
    return changes


def _table(call: Call, parameter: str) -> list[tuple[str, list[str]]]:
    table = call.bound.get(parameter)
    found: list[tuple[str, list[str]]] = []
    for key, value in table.items() if isinstance(table, Hashtable) else ():
        values = [to_text(item) for item in as_list(value)]
        if not values or "" in values:
            # The real module says only the name of the parameter; ours also says what to do.
            raise bad_request(f"{parameter.lower()}: the value of '{to_text(key)}' is empty; use -Clear to remove it")
        found.append((_attribute(to_text(key)), values))
    return found


def table_changes(call: Call, parameter: str) -> dict[str, str | None]:
    """Give the attributes of a table parameter, one value each."""
    return {name: values[0] for name, values in _table(call, parameter)}


def _attribute(name: str) -> str:
    found = ldap_name(name)
    if found is None:
        raise bad_request(_UNKNOWN_VALUE)
    return found


def ad_domain(call: Call) -> Iterable[Value]:
    """Get-ADDomain: the one domain."""
    host = host_of(call)

    def look(view: View) -> Iterable[Value]:
        domain = view.tenant.domain
        props: list[tuple[str, Value]] = [
            ("DNSRoot", domain),
            ("DistinguishedName", ",".join(f"DC={part}" for part in domain.split("."))),
            ("Forest", domain),
            ("Name", domain.partition(".")[0]),
            ("NetBIOSName", domain.partition(".")[0].upper()),
            ("DomainMode", "Windows2016Domain"),
            ("PDCEmulator", f"dc1.{domain}"),
        ]
        return [PsObject(props, types=(_MODELS + "ADDomain", "System.Object"), adapted=True, text=domain)]

    return host.read(call, look, [call.text("Identity")], tell=directory_error)


_COMMON = (Parameter("Server"), Parameter("Credential", "any"))

DIRECTORY = (
    Cmdlet(
        "Get-ADUser",
        ad_users,
        (
            Parameter("Identity", position=0, sets=needed("Identity"), from_value=True),
            Parameter("Filter", sets=needed("Filter")),
            Parameter("LDAPFilter", sets=needed("LdapFilter")),
            Parameter("Properties", "strings"),
            Parameter("SearchBase", sets={"Filter": False, "LdapFilter": False}),
            Parameter(
                "SearchScope", sets={"Filter": False, "LdapFilter": False}, choices=("Base", "OneLevel", "Subtree")
            ),
            Parameter("ResultPageSize", "int", sets={"Filter": False, "LdapFilter": False}),
            Parameter("ResultSetSize", "int", sets={"Filter": False, "LdapFilter": False}),
            *_COMMON,
        ),
        default_set="Filter",
        module=MODULE,
    ),
    Cmdlet(
        "Set-ADUser",
        set_ad_user,
        (
            Parameter(
                "Identity", position=0, sets=needed(), from_value=True, from_property=True, aliases=("SamAccountName",)
            ),
            *(Parameter(name) for name in _DIRECT),
            *(Parameter(name, "hashtable") for name in ("Remove", "Add", "Replace")),
            Parameter("Clear", "strings"),
            Parameter("PassThru", "switch"),
            *_COMMON,
        ),
        module=MODULE,
        changes=True,
    ),
    Cmdlet(
        "Set-ADObject",
        set_ad_user,
        (
            Parameter("Identity", position=0, sets=needed(), from_value=True, from_property=True),
            Parameter("Description"),
            Parameter("DisplayName"),
            *(Parameter(name, "hashtable") for name in ("Remove", "Add", "Replace")),
            Parameter("Clear", "strings"),
            Parameter("PassThru", "switch"),
            *_COMMON,
        ),
        module=MODULE,
        changes=True,
    ),
    Cmdlet("Get-ADDomain", ad_domain, (Parameter("Identity", position=0), *_COMMON), module=MODULE),
)
