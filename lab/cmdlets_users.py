"""Get-CsOnlineUser: what the telephony service shows of a user, and the filter over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cmp_to_key
from itertools import islice

from lab.catalogue import POLICIES, UPGRADE_MODES
from lab.cmdlets import Call, Cmdlet, Parameter, words
from lab.cmdlets_filter import FilterRefused, Predicate, parse_filter
from lab.cmdlets_host import host_of, teams_host
from lab.grants import UPGRADE
from lab.posh_compare import order
from lab.posh_values import Bag, PsObject, Value
from lab.records import Number, User, Voice
from lab.rules import Refusal, bad_request
from lab.tenant import View

_TYPE = ("Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models.UserMas", "System.Object")
_POLICY = ("Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models.UserPolicyDefinition", "System.Object")
_EFFECTIVE = ("Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models.EffectivePolicyAssignment", "System.Object")
_ASSIGNED = ("Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models.PolicyAssignment", "System.Object")
_LINE = ("Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models.AssignedTelephoneNumber", "System.Object")
_OPERATORS = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "like", "contains"})
# Properties that came with a version of the module.
_SINCE = {"LastName": (4, 2, 1), "TelephoneNumbers": (6, 9, 0), "EffectivePolicyAssignments": (7, 1, 1)}
_ALWAYS = ("Identity", "UserPrincipalName", "Alias", "AccountEnabled", "DisplayName")
# Granted per user, but shown by no property of a user.
SHOWN_POLICIES = tuple(kind for kind in POLICIES if kind not in ("DialoutPolicy",))


def online_users(call: Call) -> Iterable[Value]:
    """List users, or find one by id, UPN, SIP address or alias."""
    host = teams_host(call)
    identity = call.text("Identity")
    names = host.names_of(identity) if identity else ()
    return host.read(call, lambda view: _one(call, view) if identity else _many(call, view), names)


def _one(call: Call, view: View) -> Iterable[Value]:
    identity = call.text("Identity")
    user = view.user(identity) or view.user(f"{identity}@{view.tenant.domain}")
    if user is None:
        raise Refusal("NotFound", f'Management object not found for identity "{identity}".', status=404)
    return [_chosen(call, _row(call, view, user))]


def _many(call: Call, view: View) -> Iterable[Value]:
    keeps = _filter(call)
    flow: Iterator[PsObject] = (_row(call, view, user) for user in _accounts(call, view))
    kept: Iterator[PsObject] = (row for row in flow if keeps(_lookup(row)))
    if call.has("AccountType"):
        wanted = call.text("AccountType")
        kept = (row for row in kept if row.props.get("AccountType") == wanted)
    if call.has("Sort"):
        kept = iter(_sorted(call.text("Sort"), kept))
    size = call.number("ResultSize", 2**31 - 1)
    return (_chosen(call, row) for row in islice(kept, max(0, size)))


def _lookup(row: PsObject) -> Callable[[str], Value]:
    """Let a filter see policies by their names."""

    def find(name: str) -> Value:
        value = row.props.get(name)
        return value.text if isinstance(value, PsObject) else value

    return find


def _accounts(call: Call, view: View) -> Iterator[User]:
    if not call.flag("SoftDeletedUser"):
        yield from view.users()
    yield from list(view.tenant.deleted.values())


def _filter(call: Call) -> Predicate:
    if not call.has("Filter"):
        return lambda _lookup: True
    try:
        return parse_filter(call.text("Filter"), _OPERATORS, lambda name: name.lower() in PROPERTIES)
    except FilterRefused as error:
        raise bad_request(str(error)) from error


def _sorted(text: str, rows: Iterator[PsObject]) -> list[PsObject]:
    name, _, direction = text.strip().partition(" ")
    if name.lower() not in PROPERTIES:
        raise bad_request(f"The property '{name}' is not supported for sorting.")

    def compare(one: PsObject, other: PsObject) -> int:
        return order(one.props.get(name) or "", other.props.get(name) or "")

    return sorted(rows, key=cmp_to_key(compare), reverse=direction.strip().lower() == "desc")


def _chosen(call: Call, row: PsObject) -> PsObject:
    wanted = [part.strip() for item in call.texts("Properties") for part in item.split(",")]
    if not wanted:
        return row
    kept = Bag((name, row.props.get(name)) for name in (*_ALWAYS, *wanted) if name in row.props)
    return PsObject(kept.items(), types=_TYPE, adapted=True)


def _row(call: Call, view: View, user: User) -> PsObject:
    """Show a user as this version of the module does."""
    shown = online_user(view, user)
    if call.flag("SkipUserPolicies"):
        for kind in SHOWN_POLICIES:
            shown.props.remove(kind)
    version = host_of(call).version
    later = {name for name, since in _SINCE.items() if since > version}
    for name in later | ({"EffectivePolicyAssignments"} if call.flag("SkipUserPolicies") else set()):
        shown.props.remove(name)
    return shown


def online_user(view: View, user: User) -> PsObject:
    """Show one user as the service does."""
    voice, numbers = view.voice(user.id), view.numbers_held_by(user.id)
    features = view.tenant.features(user) if user.licences else frozenset()
    props = [*_identity(view, user, voice, features), *_telephony(voice, numbers, features)]
    props += _on_premises(view, user)
    props += _policy_props(voice, view.tenant.tenant_policies.get(UPGRADE, "Global"))
    props.append(("EffectivePolicyAssignments", _effective(view, user, voice)))
    return PsObject(props, types=_TYPE, adapted=True)


def _identity(view: View, user: User, voice: Voice, features: frozenset[str]) -> list[tuple[str, Value]]:
    fields = user.fields.get
    return [
        ("Identity", user.id),
        ("UserPrincipalName", user.upn),
        ("Alias", fields("mailNickname") or user.upn.partition("@")[0]),
        ("DisplayName", fields("displayName")),
        ("GivenName", fields("givenName")),
        ("LastName", fields("surname")),
        ("AccountEnabled", fields("accountEnabled")),
        ("AccountType", _account_type(user, voice, features)),
        ("UserDirSyncEnabled", bool(fields("onPremisesSyncEnabled"))),
        ("InterpretedUserType", _interpreted(user, voice, features)),
        ("UsageLocation", fields("usageLocation")),
        ("Country", fields("country")),
        ("City", fields("city")),
        ("Department", fields("department")),
        ("Title", fields("jobTitle")),
        ("Company", fields("companyName")),
        ("TenantId", view.tenant.tenant_id),
        ("SoftDeletionTimestamp", user.deleted_at),
        ("WhenCreated", _moment(fields("createdDateTime"))),
        ("WhenChanged", voice.modified_at),
    ]


def _telephony(voice: Voice, numbers: list[Number], features: frozenset[str]) -> list[tuple[str, Value]]:
    line = next((f"tel:{number.telephone_number}" for number in numbers if number.category == "primary"), None)
    on_premises = voice.homed_on_premises
    return [
        ("SipAddress", voice.sip_address),
        ("IsSipEnabled", bool(features) and voice.sip_address is not None),
        ("LineUri", line or voice.on_prem_line_uri),
        ("TelephoneNumbers", [_line(number) for number in numbers]),
        ("OnPremLineURI", voice.on_prem_line_uri),
        ("OnPremHostingProvider", "SRV:" if on_premises else None),
        ("HostingProvider", "SRV:" if on_premises else "sipfed.online.lync.com"),
        ("RegistrarPool", None if on_premises else "sippoolams1a01.infra.lync.com"),
        ("EnterpriseVoiceEnabled", voice.enterprise_voice),
        ("FeatureTypes", sorted(features)),
        ("UserValidationErrors", []),
    ]


def _on_premises(view: View, user: User) -> list[tuple[str, Value]]:
    """Show what the on-premises servers know of a user."""
    sam = (user.text("onPremisesSamAccountName") or "").casefold()
    known = view.tenant.skype.get(sam)
    return [
        ("OnPremSipAddress", known.sip_address if known else None),
        ("OnPremSIPEnabled", bool(known and known.enabled)),
        ("OnPremEnterpriseVoiceEnabled", bool(known and known.enterprise_voice)),
    ]


def _policy_props(voice: Voice, default_mode: str = "Global") -> list[tuple[str, Value]]:
    upgrade = voice.policies.get(UPGRADE, default_mode)
    found: list[tuple[str, Value]] = [("TeamsUpgradeEffectiveMode", UPGRADE_MODES.get(upgrade, "Islands"))]
    for kind in SHOWN_POLICIES:
        name = voice.policies.get(kind)
        found.append((kind, None if name is None else _definition(name)))
    return found


def _effective(view: View, user: User, voice: Voice) -> list[Value]:
    """Show what works for a user, direct or through a group; the policy's id is never filled in."""
    found: list[Value] = []
    for row in view.tenant.effective_policies(user.id, voice):
        kind = "group" if row.group_id else "direct"
        inner = PsObject(
            [
                ("displayName", row.policy.name),
                ("assignmentType", kind),
                ("policyId", None),
                ("groupId", row.group_id),
            ],
            types=_ASSIGNED,
            adapted=True,
        )
        props: list[tuple[str, Value]] = [("PolicyType", row.policy.policy_type), ("PolicyAssignment", inner)]
        found.append(PsObject(props, types=_EFFECTIVE, adapted=True))
    return found


def _definition(name: str) -> PsObject:
    return PsObject([("Name", name), ("Authority", "Tenant")], types=_POLICY, adapted=True, text=name)


def _line(number: Number) -> PsObject:
    props: list[tuple[str, Value]] = [
        ("TelephoneNumber", number.telephone_number),
        ("AssignmentCategory", number.category.capitalize()),
    ]
    return PsObject(props, types=_LINE, adapted=True, text=number.telephone_number)


def _moment(value: object) -> Value:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _account_type(user: User, voice: Voice, features: frozenset[str]) -> str:
    if user.account_type != "user":
        return {"resourceAccount": "ResourceAccount", "guest": "Guest"}[user.account_type]
    if voice.homed_on_premises:
        return "SfBOnPremUser"
    return "User" if features else "IneligibleUser"


def _interpreted(user: User, voice: Voice, features: frozenset[str]) -> str:
    origin = "DirSyncEnabledOnline" if user.fields.get("onPremisesSyncEnabled") else "PureOnline"
    if user.account_type == "resourceAccount":
        return f"{origin}ApplicationInstance"
    if voice.homed_on_premises:
        return "HybridOnpremSfBUser"
    if not features:
        return f"{origin}UserNotLicensedForService"
    return f"{origin}TeamsOnlyUser"


def _names() -> frozenset[str]:
    empty = Voice("")
    fixed = [
        *words("identity userprincipalname alias displayname givenname lastname accountenabled accounttype"),
        *words("userdirsyncenabled interpretedusertype usagelocation country city department title company"),
        *words("tenantid softdeletiontimestamp whencreated whenchanged"),
        *words("onpremsipaddress onpremsipenabled onprementerprisevoiceenabled"),
    ]
    made = [name.lower() for name, _ in _telephony(empty, [], frozenset()) + _policy_props(empty)]
    return frozenset(fixed + made)


PROPERTIES = _names()

USERS = (
    Cmdlet(
        "Get-CsOnlineUser",
        online_users,
        (
            Parameter("Identity", position=0, from_value=True, from_property=True),
            Parameter("AccountType", choices=("User", "ResourceAccount", "Guest", "SfBOnPremUser", "IneligibleUser")),
            Parameter("Filter"),
            Parameter("Properties", "strings", since=(6, 9, 0)),
            Parameter("ResultSize", "int"),
            Parameter("SkipUserPolicies", "switch"),
            Parameter("SoftDeletedUser", "switch"),
            Parameter("Sort", aliases=("OrderBy",)),
        ),
        module="MicrosoftTeams",
    ),
)
