"""Users of the on-premises servers: reading, enabling, changing, granting, moving, disabling."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from uuid import UUID

from lab import moves, skype
from lab.catalogue import POLICIES as CLOUD_POLICIES
from lab.cmdlets import Call, Cmdlet, Parameter, allowed, needed, words
from lab.cmdlets_directory import ad_value
from lab.cmdlets_filter import FilterRefused, Predicate, parse_filter, parse_ldap
from lab.cmdlets_host import host_of
from lab.host_files import text_of
from lab.moves import Move
from lab.posh_errors import ErrorRecord, StatementError
from lab.posh_values import Bag, PsObject, Value
from lab.records import ZERO_GUID, AdUser, Effect
from lab.rules import Refusal, bad_request
from lab.skype_records import ON_PREMISES, SkypeUser
from lab.tenant import Tenant, View

MODULE = "SkypeForBusiness"
_AD = "Microsoft.Rtc.Management.AD."
_OPERATORS = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "like", "notlike", "match", "contains"})
_FLAGS = words("HostedVoiceMail RemoteCallControlTelephonyEnabled AudioVideoDisabled ExchangeArchivingPolicy")
_TEXTS = words("LineServerURI OnPremLineURI ExUmEnabled")


def skype_error(refusal: Refusal) -> ErrorRecord:
    """Word a refusal as the server's module does."""
    found = refusal.code == "NotFound"
    exception = _AD + ("ManagementObjectNotFoundException" if found else "ManagementException")
    error_id = ("ManagementObjectNotFound" if found else "InvalidOperation") + ",Microsoft.Rtc.Management.AD.Cmdlets"
    return ErrorRecord(refusal.message, error_id, "ObjectNotFound" if found else "InvalidOperation", exception)


# Reading


def users(call: Call) -> Iterable[Value]:
    """Get-CsUser: the enabled users, or one; Get-CsAdUser: every account of the directory."""
    everybody = call.cmdlet.name == "Get-CsAdUser"

    def look(view: View) -> Iterable[Value]:
        tenant = view.tenant
        if call.text("Identity"):
            row = skype.account(tenant, call.text("Identity"))
            if not everybody:
                skype.user(tenant, call.text("Identity"))
            return [shown(tenant, row)]
        keeps, size = _predicate(call), call.number("ResultSize", len(tenant.ad_users))
        rows = [shown(tenant, row) for row in _accounts(call, tenant, everybody=everybody) if keeps(row)]
        kept = _named(call, rows)
        return kept[:size]

    return host_of(call).read(call, look, [call.text("Identity")], tell=skype_error)


def _accounts(call: Call, tenant: Tenant, *, everybody: bool) -> Iterable[AdUser]:
    unit = call.text("OU").lower()
    for sam, row in list(tenant.ad_users.items()):
        wanted = everybody or sam in tenant.skype
        if call.flag("UnAssignedUser"):
            wanted = sam in tenant.skype and tenant.skype[sam].pool is None
        if wanted and row.distinguished_name.lower().endswith(unit):
            yield row


def _predicate(call: Call) -> Callable[[AdUser], bool]:
    if not call.has("LdapFilter"):
        return lambda _row: True
    try:
        test = parse_ldap(call.text("LdapFilter"))
    except FilterRefused as error:
        raise bad_request(str(error)) from error
    return lambda row: test(lambda name: ad_value(row, name))


def _named(call: Call, rows: list[PsObject]) -> list[PsObject]:
    """Keep what `-Filter` over the server's own attributes keeps."""
    if not call.has("Filter"):
        return rows
    known = {name.lower() for row in rows[:1] for name in row.props}
    try:
        test: Predicate = parse_filter(call.text("Filter"), _OPERATORS, lambda name: not rows or name.lower() in known)
    except FilterRefused as error:
        raise bad_request(str(error)) from error
    return [row for row in rows if test(row.props.get)]


def shown(tenant: Tenant, row: AdUser) -> PsObject:
    """Show a user as the server does; who is not enabled has no values of the server."""
    sam = row.sam_account_name.casefold()
    user = tenant.skype.get(sam)
    props = [*_directory(row), *_server(tenant, user), *_policies(user)]
    types = (_AD + "ADUser", "System.Object")
    return PsObject(props, types=types, adapted=True, text=row.distinguished_name)


def _directory(row: AdUser) -> list[tuple[str, Value]]:
    get = row.attributes.get
    return [
        ("Identity", row.distinguished_name),
        ("SamAccountName", row.sam_account_name),
        ("UserPrincipalName", row.upn),
        ("DisplayName", get("displayName")),
        ("FirstName", get("givenName")),
        ("LastName", get("sn")),
        ("WindowsEmailAddress", get("mail")),
        ("Phone", get("telephoneNumber")),
        ("Department", get("department")),
        ("SipAddress", get("msRTCSIP-PrimaryUserAddress")),
        ("LineURI", get("msRTCSIP-Line") or ""),
        ("PrivateLine", get("msRTCSIP-PrivateLine")),
        ("Guid", UUID(row.object_guid)),
        ("ObjectClass", ["top", "person", "organizationalPerson", "user"]),
    ]


def _server(tenant: Tenant, user: SkypeUser | None) -> list[tuple[str, Value]]:
    flags = dict(user.flags) if user else {}
    return [
        ("Enabled", bool(user and user.enabled)),
        ("EnterpriseVoiceEnabled", bool(user and user.enterprise_voice)),
        ("RegistrarPool", user.pool if user else None),
        ("HomeServer", f"CN={user.pool}" if user and user.pool else None),
        ("HostingProvider", user.provider if user else None),
        ("TenantId", ZERO_GUID if not user or user.provider == ON_PREMISES else tenant.tenant_id),
        ("HostedVoiceMail", flags.get("HostedVoiceMail")),
        *((name, flags.get(name)) for name in (*_FLAGS[1:], *_TEXTS)),
        ("ExchUserHoldPolicies", []),
        ("OriginatingServer", f"dc1.{tenant.domain}"),
        ("WhenChanged", user.changed_at if user else None),
    ]


def _policies(user: SkypeUser | None) -> list[tuple[str, Value]]:
    return [(kind, user.policies.get(kind) if user else None) for kind in skype.POLICIES]


# Writing


def _written(call: Call, act: Callable[[], list[Effect]]) -> Iterable[Value]:
    """Carry out a change through the fault plan; -PassThru gives the user."""
    host = host_of(call)
    identity = call.text("Identity")
    answer = list(host.write(call, act, _names(host.parts.tenant, identity), tell=skype_error))
    if call.flag("PassThru"):
        answer.append(shown(host.parts.tenant, skype.account(host.parts.tenant, identity)))
    return answer


def _names(tenant: Tenant, identity: str) -> list[str]:
    """Give every name of a user, so that a fault for any of them hits."""
    try:
        row = skype.account(tenant, identity)
    except Refusal:
        return [identity]
    address = row.attributes.get("msRTCSIP-PrimaryUserAddress", "")
    user_id = tenant.by_sam.get(row.sam_account_name.casefold(), "")
    return [row.sam_account_name, row.upn, address, user_id, identity]


def enable(call: Call) -> Iterable[Value]:
    """Enable-CsUser: with an address, or a way to make one."""
    tenant = host_of(call).parts.tenant

    def act() -> list[Effect]:
        address = call.text("SipAddress") or _address(call, skype.account(tenant, call.text("Identity")))
        return skype.enable(tenant, call.text("Identity"), address, call.text("RegistrarPool"))

    return _written(call, act)


def _address(call: Call, row: AdUser) -> str:
    kind, domain = call.text("SipAddressType"), call.text("SipDomain")
    get = row.attributes.get
    if kind in ("FirstLastName", "SamAccountName") and not domain:
        raise bad_request(f"SipDomain is required for SipAddressType {kind}.")
    made = {
        "EmailAddress": get("mail", ""),
        "UserPrincipalName": row.upn,
        "FirstLastName": f"{get('givenName', '')}.{get('sn', '')}@{domain}",
        "SamAccountName": f"{row.sam_account_name}@{domain}",
    }
    return f"sip:{made[kind]}"


def change(call: Call) -> Iterable[Value]:
    """Set-CsUser: a null line clears it."""
    tenant = host_of(call).parts.tenant
    own = {name: call.flag(name) for name in ("EnterpriseVoiceEnabled", "Enabled") if call.has(name)}
    changes: dict[str, object] = {**own, **{name: call.flag(name) for name in _FLAGS[:3] if call.has(name)}}
    changes |= {name: call.text(name) for name in ("SipAddress", *_FLAGS[3:], *_TEXTS) if call.has(name)}
    names = {"LineURI": "msRTCSIP-Line", "PrivateLine": "msRTCSIP-PrivateLine"}
    lines = {ldap: call.text(name) or None for name, ldap in names.items() if call.has(name)}
    if call.has("SipAddress"):
        lines["msRTCSIP-PrimaryUserAddress"] = call.text("SipAddress")
    return _written(call, lambda: skype.change(tenant, call.text("Identity"), changes, lines))


def disable(call: Call) -> Iterable[Value]:
    """Disable-CsUser."""
    tenant = host_of(call).parts.tenant
    return _written(call, lambda: skype.disable(tenant, call.text("Identity")))


def grant_policy(call: Call, policy_type: str) -> Iterable[Value]:
    """Grant-Cs… on premises."""
    tenant, name = host_of(call).parts.tenant, call.text("PolicyName") or None
    return _written(call, lambda: skype.grant(tenant, call.text("Identity"), policy_type, name))


def _grant(policy_type: str) -> Callable[[Call], Iterable[Value]]:
    return lambda call: grant_policy(call, policy_type)


def _policy_list(policy_type: str) -> Callable[[Call], Iterable[Value]]:
    def read(call: Call) -> Iterable[Value]:
        """List the policies of the deployment."""

        def look(view: View) -> Iterable[Value]:
            names = ["Global", *(f"Tag:{name}" for name in skype.policies_of(view.tenant, policy_type))]
            wanted = call.text("Identity").lower()
            found = [name for name in names if wanted in ("", name.lower(), name.lower().removeprefix("tag:"))]
            if not found:
                raise skype.missing(call.text("Identity"))
            types = (_AD + policy_type, "System.Object")
            return [PsObject([("Identity", name)], types=types, adapted=True) for name in found]

        return host_of(call).read(call, look, [call.text("Identity")], tell=skype_error)

    return read


def move(call: Call) -> Iterable[Value]:
    """Move-CsUser: to the cloud, with its checks, or to a pool."""
    return _move_list(call) if call.set_name == "Users" else _move_one(call)


def _move_list(call: Call) -> Iterator[Value]:
    """Move everybody a file names, separated by commas; one who is refused is an error and the others go on."""
    try:
        listed = text_of(host_of(call).parts, call.text("UserList"))
    except Refusal as refusal:
        raise call.fail(skype_error(refusal)) from refusal
    for identity in filter(None, (part.strip() for part in re.split(r"[,\n]", listed))):
        given = [(name, value) for name, value in call.bound.items() if name != "UserList"]
        try:
            yield from _move_one(replace(call, bound=Bag([("Identity", identity), *given])))
        except StatementError as error:
            call.error(error.record)


def _move_one(call: Call) -> Iterable[Value]:
    tenant = host_of(call).parts.tenant
    wanted = Move(
        call.text("Identity"),
        call.text("Target"),
        bypass_voice_check=call.flag("BypassEnterpriseVoiceCheck"),
        admin=call.text("TenantAdminUserName"),
        override_url=call.text("HostedMigrationOverrideUrl"),
    )
    return _written(call, lambda: moves.move(tenant, wanted))


_IDENTITY = Parameter("Identity", position=0, sets=needed(), from_value=True, from_property=True)
_COMMON = (Parameter("DomainController"), Parameter("PassThru", "switch"))
_SEARCH = (
    Parameter("Identity", position=0, from_value=True, from_property=True),
    Parameter("Filter"),
    Parameter("LdapFilter"),
    Parameter("OU"),
    Parameter("ResultSize", "int"),
    Parameter("DomainController"),
    Parameter("Credential", "any"),
)
_SIP_TYPES = ("FirstLastName", "EmailAddress", "UserPrincipalName", "SamAccountName")
_MOVE_SWITCHES = (
    *words("BypassEnterpriseVoiceCheck BypassAudioConferencingCheck MoveToTeams MoveConferenceData Force"),
    *words("UseLegacyMode IgnoreBackendStoreException"),
)
_MOVE_TEXTS = words("HostedMigrationOverrideUrl TenantAdminUserName ProxyPool Report")


def _policy_cmdlets(kinds: Iterable[str]) -> Iterator[Cmdlet]:
    """Give the cmdlets that grant and list policies of some types."""
    granted = (_IDENTITY, Parameter("PolicyName", position=1, from_property=True), *_COMMON)
    for kind in kinds:
        yield Cmdlet(f"Grant-Cs{kind}", _grant(kind), granted, module=MODULE, changes=True)
        yield Cmdlet(f"Get-Cs{kind}", _policy_list(kind), (Parameter("Identity", position=0),), module=MODULE)


SKYPE_USERS = (
    Cmdlet(
        "Get-CsUser",
        users,
        (*_SEARCH, *(Parameter(name, "switch") for name in ("UnAssignedUser", "OnModernServer", "OnLyncServer"))),
        module=MODULE,
    ),
    Cmdlet("Get-CsAdUser", users, _SEARCH, module=MODULE),
    Cmdlet(
        "Enable-CsUser",
        enable,
        (
            _IDENTITY,
            Parameter("SipAddress", sets=needed("SipAddress")),
            Parameter("SipAddressType", sets=needed("SipAddressType"), choices=_SIP_TYPES),
            Parameter("SipDomain", sets=allowed("SipAddressType")),
            Parameter("RegistrarPool", sets=needed()),
            *_COMMON,
        ),
        default_set="SipAddress",
        module=MODULE,
        changes=True,
    ),
    Cmdlet(
        "Set-CsUser",
        change,
        (
            _IDENTITY,
            Parameter("LineURI", from_property=True),
            Parameter("PrivateLine"),
            Parameter("SipAddress"),
            *(Parameter(name, "bool") for name in ("EnterpriseVoiceEnabled", "Enabled", *_FLAGS[:3])),
            *(Parameter(name) for name in (*_FLAGS[3:], *_TEXTS)),
            *_COMMON,
        ),
        module=MODULE,
        changes=True,
    ),
    Cmdlet("Disable-CsUser", disable, (_IDENTITY, *_COMMON), module=MODULE, changes=True),
    Cmdlet(
        "Move-CsUser",
        move,
        (
            Parameter("Identity", position=0, sets=needed("Identity"), from_value=True, from_property=True),
            Parameter("UserList", sets=needed("Users")),
            Parameter("Target", position=1, sets=needed()),
            Parameter("Credential", "any"),
            Parameter("AccessTokens", "strings"),
            *(Parameter(name) for name in _MOVE_TEXTS),
            *(Parameter(name, "switch") for name in _MOVE_SWITCHES),
            *_COMMON,
        ),
        default_set="Identity",
        module=MODULE,
        changes=True,
    ),
    # Types the cloud has too are granted by one cmdlet that looks whether a Teams connection is there.
    *_policy_cmdlets(kind for kind in skype.POLICIES if kind not in CLOUD_POLICIES),
)
# Where there are no Teams cmdlets, the server's own ones of these types are seen.
SKYPE_SHARED = tuple(_policy_cmdlets(kind for kind in skype.POLICIES if kind in CLOUD_POLICIES))
