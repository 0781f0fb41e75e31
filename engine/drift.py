"""Drift: compare what templates want of onboarded users with what is there; report all of it, plan what may converge.

Policies converge, numbers are sticky: policies, calling settings and licences may be given again; a number, Enterprise
Voice and directory attributes are only reported. Nobody's answer that cannot be whole is believed, and a plan that
would change too many people at once is not made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pydantic import JsonValue
from sqlalchemy import Connection, select

from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate, NumberSource
from connectors.errors import Incomplete
from datasets.people import Person, Status
from datasets.tables.plans import plan_lines
from engine import feed_people, movers, plan_store, template_versions
from engine.change import Change, Effect
from engine.lives import Lives
from engine.observe import Row, situations
from engine.onboarding import Situation, Terms, is_future, plan_person
from engine.plan import Line, LineState, Plan
from engine.requests import new_id
from engine.runtime import Runtime

KIND = "drift"
SHOWN = 500
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
    ]
)
_BY_TEMPLATE = frozenset(["set_policies", "set_calling_settings"])
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


def plan_drift(runtime: Runtime, site: SitePolicy, request_id: str, rules: Rules) -> tuple[str, dict[str, JsonValue]]:
    """Store the plan of what may converge; gives its id and the report. Raises Incomplete for a doubtful answer."""
    with runtime.database.read() as connection:
        rows = [Row(feed_id, line, person) for feed_id, line, person in _onboarded(connection)]
    seen = Lives(runtime, site, grace_days=0).look(situations(runtime, site.templates, rows)) if rows else []
    if doubts := doubts_of(seen, rules):
        raise Incomplete(
            f"the answers are not believed: {'; '.join(doubts)} ; nothing was changed, run drift again", system="Teams"
        )
    terms = terms_of(runtime, seen)
    checked = [check(each, terms, site) for each in seen if not is_future(each.person, runtime.now())]
    with runtime.database.write() as connection:
        versions = template_versions.keep(connection, site, runtime.now())
        busy = _busy(connection, [each.line.object for each in checked if each.line])
        lines = [each.line for each in checked if each.line and each.line.object not in busy]
        is_too_much = rules.is_too_much(len(lines), len(seen))
        kept = () if is_too_much else tuple(template_versions.stamped(line, versions) for line in lines)
        plan = Plan(id=new_id("p"), request_id=request_id, lines=kept)
        plan_store.save(connection, plan, runtime.now())
    found = [difference for each in checked for difference in each.differences]
    return plan.id, _report(len(seen), found, held_back=len(lines) if is_too_much else 0)


def doubts_of(seen: Sequence[Situation], rules: Rules) -> list[str]:
    """Say why the answers are not believed: an account or a voice state that many lack is a page that is missing."""
    active = [each for each in seen if each.person.status == Status.ACTIVE]
    accounts = [each for each in active if each.accounts]
    unreadable = [each for each in accounts if each.unreadable]
    voices = [each for each in accounts if each.voice is not None or each.unreadable]
    pairs = [
        (len(active) - len(accounts), len(active), "accounts of onboarded users are missing"),
        (len(accounts) - len(voices), len(accounts), "onboarded users are unknown to Teams"),
        (len(unreadable), len(accounts), "onboarded users could not be read"),
    ]
    return [f"{missing} of {of} {what}" for missing, of, what in pairs if missing > of * rules.shrink_percent / 100]


def check(situation: Situation, terms: Terms, site: SitePolicy) -> Checked:
    """Compare one user with their template (pure)."""
    person, account = situation.person, situation.account
    if person.status != Status.ACTIVE or account is None:
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
    own = (effect for effect in change.effects if not effect.object.startswith("number:"))
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


def _onboarded(connection: Connection) -> Iterable[tuple[str, int, Person]]:
    """Give the people whom a feed brought and who were verified at least once, as HR described them last."""
    c = plan_lines.c
    query = select(c.source).where(c.state == LineState.VERIFIED, c.object.startswith("user:"))
    ids = {str(source["employee_id"]) for source in connection.execute(query).scalars() if "employee_id" in source}
    return feed_people.newest(connection, ids)


def _busy(connection: Connection, objects: Sequence[str]) -> set[str]:
    """Close older plans of drift that nobody applied; name the users on whom another plan is at work."""
    busy = set()
    for line in plan_store.open_lines(connection, objects):
        state = plan_store.header(connection, line.plan_id).state
        if state == "planned" and line.source.get("drift") and not plan_store.has_sent(line):
            line.state, line.reason = LineState.SUPERSEDED, "compared again"
            plan_store.set_line(connection, line)
            plan_store.settle_plan_if_done(connection, line.plan_id)
        else:
            busy.add(line.object)
    return busy


def terms_of(runtime: Runtime, seen: Sequence[Situation]) -> Terms:
    """Give what holds for everybody: licences of the tenant, and policies that do not exist."""
    wanted = {pair for each in seen if each.template for pair in each.template.policies.items()}
    missing = {pair for pair in sorted(wanted) if runtime.systems.teams.policy_id(*pair) is None}
    skus = {sku.sku_part_number: sku for sku in runtime.systems.graph.subscribed_skus()} if seen else {}
    return Terms(now=runtime.now(), skus=skus, missing_policies=frozenset(missing))


def _report(users: int, found: Sequence[Difference], *, held_back: int) -> dict[str, JsonValue]:
    kinds = cast("dict[str, JsonValue]", dict(Counter(each.attribute.partition(":")[0] for each in found)))
    then = cast("dict[str, JsonValue]", dict(Counter(each.then for each in found)))
    shown: list[JsonValue] = [dict(vars(each)) for each in found[:SHOWN]]
    return {
        "read": {"users": users},
        "differences": len(found),
        "users_differ": len({each.user for each in found}),
        "kinds": kinds,
        "then": then,
        "held_back": held_back,
        "found": shown,
    }
