"""Drift of one user: compare what the template wants with what is there; report all of it, plan what may converge.

Policies converge, numbers are sticky: policies, calling settings, licences and emergency locations may be given again;
a number, Enterprise Voice and directory attributes are only reported. Going through everybody is left to
`engine/drift_run.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pydantic import JsonValue

from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate, NumberSource
from engine import movers
from engine.change import Change, Effect
from engine.onboarding import Situation, Terms, plan_person
from engine.plan import Line, LineState
from engine.runtime import Runtime

KIND = "drift"
CONVERGES, REPORTED = "converges", "reported"
_KINDS = frozenset(
    [
        "set_policies",
        "set_calling_settings",
        "assign_licence",
        "remove_licence",
        "set_usage_location",
        "join_group",
        "leave_group",
        "set_number_location",
    ]
)
_BY_TEMPLATE = frozenset(["set_policies", "set_calling_settings", "set_number_location"])
_FEW = 5
_NOTHING = LifecycleTemplate(name="(none)", number_source=NumberSource.NONE, enterprise_voice=False)


@dataclass(frozen=True)
class Rules:
    """How far one run may go, and how much of an answer may be missing before it is doubted."""

    most_users: int = 100
    most_percent: float = 20.0
    shrink_percent: float = 20.0

    def is_too_much(self, changed: int, users: int) -> bool:
        """Tell whether a plan would change too many people at once."""
        return changed > self.most_users or changed > max(_FEW, users * self.most_percent / 100)


@dataclass(frozen=True)
class Difference:
    """One value of one user that is not as the template wants it, and what happens about it."""

    user: str
    label: str
    template: str
    attribute: str
    live: JsonValue
    wanted: JsonValue
    then: str
    why: str = ""


@dataclass(frozen=True)
class Checked:
    """What came of one user: the differences, and the line that would mend what may be mended."""

    differences: tuple[Difference, ...] = ()
    line: Line | None = None


@dataclass
class Answers:
    """Counts what the systems answered of onboarded users, so that an answer with a page missing is not believed."""

    users: int = 0
    _active: int = 0
    _accounts: int = 0
    _voices: int = 0
    _unreadable: int = 0

    def add(self, situation: Situation) -> None:
        """Count one user."""
        is_active = situation.is_at_work
        has_account = is_active and bool(situation.accounts)
        self.users += 1
        self._active += is_active
        self._accounts += has_account
        self._voices += has_account and bool(situation.voice is not None or situation.unreadable)
        self._unreadable += has_account and bool(situation.unreadable)

    def doubts(self, shrink_percent: float) -> list[str]:
        """Say why the answers are not believed: what many lack is a page that is missing."""
        pairs = [
            (self._active - self._accounts, self._active, "accounts of onboarded users are missing"),
            (self._accounts - self._voices, self._accounts, "onboarded users are unknown to Teams"),
            (self._unreadable, self._accounts, "onboarded users could not be read"),
        ]
        return [f"{missing} of {of} {what}" for missing, of, what in pairs if missing > of * shrink_percent / 100]


def check(situation: Situation, terms: Terms, site: SitePolicy) -> Checked:
    """Compare one user with their template (pure)."""
    if not situation.is_at_work or situation.account is None:
        return Checked()
    if situation.template is None:
        return _left(situation, site)
    template = situation.template
    line = plan_person(replace(situation, chosen=None), terms)
    if line.state not in (LineState.PLANNED, LineState.UNCHANGED):
        return Checked((_difference(situation, "plan", None, None, REPORTED, line.reason),))
    found = [each for change in line.changes for each in _of_change(situation, template, change)]
    if template.number_source != NumberSource.NONE and situation.number is None:
        why = "a number is given by the feed, never by drift repair"
        found.append(_difference(situation, "number", None, "one", REPORTED, why))
    if (place := situation.place) is not None and place.refusal:
        found.append(_difference(situation, "location", place.has, place.wanted, REPORTED, place.refusal))
    mending = tuple(change for change in line.changes if _may_converge(change, template))
    return Checked(tuple(found), _mended(line, mending))


def _mended(line: Line, changes: tuple[Change, ...]) -> Line | None:
    if not changes:
        return None
    source: dict[str, JsonValue] = {**line.source, "drift": True}
    return line.model_copy(update={"changes": changes, "success": "converged", "source": source})


def _may_converge(change: Change, template: LifecycleTemplate) -> bool:
    return change.kind in _KINDS and (template.policies_converge or change.kind not in _BY_TEMPLATE)


def _of_change(situation: Situation, template: LifecycleTemplate, change: Change) -> list[Difference]:
    may = _may_converge(change, template)
    why = "" if may else "policies_converge is off" if change.kind in _KINDS else "only reported"
    then = CONVERGES if may else REPORTED
    own = (each for each in change.effects if each.attribute == "location" or not each.object.startswith("number:"))
    return [_difference(situation, each.attribute, each.before, each.after, then, why) for each in own]


def _difference(
    situation: Situation, attribute: str, live: JsonValue, wanted: JsonValue, then: str, why: str
) -> Difference:
    account = situation.account
    assert account is not None
    name = situation.template.name if situation.template else ""
    return Difference(account.id, account.user_principal_name, name, attribute, live, wanted, then, why)


def _left(situation: Situation, site: SitePolicy) -> Checked:
    """Take back from somebody whom no template is for any more what their last one says to take back."""
    account, last = situation.account, _last_template(situation, site)
    assert account is not None
    changes: list[Change] = []
    if last is not None and last.on_leave.policies:
        changes += _revoked(situation)
    if last is not None and last.on_leave.licences:
        changes += movers.licences_away(situation, _NOTHING, account)
    if last is not None and last.on_leave.groups:
        changes += movers.groups_away(situation, _NOTHING, account)
    if not changes:
        return Checked((_difference(situation, "template", None, None, REPORTED, situation.why),))
    why = f"template {last.name if last else ''} is not theirs any more"
    found = tuple(
        _difference(situation, each.attribute, each.before, each.after, CONVERGES, why)
        for change in changes
        for each in change.effects
    )
    source = {**situation.source, "template": last.name if last else None}
    line = Line.model_validate({"object": f"user:{account.id}", "label": account.user_principal_name, "source": source})
    return Checked(found, _mended(line, tuple(changes)))


def _last_template(situation: Situation, site: SitePolicy) -> LifecycleTemplate | None:
    """Give the template that a user had last, if the site still has it."""
    traces = situation.life.traces.values() if situation.life else ()
    named = [(trace.at, str(trace.source["template"])) for trace in traces if trace.source.get("template")]
    name = max(named)[1] if named else ""
    return next((each for each in site.templates if each.name == name), None)


def _revoked(situation: Situation) -> list[Change]:
    account = situation.account
    assert account is not None
    obj, going = f"user:{account.id}", movers.policies_away(situation, _NOTHING)
    if not going:
        return []
    effects = tuple(
        Effect(object=obj, attribute=name, before=situation.observed(obj, name), after=None) for name in going
    )
    policies: dict[str, JsonValue] = {name.removeprefix("policy:"): None for name in going}
    parameters: dict[str, JsonValue] = {"user_id": account.id, "policies": policies}
    reason = "no template is theirs any more"
    return [Change(kind="set_policies", target=obj, parameters=parameters, effects=effects, reason=reason)]


def terms_of(runtime: Runtime, templates: Iterable[LifecycleTemplate]) -> Terms:
    """Give what holds for everybody: licences of the tenant, and policies of these templates that do not exist."""
    wanted = {pair for each in templates for pair in each.policies.items()}
    missing = {pair for pair in sorted(wanted) if runtime.systems.teams.policy_id(*pair) is None}
    skus = {sku.sku_part_number: sku for sku in runtime.systems.graph.subscribed_skus()}
    return Terms(now=runtime.now(), skus=skus, missing_policies=frozenset(missing))
