"""Granting policies and reading which ones work for a user."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lab.catalogue import POLICIES
from lab.cmdlets import Call, Cmdlet, Parameter, allowed, needed
from lab.cmdlets_host import Host, host_of, teams_host
from lab.cmdlets_skype import grant_policy
from lab.cmdlets_users import online_user
from lab.grants import UPGRADE, EffectivePolicy
from lab.posh_values import PsObject, Value
from lab.records import Effect
from lab.rules import bad_request, unknown_user
from lab.skype import POLICIES as ON_PREMISES
from lab.tenant import View

MODULE = "MicrosoftTeams"
_MODELS = "Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models."


_UPGRADE_WARNINGS = (
    "The users may take up to 24 hours to be moved to the new mode.",
    "When users are upgraded to Teams, meetings they organised before are converted asynchronously.",
)


def _grant(policy_type: str) -> Callable[[Call], Iterable[Value]]:
    def grant(call: Call) -> Iterable[Value]:
        """Grant a policy to a user, a group or the tenant; a null name takes the grant away."""
        if policy_type in ON_PREMISES and host_of(call).connection is None and call.set_name == "Identity":
            return grant_policy(call, policy_type)
        host = teams_host(call)
        tenant, name = host.parts.tenant, call.text("PolicyName") or None
        subject = call.text("Group") or call.text("Identity")

        def act() -> list[Effect]:
            if call.set_name == "Group":
                return tenant.grant_policy_to_group(subject, policy_type, name, call.number("Rank", 0))
            if call.set_name == "Global":
                return tenant.grant_policy_to_tenant(policy_type, name)
            return tenant.grant_policy(subject, policy_type, name)

        if policy_type == UPGRADE and name is not None:
            _warn(call, name)
        answer = list(host.write(call, act, _names(call, host)))
        return [*answer, *_passed(call)]

    return grant


def _names(call: Call, host: Host) -> list[str]:
    """Give every name of whom a grant is about: a group, a user or the tenant."""
    group, tenant = call.text("Group"), host.parts.tenant
    if group:
        return [tenant.group_id(group), group]
    return host.names_of(call.text("Identity")) if call.text("Identity") else [tenant.tenant_id]


def _warn(call: Call, name: str) -> None:
    """Warn whatever -WarningAction says: the real cmdlet is not silenced either."""
    for text in _UPGRADE_WARNINGS[: 2 if name.casefold() == "upgradetoteams" else 1]:
        call.scope.run.streams.message("warning", text)


def _passed(call: Call) -> Iterable[Value]:
    tenant = teams_host(call).parts.tenant
    user = tenant.find_user(call.text("Identity"))
    return [online_user(tenant.view(), user)] if call.flag("PassThru") and user else []


def user_policies(call: Call) -> Iterable[Value]:
    """Get-CsUserPolicyAssignment: the policies that work for a user; a type that is absent is Global."""
    host = teams_host(call)
    identity = call.text("Identity")

    def look(view: View) -> Iterable[Value]:
        user = view.user(identity)
        if user is None:
            raise unknown_user(identity)
        wanted = call.text("PolicyType")
        if wanted and view.tenant.find_policy(wanted, "Global") is None:
            raise bad_request(f"'{wanted}' is not a valid policy type")
        sources: dict[str, list[EffectivePolicy]] = {}
        for row in view.tenant.policy_sources(user.id):
            if wanted.lower() in ("", row.policy.policy_type.lower()):
                sources.setdefault(row.policy.policy_type, []).append(row)
        return [_effective(rows) for rows in sources.values()]

    return host.read(call, look, host.names_of(identity))


def _effective(rows: list[EffectivePolicy]) -> PsObject:
    """Show what works for one policy type and every grant that reaches the user, the strongest first."""
    policy = rows[0].policy
    props: list[tuple[str, Value]] = [
        ("PolicyType", policy.policy_type),
        ("PolicyName", policy.name),
        ("PolicySource", [_source(row) for row in rows]),
    ]
    return PsObject(props, types=(_MODELS + "EffectivePolicy", "System.Object"), adapted=True)


def _source(row: EffectivePolicy) -> PsObject:
    props: list[tuple[str, Value]] = [
        ("AssignmentType", "Group" if row.group_id else "Direct"),
        ("PolicyName", row.policy.name),
        ("Reference", row.group_id),
    ]
    return PsObject(props, types=(_MODELS + "PolicySource", "System.Object"), adapted=True)


GRANTS = (
    *(
        Cmdlet(
            f"Grant-Cs{policy_type}",
            _grant(policy_type),
            (
                Parameter("Identity", position=0, sets=needed("Identity"), from_value=True, from_property=True),
                Parameter("PolicyName", position=1, from_property=True),
                Parameter("Global", "switch", sets=needed("Global")),
                Parameter("Group", sets=needed("Group"), since=(4, 5, 1)),
                Parameter("Rank", "int", sets=allowed("Group"), since=(4, 5, 1)),
                Parameter("PassThru", "switch", sets=allowed("Identity", "Global", "Group")),
            ),
            default_set="Identity",
            module=MODULE,
            changes=True,
        )
        for policy_type in POLICIES
    ),
    Cmdlet(
        "Get-CsUserPolicyAssignment",
        user_policies,
        (Parameter("Identity", position=0, sets=needed(), from_value=True), Parameter("PolicyType")),
        module=MODULE,
    ),
)
