"""Granting policies and reading which ones work for a user."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lab.catalogue import POLICIES
from lab.cmdlets import Call, Cmdlet, Parameter, allowed, needed
from lab.cmdlets_host import teams_host
from lab.cmdlets_users import online_user
from lab.posh_errors import not_supported
from lab.posh_values import PsObject, Value
from lab.records import Effect
from lab.rules import bad_request, unknown_user
from lab.tenant import View
from lab.voice import EffectivePolicy

MODULE = "MicrosoftTeams"
_MODELS = "Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models."


def _grant(policy_type: str) -> Callable[[Call], Iterable[Value]]:
    def grant(call: Call) -> Iterable[Value]:
        """Grant a policy to a user or a group; a null name takes the direct grant away."""
        host = teams_host(call)
        if call.set_name == "Global":
            raise call.fail(not_supported(f"{call.cmdlet.name} -Global"))
        tenant, name = host.parts.tenant, call.text("PolicyName") or None
        subject = call.text("Group") or call.text("Identity")

        def act() -> list[Effect]:
            if call.set_name == "Group":
                return tenant.grant_policy_to_group(subject, policy_type, name, call.number("Rank", 0))
            return tenant.grant_policy(subject, policy_type, name)

        if policy_type == "TeamsUpgradePolicy" and name is not None:
            call.message("warning", "The users may take up to 24 hours to be moved to the new mode.")
        answer = list(host.write(call, act, host.names_of(subject)))
        return [*answer, *_passed(call)]

    return grant


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
        found = view.tenant.effective_policies(user.id)
        wanted = call.text("PolicyType")
        if wanted and view.tenant.find_policy(wanted, "Global") is None:
            raise bad_request(f"'{wanted}' is not a valid policy type")
        return [_effective(row) for row in found if wanted.lower() in ("", row.policy.policy_type.lower())]

    return host.read(call, look, host.names_of(identity))


def _effective(row: EffectivePolicy) -> PsObject:
    source = PsObject(
        [
            ("AssignmentType", "Group" if row.group_id else "Direct"),
            ("PolicyName", row.policy.name),
            ("Reference", row.group_id),
        ],
        types=(_MODELS + "PolicySource", "System.Object"),
        adapted=True,
    )
    props: list[tuple[str, Value]] = [
        ("PolicyType", row.policy.policy_type),
        ("PolicyName", row.policy.name),
        ("PolicySource", [source]),
    ]
    return PsObject(props, types=(_MODELS + "EffectivePolicy", "System.Object"), adapted=True)


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
                Parameter("Rank", "int", sets=needed("Group"), since=(4, 5, 1)),
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
