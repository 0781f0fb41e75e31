"""Policies for many: batch operations, and grants to groups with their ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lab import policy_batches
from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.cmdlets_host import teams_host
from lab.posh_values import PsObject, Value
from lab.records import Effect, GroupPolicy, PolicyBatch, UserResult
from lab.rules import bad_request, not_found
from lab.tenant import View

MODULE = "MicrosoftTeams"
OF_USER = "BatchPolicyAssignment.user"  # the name by which a fault means one user of an operation
_MODELS = "Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models."


def begin(call: Call) -> Iterable[Value]:
    """New-CsBatchPolicyAssignmentOperation: gives the id of the operation."""
    host = teams_host(call)
    tenant, now = host.parts.tenant, host.parts.clock.now()
    kind, name = call.text("PolicyType"), call.text("PolicyName")
    known = next((known for known in policy_batches.TYPES if known.lower() == kind.lower()), kind)
    account = host.connection.account if host.connection else ""
    users = tuple(call.texts("Identity"))
    asked = PolicyBatch("", call.text("OperationName"), known, name, users, account, now, now)

    def spoil(user: str) -> str | None:
        found = host.parts.faults.before(OF_USER, *host.names_of(user)).error
        return found[2] if found else None

    def place(finish: Callable[[list[Effect]], None], pretend: bool) -> Iterable[Value]:
        return [policy_batches.begin(tenant, asked, finish, pretend=pretend, spoil=spoil).id]

    return host.later(call, place, users[:20])


def batches(call: Call) -> Iterable[Value]:
    """Get-CsBatchPolicyAssignmentOperation: one operation, or those of thirty days."""

    def look(view: View) -> Iterable[Value]:
        tenant = view.tenant
        if call.has("OperationId"):
            return [_batch(view, policy_batches.find(tenant, call.text("OperationId")))]
        found = [_batch(view, batch) for batch in policy_batches.remembered(tenant)]
        wanted = call.text("Status").lower()
        return [row for row in found if wanted in ("", str(row.props.get("OverallStatus")).lower())]

    return teams_host(call).read(call, look, [call.text("OperationId")])


def _batch(view: View, batch: PolicyBatch) -> PsObject:
    now = view.tenant.clock.now()
    users = policy_batches.results(batch, now)
    states = [user.state for user in users]
    props: list[tuple[str, Value]] = [
        ("OperationId", batch.id),
        ("OperationName", batch.name),
        ("OverallStatus", policy_batches.status(batch, now)),
        ("CreatedBy", batch.created_by),
        ("CreatedTime", batch.created_at),
        ("CompletedTime", batch.completed_at),
        ("CompletedCount", states.count("Completed")),
        ("ErrorCount", sum(user.result not in ("", policy_batches.SUCCESS) for user in users)),
        ("InProgressCount", states.count("InProgress")),
        ("NotStartedCount", states.count("NotStarted")),
        ("UserState", [_user(user) for user in users]),
    ]
    return PsObject(props, types=(_MODELS + "BatchAssignmentStatus", "System.Object"), adapted=True)


def _user(user: UserResult) -> PsObject:
    props: list[tuple[str, Value]] = [("Id", user.user), ("Result", user.result), ("State", user.state)]
    return PsObject(props, types=(_MODELS + "UserState", "System.Object"), adapted=True)


# Groups


def grant_to_group(call: Call) -> Iterable[Value]:
    """New-CsGroupPolicyAssignment (the group must not have the type yet) and Set-… (it must)."""
    host = teams_host(call)
    tenant, kind = host.parts.tenant, call.text("PolicyType")
    group = tenant.group_id(call.text("GroupId"))
    by = host.connection.account if host.connection else ""

    def act() -> list[Effect]:
        with tenant.lock:
            known = _known(tenant.group_policies, group, kind)
            if call.cmdlet.name.startswith("New") and known:
                raise bad_request(f"Policy type '{kind}' is already assigned to group '{group}'")
            if call.cmdlet.name.startswith("Set") and not known:
                raise not_found(f"Policy type '{kind}' is not assigned to group '{group}'")
            name = call.text("PolicyName") or (known.name if known else "")
            rank = call.number("Rank", known.rank if known else 0)
            return tenant.grant_policy_to_group(group, kind, name, rank, by=by)

    answer = list(host.write(call, act, [group]))
    return [*answer, *([True] if call.flag("PassThru") else [])]


def _known(grants: list[GroupPolicy], group: str, kind: str) -> GroupPolicy | None:
    return next((g for g in grants if g.group_id == group and g.policy_type.lower() == kind.lower()), None)


def revoke_from_group(call: Call) -> Iterable[Value]:
    """Remove-CsGroupPolicyAssignment."""
    host = teams_host(call)
    tenant, kind = host.parts.tenant, call.text("PolicyType")
    group = tenant.group_id(call.text("GroupId"))

    def act() -> list[Effect]:
        with tenant.lock:
            if not _known(tenant.group_policies, group, kind):
                raise not_found(f"Policy type '{kind}' is not assigned to group '{group}'")
            return tenant.grant_policy_to_group(group, kind, None)

    return host.write(call, act, [group])


def group_grants(call: Call) -> Iterable[Value]:
    """Get-CsGroupPolicyAssignment."""

    def look(view: View) -> Iterable[Value]:
        found = sorted(view.tenant.group_policies, key=lambda g: (g.policy_type, g.rank))
        group = view.tenant.group_id(call.text("GroupId"))
        return [_grant(row) for row in found if _is_wanted(call, row, group)]

    return teams_host(call).read(call, look, [call.text("GroupId")])


def _is_wanted(call: Call, row: GroupPolicy, group: str) -> bool:
    kind = call.text("PolicyType").lower()
    return group.lower() in ("", row.group_id.lower()) and kind in ("", row.policy_type.lower())


def _grant(row: GroupPolicy) -> PsObject:
    props: list[tuple[str, Value]] = [
        ("GroupId", row.group_id),
        ("PolicyType", row.policy_type),
        ("PolicyName", row.name),
        ("Rank", row.rank),
        ("CreatedTime", row.created_at),
        ("CreatedBy", row.created_by),
    ]
    return PsObject(props, types=(_MODELS + "GroupAssignment", "System.Object"), adapted=True)


_GROUP = (Parameter("GroupId", sets=needed(), from_property=True), Parameter("PolicyType", sets=needed()))
_RANK, _PASS_THRU = Parameter("Rank", "int"), Parameter("PassThru", "switch")

POLICY_BATCHES = (
    Cmdlet(
        "New-CsBatchPolicyAssignmentOperation",
        begin,
        (
            Parameter("PolicyType", sets=needed()),
            # Mandatory in its set, so that null and an empty text are values: they take the direct grant away.
            Parameter("PolicyName", sets=needed("Batch")),
            Parameter("Identity", "strings", sets=needed()),
            Parameter("OperationName"),
            Parameter("AdditionalParameters", "hashtable"),
        ),
        default_set="Batch",
        module=MODULE,
        changes=True,
    ),
    Cmdlet(
        "Get-CsBatchPolicyAssignmentOperation",
        batches,
        (
            Parameter("OperationId", aliases=("Identity",), from_property=True),
            Parameter("Status", choices=("NotStarted", "InProgress", "Completed")),
        ),
        module=MODULE,
    ),
    Cmdlet(
        "New-CsGroupPolicyAssignment",
        grant_to_group,
        (*_GROUP, Parameter("PolicyName", sets=needed()), _RANK, _PASS_THRU),
        module=MODULE,
        changes=True,
    ),
    Cmdlet(
        "Set-CsGroupPolicyAssignment",
        grant_to_group,
        (*_GROUP, Parameter("PolicyName"), _RANK, _PASS_THRU),
        module=MODULE,
        changes=True,
    ),
    Cmdlet("Remove-CsGroupPolicyAssignment", revoke_from_group, (*_GROUP, _PASS_THRU), module=MODULE, changes=True),
    Cmdlet(
        "Get-CsGroupPolicyAssignment",
        group_grants,
        (Parameter("GroupId"), Parameter("PolicyType")),
        module=MODULE,
    ),
)
