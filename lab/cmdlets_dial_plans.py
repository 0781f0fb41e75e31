"""Tenant dial plans and their normalization rules, made in memory and tried against dialled numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lab import objects
from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.cmdlets_host import teams_host
from lab.cmdlets_objects import MODELS, MODULE, Draft, Noun, Property, record
from lab.patterns import compiled, translated
from lab.posh_values import PsObject, Value, to_text
from lab.records import Json, User
from lab.rules import bad_request, unknown_user
from lab.tenant import Tenant, View

PLAN = "TenantDialPlan"
_RULE_TYPE = MODELS + PLAN + "NormalizationRules"
_NAME = re.compile(r"[A-Za-z0-9.-]{1,49}")
LONGEST_DESCRIPTION, LONGEST_RULE_DESCRIPTION = 1040, 512
DEFAULT_PATTERN, DEFAULT_TRANSLATION = r"^(\d{11})$", "+$1"
# Country plans of the service: what a national number becomes.
_COUNTRIES = {"AT": "43", "DE": "49", "GB": "44", "GR": "30", "IL": "972", "JP": "81", "AE": "971"}


# Rules


def new_rule(call: Call) -> Iterable[Value]:
    """New-CsVoiceNormalizationRule: for Teams only in memory."""
    teams_host(call)
    if not call.flag("InMemory"):
        text = "New-CsVoiceNormalizationRule requires -InMemory: pass the rule to New- or Set-CsTenantDialPlan."
        raise bad_request(text)
    if len(call.text("Description")) > LONGEST_RULE_DESCRIPTION:
        raise bad_request(f"The description of a rule has at most {LONGEST_RULE_DESCRIPTION} characters.")
    name = call.text("Name") or call.text("Identity").rpartition("/")[2]
    rule: dict[str, Json] = {
        "Description": call.text("Description"),
        "Pattern": call.text("Pattern") if call.has("Pattern") else DEFAULT_PATTERN,
        "Translation": call.text("Translation") if call.has("Translation") else DEFAULT_TRANSLATION,
        "Name": name,
        "IsInternalExtension": call.flag("IsInternalExtension"),
        "Priority": call.number("Priority", 0),
    }
    compiled(str(rule["Pattern"]))
    return [record(_RULE_TYPE, rule)]


def make_rule(call: Call) -> Iterable[Value]:
    """Run `new_rule` through the fault plan; nothing of the tenant changes."""
    return teams_host(call).read(call, lambda _view: new_rule(call), [call.text("Name") or call.text("Identity")])


def _rule(value: Value) -> Json:
    """Take a rule of this runspace; one that went over the wire is a bag of properties and no rule any more."""
    if not isinstance(value, PsObject) or not value.adapted or value.types[:1] != (_RULE_TYPE,):
        text = to_text(value)
        raise bad_request(f'Cannot convert "{text}" to NormalizationRule: make it with New-CsVoiceNormalizationRule.')
    rule = {name: item for name, item in value.props.items() if isinstance(item, str | bool | int)}
    return dict(rule)


# Plans


def _check_plan(draft: Draft) -> None:
    if draft.name != "Global" and not _NAME.fullmatch(draft.name):
        raise bad_request("The name of a dial plan has at most 49 characters: letters, digits, hyphens and periods.")
    if len(draft.text("Description")) > LONGEST_DESCRIPTION:
        raise bad_request(f"The description of a dial plan has at most {LONGEST_DESCRIPTION} characters.")
    _check_simple_name(draft)
    _check_rules(draft)


def _check_simple_name(draft: Draft) -> None:
    simple = draft.text("SimpleName") or draft.name
    draft.after["SimpleName"] = simple
    if not _NAME.fullmatch(simple):
        raise bad_request("The simple name has at most 49 characters: letters, digits, hyphens and periods.")
    for other in objects.every(draft.tenant, PLAN):
        shared = str(other.details.get("SimpleName") or "").casefold() == simple.casefold()
        if other.name != draft.name and shared:
            raise bad_request(f'The simple name "{simple}" is already used by dial plan "{other.name}"')


def _check_rules(draft: Draft) -> None:
    rules = draft.after.get("NormalizationRules")
    found = list(rules) if isinstance(rules, list | tuple) else []
    if not found and draft.before is None:
        found = [_default_rule()]
    limit = draft.tenant.settings.rules_per_dial_plan
    if len(found) > limit:
        raise bad_request(f"A tenant dial plan has at most {limit} normalization rules.")
    draft.after["NormalizationRules"] = found


def _default_rule() -> dict[str, Json]:
    rule: dict[str, Json] = {"Description": "", "Pattern": DEFAULT_PATTERN, "Translation": DEFAULT_TRANSLATION}
    return {**rule, "Name": "Keep All", "IsInternalExtension": False, "Priority": 0}


# Trying


def _plan_name(tenant: Tenant, user: User) -> str:
    return next(
        (row.policy.name for row in tenant.effective_policies(user.id) if row.policy.policy_type == PLAN), "Global"
    )


def _rules(tenant: Tenant, plan: str, country: str) -> list[dict[str, Json]]:
    """Give the rules of a tenant plan, then those of the country's plan."""
    rules = objects.get(tenant, PLAN, plan).details.get("NormalizationRules")
    own = [dict(rule) for rule in rules if isinstance(rule, dict)] if isinstance(rules, list | tuple) else []
    code = _COUNTRIES.get(country)
    service = [_service_rule(country, code)] if code else []
    return own + service


def _service_rule(country: str, code: str) -> dict[str, Json]:
    rule: dict[str, Json] = {"Name": f"{country}National", "Description": "", "Pattern": r"^0(\d{4,14})$"}
    return {**rule, "Translation": f"+{code}$1", "IsInternalExtension": False, "Priority": 0}


def effective_plan(call: Call) -> Iterable[Value]:
    """Get-CsEffectiveTenantDialPlan: the user's plan and the country's, merged."""
    identity = call.text("Identity")

    def look(view: View) -> Iterable[Value]:
        user = view.user(identity)
        if user is None:
            raise unknown_user(identity)
        plan, country = _plan_name(view.tenant, user), user.text("usageLocation") or ""
        found: list[Value] = [record(_RULE_TYPE, rule) for rule in _rules(view.tenant, plan, country)]
        props: list[tuple[str, Value]] = [
            ("Identity", user.id),
            ("EffectiveTenantDialPlanName", f"{view.tenant.tenant_id}_{country}_{plan}"),
            ("NormalizationRules", found),
        ]
        return [PsObject(props, types=(MODELS + "EffectiveTenantDialPlan", "System.Object"), adapted=True)]

    host = teams_host(call)
    return host.read(call, look, host.names_of(identity))


def test_plan(call: Call) -> Iterable[Value]:
    """Test-CsEffectiveTenantDialPlan: the first matching rule and the number it makes."""

    def look(view: View) -> Iterable[Value]:
        plan, country = _asked_plan(call, view)
        rules = _rules(view.tenant, plan, "" if call.flag("TenantScopeOnly") else country)
        return [_tried(call.text("DialedNumber"), rules)]

    return teams_host(call).read(call, look, [call.text("Identity")])


def _asked_plan(call: Call, view: View) -> tuple[str, str]:
    """Give the tenant plan and the country a test is about."""
    if call.has("EffectiveTenantDialPlanName"):
        parts = call.text("EffectiveTenantDialPlanName").split("_", 2)
        if len(parts) != 3:
            raise bad_request(
                "EffectiveTenantDialPlanName has the form <TenantId>_<GlobalVoiceDialPlan>_<TenantDialPlan>."
            )
        return parts[2], parts[1]
    identity = call.text("Identity")
    if call.has("CallerNumber"):
        number = view.number(call.text("CallerNumber"))
        identity = number.target_id if number and number.target_id else call.text("CallerNumber")
    user = view.user(identity)
    if user is None:
        raise unknown_user(identity)
    return _plan_name(view.tenant, user), user.text("usageLocation") or ""


def _tried(number: str, rules: Sequence[dict[str, Json]]) -> PsObject:
    for rule in rules:
        made = translated(str(rule["Pattern"]), str(rule["Translation"]), number)
        if made is not None:
            return _answer(made, record(_RULE_TYPE, rule))
    return _answer(None, None)


def _answer(made: str | None, rule: PsObject | None) -> PsObject:
    props: list[tuple[str, Value]] = [("TranslatedNumber", made), ("MatchingRule", rule)]
    return PsObject(props, types=(MODELS + "DialPlanTest", "System.Object"), adapted=True)


def test_rule(call: Call) -> Iterable[Value]:
    """Test-CsVoiceNormalizationRule: what one rule makes of a number."""

    def look(_view: View) -> Iterable[Value]:
        rule = _rule(call.bound.get("NormalizationRule"))
        assert isinstance(rule, dict)
        made = translated(str(rule["Pattern"]), str(rule["Translation"]), call.text("DialedNumber"))
        return [PsObject([("TranslatedNumber", made)], types=(MODELS + "RuleTest", "System.Object"), adapted=True)]

    return teams_host(call).read(call, look, [call.text("DialedNumber")])


DIAL_PLAN = Noun(
    PLAN,
    (
        Property("Description", default=""),
        Property("NormalizationRules", "list", (), read=_rule),
        Property("SimpleName"),
    ),
    check=_check_plan,
)

DIAL_PLANS = (
    *DIAL_PLAN.cmdlets(),
    Cmdlet(
        "New-CsVoiceNormalizationRule",
        make_rule,
        (
            Parameter("Identity", position=0, sets=needed("Identity")),
            Parameter("Parent", sets=needed("Parent")),
            Parameter("Name", sets=needed("Parent")),
            *(Parameter(name) for name in ("Pattern", "Translation", "Description")),
            Parameter("Priority", "int"),
            Parameter("IsInternalExtension", "bool"),
            Parameter("InMemory", "switch"),
        ),
        default_set="Identity",
        module=MODULE,
    ),
    Cmdlet(
        "Test-CsVoiceNormalizationRule",
        test_rule,
        (
            Parameter("DialedNumber", sets=needed()),
            Parameter("NormalizationRule", "any", sets=needed(), from_value=True),
        ),
        module=MODULE,
    ),
    Cmdlet(
        "Get-CsEffectiveTenantDialPlan",
        effective_plan,
        (Parameter("Identity", position=0, sets=needed(), from_value=True), Parameter("CallerNumber")),
        module=MODULE,
    ),
    Cmdlet(
        "Test-CsEffectiveTenantDialPlan",
        test_plan,
        (
            Parameter("DialedNumber", sets=needed()),
            Parameter("Identity", sets=needed("Identity")),
            Parameter("CallerNumber", sets=needed("CallerNumber")),
            Parameter("EffectiveTenantDialPlanName", sets=needed("Name")),
            Parameter("TenantScopeOnly", "switch"),
        ),
        default_set="Identity",
        module=MODULE,
    ),
)
