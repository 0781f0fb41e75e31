"""What a number carries beside its assignment: block, tags, policies of its own, and the tenant's rules for all."""

from __future__ import annotations

from collections.abc import Iterable

from lab import inventory, rules
from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.cmdlets_host import teams_host
from lab.posh_values import PsObject, Value
from lab.records import Effect, Json, Number
from lab.rules import bad_request
from lab.tenant import View

MODULE = "MicrosoftTeams"
_MODELS = "Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models."
LONGEST_BLOCK = 365


def check_days(days: int) -> None:
    """Refuse a block that is too short or too long."""
    if not 1 <= days <= LONGEST_BLOCK:
        raise bad_request(f"AssignmentBlockedDays must be between 1 and {LONGEST_BLOCK}.")


def block(call: Call) -> Iterable[Value]:
    """Set-CsPhoneNumberAssignmentBlock: nobody may get the number for some days, or ever."""
    host = teams_host(call)
    days = 0 if call.flag("AssignmentBlockedForever") else call.number("AssignmentBlockedDays", 0)

    def act() -> list[Effect]:
        if not call.flag("AssignmentBlockedForever"):
            check_days(days)
        return host.parts.tenant.block_number(call.text("TelephoneNumber"), days=days)

    return host.write(call, act, [call.text("TelephoneNumber")])


def unblock(call: Call) -> Iterable[Value]:
    """Remove-CsPhoneNumberAssignmentBlock: lift the block."""
    host = teams_host(call)
    number = call.text("TelephoneNumber")
    return host.write(call, lambda: host.parts.tenant.block_number(number, days=-1), [number])


def tag(call: Call) -> Iterable[Value]:
    """Set-CsPhoneNumberTag and Remove-CsPhoneNumberTag."""
    host, word = teams_host(call), [call.text("Tag")]
    removing = call.cmdlet.name.startswith("Remove")

    def act() -> list[Effect]:
        added, gone = ([], word) if removing else (word, [])
        return inventory.change_tags(host.parts.tenant, call.text("PhoneNumber"), add=added, remove=gone)

    return host.write(call, act, [call.text("PhoneNumber")])


def tags(call: Call) -> Iterable[Value]:
    """Get-CsPhoneNumberTag: every tag in use."""

    def look(view: View) -> Iterable[Value]:
        return [_object("SkypeTelephoneNumberMgmtCmdletTenantTagRecord", TagValue=word) for word in _words(view)]

    return teams_host(call).read(call, look)


def _words(view: View) -> list[str]:
    return inventory.all_tags(view.tenant)


def _object(type_: str, **props: Value) -> PsObject:
    return PsObject(props.items(), types=(_MODELS + type_, "System.Object"), adapted=True)


# Policies of a number


def grant(call: Call) -> Iterable[Value]:
    """Set-CsPhoneNumberPolicyAssignment; without a name it takes the policy away."""
    host = teams_host(call)
    number, kind, name = call.text("TelephoneNumber"), call.text("PolicyType"), call.text("PolicyName")
    return host.write(call, lambda: inventory.grant_policy(host.parts.tenant, number, kind, name or None), [number])


def number_policies(call: Call) -> Iterable[Value]:
    """Get-CsPhoneNumberPolicyAssignment: one number's policies, or all numbers that have one."""

    def look(view: View) -> Iterable[Value]:
        if call.has("PolicyName") and not call.has("PolicyType"):
            raise bad_request("PolicyType must be specified with PolicyName.")
        rows = [row for number in _candidates(call, view) for row in _policy_rows(call, number)]
        return rows[: call.number("ResultSize", len(rows))]

    return teams_host(call).read(call, look, [call.text("TelephoneNumber")])


def _candidates(call: Call, view: View) -> Iterable[Number]:
    if not call.has("TelephoneNumber"):
        return view.numbers()
    key = rules.telephone_number(call.text("TelephoneNumber"))
    found = view.number(key)
    if found is None:
        raise rules.not_in_inventory(key, view.tenant.tenant_id)
    return [found]


def _policy_rows(call: Call, number: Number) -> Iterable[PsObject]:
    for kind, name in (number.policies or {}).items():
        wanted = {"PolicyType": kind, "PolicyName": name}
        if all(call.text(key).lower() == value.lower() for key, value in wanted.items() if call.has(key)):
            yield _object(
                "SkypeTelephoneNumberMgmtCmdletPolicyAssignment",
                TelephoneNumber=number.telephone_number.lstrip("+"),
                PolicyType=kind,
                PolicyName=name,
                Authority="Tenant",
                AssignmentType="Direct",
                Reference="Direct",
            )


# The tenant's rules

_CONFIGURED = {
    "AssignmentEmailEnabled": "assignment_email",
    "UnassignmentEmailEnabled": "unassignment_email",
    "AssignmentBlockedForever": "blocked_forever",
    "AllowOnPremToOnlineMigration": "migrates_from_on_premises",
    "AssignmentBlockedDays": "blocked_days",
}


def configure(call: Call) -> Iterable[Value]:
    """Set-CsPhoneNumberTenantConfiguration and Remove-…, which goes back to the defaults."""
    host = teams_host(call)

    def act() -> list[Effect]:
        if call.has("AssignmentBlockedDays"):
            check_days(call.number("AssignmentBlockedDays", 0))
        changes: dict[str, Json] = {}
        for shown, name in _CONFIGURED.items():
            default = 0 if name == "blocked_days" else False
            if call.cmdlet.name.startswith("Remove"):
                changes[name] = default
            elif call.has(shown):
                value = call.bound.get(shown)
                changes[name] = value if isinstance(value, bool | int) else default
        return inventory.configure(host.parts.tenant, changes)

    return host.write(call, act)


def configuration(call: Call) -> Iterable[Value]:
    """Get-CsPhoneNumberTenantConfiguration."""

    def look(view: View) -> Iterable[Value]:
        now = view.tenant.phone_configuration
        props: dict[str, Value] = {shown: getattr(now, name) for shown, name in _CONFIGURED.items()}
        return [_object("SkypeTelephoneNumberMgmtTenantConfiguration", **props)]

    return teams_host(call).read(call, look)


_SINCE_BLOCKS, _SINCE_POLICIES = (7, 5, 0), (7, 3, 1)
_FLAGS = tuple(name for name in _CONFIGURED if name != "AssignmentBlockedDays")

NUMBER_SETTINGS = (
    Cmdlet(
        "Set-CsPhoneNumberAssignmentBlock",
        block,
        (
            Parameter("TelephoneNumber", sets=needed()),
            Parameter("AssignmentBlockedForever", "switch", sets=needed("Forever")),
            Parameter("AssignmentBlockedDays", "int", sets=needed("Days")),
        ),
        default_set="Days",
        module=MODULE,
        changes=True,
        since=_SINCE_BLOCKS,
    ),
    Cmdlet(
        "Remove-CsPhoneNumberAssignmentBlock",
        unblock,
        (Parameter("TelephoneNumber", sets=needed()),),
        module=MODULE,
        changes=True,
        since=_SINCE_BLOCKS,
    ),
    *(
        Cmdlet(
            name,
            tag,
            (Parameter("PhoneNumber", sets=needed()), Parameter("Tag", sets=needed())),
            module=MODULE,
            changes=True,
        )
        for name in ("Set-CsPhoneNumberTag", "Remove-CsPhoneNumberTag")
    ),
    Cmdlet("Get-CsPhoneNumberTag", tags, module=MODULE),
    Cmdlet(
        "Set-CsPhoneNumberPolicyAssignment",
        grant,
        (
            Parameter("TelephoneNumber", aliases=("Identity",), sets=needed()),
            Parameter("PolicyType", sets=needed()),
            Parameter("PolicyName"),
        ),
        module=MODULE,
        changes=True,
        since=_SINCE_POLICIES,
    ),
    Cmdlet(
        "Get-CsPhoneNumberPolicyAssignment",
        number_policies,
        (
            Parameter("TelephoneNumber", aliases=("Identity",)),
            Parameter("PolicyType"),
            Parameter("PolicyName"),
            Parameter("ResultSize", "int"),
        ),
        module=MODULE,
        since=_SINCE_POLICIES,
    ),
    Cmdlet(
        "Set-CsPhoneNumberTenantConfiguration",
        configure,
        (*(Parameter(name, "bool") for name in _FLAGS), Parameter("AssignmentBlockedDays", "int")),
        module=MODULE,
        changes=True,
        since=_SINCE_BLOCKS,
    ),
    Cmdlet("Remove-CsPhoneNumberTenantConfiguration", configure, module=MODULE, changes=True, since=_SINCE_BLOCKS),
    Cmdlet("Get-CsPhoneNumberTenantConfiguration", configuration, module=MODULE, since=_SINCE_BLOCKS),
)
