"""Unassigned numbers, shared calling, caller ids, and the plain making and removing of every other policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lab import objects, rules
from lab.catalogue import POLICIES, UPGRADE_MODES
from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.cmdlets_host import teams_host
from lab.cmdlets_objects import MODELS, MODULE, Draft, Noun, Property
from lab.grants import UPGRADE, policy_id
from lab.patterns import compiled, matches
from lab.posh_values import PsObject, Value
from lab.records import POLICY_TARGET, ConfigObject, Effect, Number, User
from lab.rules import bad_request, not_found
from lab.tenant import Tenant, View

TREATMENT, SHARED, CALLER_ID = (
    "TeamsUnassignedNumberTreatment",
    "TeamsSharedCallingRoutingPolicy",
    "CallingLineIdentity",
)


# Unassigned numbers


def _check_treatment(draft: Draft) -> None:
    pattern = draft.text("Pattern")
    compiled(pattern)
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise bad_request("Pattern must start with ^ and end with $.")
    if draft.text("TargetType") != "Announcement" and draft.tenant.find_user(draft.text("Target")) is None:
        raise not_found(f"Target '{draft.text('Target')}' is not found")
    for other in objects.every(draft.tenant, TREATMENT):
        same = other.details.get("TreatmentPriority") == draft.after.get("TreatmentPriority")
        if same and other.name != draft.name:
            raise bad_request(f"TreatmentPriority is already used by '{other.name}'")


def test_treatment(call: Call) -> Iterable[Value]:
    """Test-CsTeamsUnassignedNumberTreatment: the treatment a number gets, the lowest priority first."""
    number = call.text("PhoneNumber")

    def look(view: View) -> Iterable[Value]:
        rows = sorted(
            objects.every(view.tenant, TREATMENT), key=lambda row: int(str(row.details.get("TreatmentPriority") or 0))
        )
        found = next((row for row in rows if matches(str(row.details["Pattern"]), number)), None)
        if found is None:
            return []
        props: list[tuple[str, Value]] = [("Identity", found.name), *((str(k), v) for k, v in found.details.items())]
        return [PsObject(props, types=(MODELS + TREATMENT, "System.Object"), adapted=True)]

    return teams_host(call).read(call, look, [number])


# Shared calling


def _check_shared(draft: Draft) -> None:
    number = _number_of(draft.tenant, draft.text("ResourceAccount"))
    if number.location_id is None:
        raise bad_request("The phone number of the resource account requires an emergency location.")
    for text in draft.names("EmergencyNumbers"):
        _check_emergency(draft, text, number)


def _number_of(tenant: Tenant, identity: str) -> Number:
    user = _resource_account(tenant, identity)
    held = tenant.numbers_held_by(user.id)
    if not held:
        raise bad_request(f"Resource account '{identity}' has no phone number.")
    return held[0]


def _resource_account(tenant: Tenant, identity: str) -> User:
    user = tenant.find_user(identity)
    if user is None or user.account_type != "resourceAccount":
        raise bad_request(f"'{identity}' is not a resource account.")
    return user


def _check_emergency(draft: Draft, text: str, of_account: Number) -> None:
    number = draft.tenant.find_number(text)
    if number is None:
        raise not_found(f"Telephone Number '{text}' is not found from tenant '{draft.tenant.tenant_id}'")
    if (number.number_type, number.country) != (of_account.number_type, of_account.country):
        raise bad_request(f"Emergency number '{text}' must have the type and country of the resource account's number.")
    if number.target_id is not None and number.target_type != POLICY_TARGET:
        raise bad_request(f"Emergency number '{text}' is assigned.")
    for other in objects.every(draft.tenant, SHARED):
        if other.name != draft.name and text in objects.names(other.details, "EmergencyNumbers"):
            raise bad_request(f"Emergency number '{text}' is used by policy '{other.name}'.")


def _claim_emergency_numbers(tenant: Tenant, name: str) -> list[Effect]:
    """Let the policy hold its emergency numbers, and give back those it named before."""
    policy = tenant.find_policy(SHARED, name)
    named = objects.names(policy.details, "EmergencyNumbers") if policy else []
    wanted = {rules.telephone_number(text) for text in named}
    holder = policy_id(SHARED, name)
    effects: list[Effect] = []
    for number in [*tenant.numbers_held_by(holder), *(tenant.numbers[key] for key in sorted(wanted))]:
        target = holder if number.telephone_number in wanted else None
        kind = POLICY_TARGET if target else "user"
        effects += tenant.replace_number(number, replace(number, target_id=target, target_type=kind))
    return effects


# Caller id


def _check_caller_id(draft: Draft) -> None:
    if draft.text("CallingIDSubstitute") == "Resource":
        _resource_account(draft.tenant, draft.text("ResourceAccount"))
    elif draft.text("ResourceAccount"):
        raise bad_request("ResourceAccount requires CallingIDSubstitute Resource.")


def _mode(row: ConfigObject) -> Iterable[tuple[str, Value]]:
    mode = UPGRADE_MODES.get(row.name, "Islands")
    return [("Mode", mode), ("NotifySfbUsers", row.name.endswith("WithNotify"))]


VOICE_NOUNS = (
    Noun(
        TREATMENT,
        (
            Property("Pattern", required=True),
            Property("TargetType", required=True, choices=("User", "ResourceAccount", "Announcement")),
            Property("Target", required=True),
            Property("TreatmentPriority", "int", required=True),
            Property("Description", default=""),
        ),
        identities=("Identity", "TreatmentId"),
        check=_check_treatment,
        shown=lambda row: [("TreatmentId", row.name)],
    ),
    Noun(
        SHARED,
        (
            Property("ResourceAccount", required=True),
            Property("EmergencyNumbers", "list", ()),
            Property("Description", default=""),
        ),
        check=_check_shared,
        then=_claim_emergency_numbers,
    ),
    Noun(
        CALLER_ID,
        (
            Property("CallingIDSubstitute", default="LineUri", choices=("Anonymous", "LineUri", "Resource")),
            Property("ResourceAccount"),
            Property("CompanyName"),
            Property("BlockIncomingPstnCallerID", "bool", default=False),
            Property("EnableUserOverride", "bool", default=False),
            Property("Description", default=""),
        ),
        check=_check_caller_id,
    ),
    # Its instances are built in.
    Noun(UPGRADE, (Property("Description", default=""),), verbs=frozenset({"Get"}), shown=_mode),
    # The other policies carry a description only: what else they say does not matter for granting them.
    *(
        Noun(kind, (Property("Description", default=""),))
        for kind in POLICIES
        if kind not in (UPGRADE, SHARED, CALLER_ID, "TenantDialPlan", "OnlineVoiceRoutingPolicy")
    ),
)

VOICE_SETTINGS = (
    *(cmdlet for noun in VOICE_NOUNS for cmdlet in noun.cmdlets()),
    Cmdlet(
        "Test-CsTeamsUnassignedNumberTreatment",
        test_treatment,
        (Parameter("PhoneNumber", sets=needed()),),
        module=MODULE,
    ),
)
