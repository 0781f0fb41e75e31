"""Explain a user: for every value of their voice state, where it comes from, and why one that is wanted is not there.

Reading only. What Callwright set is told from the journal, down to feed row, template version and plan; what it did
not set is called that, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection, and_, select
from sqlalchemy.engine import Row

from config.errors import InputRefused
from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate, NumberSource
from datasets.calling_settings import GROUPS
from datasets.people import Person, Status
from datasets.tables.journal import journal, journal_effects
from datasets.tables.plans import plan_changes, plan_lines, plans
from datasets.tables.requests import requests
from datasets.templates import Choice, choose_template
from datasets.users import DirectoryUser, VoiceUser
from engine import departures, feed_people
from engine.change import Effect
from engine.claims import person as person_owner
from engine.explain_groups import Membership, memberships
from engine.group_members import members_of
from engine.life import is_gone, last_day
from engine.locations import locations_of
from engine.number_lines import SHOWN
from engine.onboarding import being_deleted
from engine.plan import LineState
from engine.readers import CALLING, GROUP, Reader, directory_value, voice_value
from engine.runtime import Runtime
from engine.template_versions import NAME, VERSION

AD = "ad:"
_STUCK = (LineState.REFUSED, LineState.FAILED, LineState.WAITING, LineState.UNKNOWN)


@dataclass(frozen=True)
class Origin:
    """The last verified change of a value: what it left, and the run, plan and request behind it."""

    at: datetime
    after: JsonValue
    plan_id: str
    plan_hash: str
    line: int
    reason: str
    source: Mapping[str, Any]
    request: str
    request_kind: str
    actor: str
    flow_run_id: str | None

    @property
    def told(self) -> str:
        """Say in words what asked for it."""
        name, version = self.source.get(NAME), self.source.get(VERSION)
        if "feed_id" not in self.source:
            return f"{self.request_kind} by {self.actor}"
        row = f"HR feed {self.source['feed_id']} row {self.source.get('feed_line')}"
        if step := self.source.get("step"):
            return f"{'leave of absence' if step == 'leave' else 'step of a leaver'} for {row}"
        if self.reason == "HR feed" or not name:
            return row
        of = f" version {version}" if version else ""
        return f"{'drift repair of ' if self.source.get('drift') else ''}template {name}{of} for {row}"


@dataclass(frozen=True)
class Why:
    """One value and where it comes from; `wanted` is what the template wants now, if it says anything."""

    attribute: str
    value: JsonValue
    comes_from: str
    wanted: JsonValue = None
    origin: Origin | None = None


@dataclass(frozen=True)
class Explained:
    """A user: the template that is theirs and why, those that matched and lost, and every value."""

    user: str
    label: str
    template: str | None
    priority: int | None
    version: str | None
    why: str
    lost: tuple[dict[str, JsonValue], ...] = ()
    groups: tuple[Membership, ...] = ()
    values: tuple[Why, ...] = ()
    stuck: tuple[dict[str, JsonValue], ...] = ()


@dataclass(frozen=True)
class _Seen:
    """What was read of one user."""

    account: DirectoryUser
    voice: VoiceUser | None
    calling: Mapping[str, JsonValue]
    wanted: Mapping[str, JsonValue]
    origins: Mapping[str, Origin]
    products: Mapping[str, str] = field(default_factory=dict)
    groups: Sequence[Membership] = ()
    more: Mapping[str, JsonValue] = field(default_factory=dict)


def explain(runtime: Runtime, site: SitePolicy, name: str, versions: Mapping[str, str]) -> Explained:
    """Explain one user by object id or UPN. Raises InputRefused for somebody who does not exist."""
    account = runtime.systems.graph.user(name)
    if account is None:
        raise InputRefused(f"there is no user {name}", remedy="./callwright users search finds parts of names")
    with runtime.database.read() as connection:
        person = feed_people.latest(connection, account.employee_id) if account.employee_id else None
        stuck = tuple(_stuck(connection, account))
        away = _away(connection, account, person, runtime.now().date())
    inside = _inside(runtime, site, account)
    choice = _choice(site, inside, person)
    template = choice.template
    wanting = None if away else template
    seen = _look(runtime, site, account, wanting)
    seen = replace(seen, groups=_groups(runtime, site, seen, inside))
    return Explained(
        user=account.id,
        label=account.user_principal_name,
        template=template.name if template else None,
        priority=template.priority if template else None,
        version=versions.get(template.name) if template else None,
        why=f"{choice.why} ; {away}" if away else choice.why,
        lost=tuple({"name": each.name, "priority": each.priority} for each in choice.lost),
        groups=tuple(seen.groups),
        values=tuple(_values(seen, person, wanting, stuck)),
        stuck=stuck,
    )


def _away(connection: Connection, account: DirectoryUser, person: Person | None, today: date) -> str:
    """Say why no template gives somebody anything now; empty for people at work."""
    if deletion := departures.deletions(connection, [account]).get(account.id):
        return being_deleted(deletion)
    if person is None:
        return ""
    subject = person_owner(person.employee_id)
    departure = departures.latest(connection, [subject]).get(subject)
    if is_gone(person, departure, today):
        return f"left on {last_day(person, departure, today)}: nothing is wanted any more"
    return "is on leave: the template waits" if person.status == Status.LEAVE else ""


def _choice(site: SitePolicy, groups: Sequence[str], person: Person | None) -> Choice:
    if person is None:
        return Choice(None, "no feed has this user: nothing here is wanted by HR or a template")
    return choose_template(person, groups, site.templates)


def _inside(runtime: Runtime, site: SitePolicy, account: DirectoryUser) -> list[str]:
    """Name the groups of templates that a user is in."""
    members = members_of(runtime, {group for each in site.templates for group in each.match.groups})
    return [name for name, inside in members.items() if account.id in inside]


def _groups(runtime: Runtime, site: SitePolicy, seen: _Seen, inside: Sequence[str]) -> list[Membership]:
    """Tell how the user is in groups that templates match by or that give licences, and what they decide."""
    graph, by_template = runtime.systems.graph, dict[str, list[str]]()
    for name in inside:
        by_template[name] = [each.name for each in site.templates if name in each.match.groups]
    by_licence: dict[str, list[str]] = {}
    for sku, ids in graph.licence_groups(seen.account.id).items():
        for group in ids:
            by_licence.setdefault(group, []).append(seen.products.get(sku, sku))
    return memberships(graph, seen.account.id, by_template, by_licence)


def _look(runtime: Runtime, site: SitePolicy, account: DirectoryUser, template: LifecycleTemplate | None) -> _Seen:
    systems = runtime.systems
    voice = systems.teams.voice_user(account.id)
    number, sam = voice.number if voice else None, account.on_premises_sam_account_name
    with runtime.database.read() as connection:
        origins = _origins(connection, account.id, number, sam)
    joined = {*origins, *(f"{GROUP}{name}" for name in (template.join_groups if template else ()))}
    more = _more(runtime, account, number, [name for name in sorted(joined) if name.startswith(GROUP)])
    settings = systems.calling.settings(account.id) if systems.calling and voice else None
    calling: dict[str, JsonValue] = {f"{CALLING}{group}": settings[group] for group in GROUPS} if settings else {}
    products = {sku.sku_id: sku.sku_part_number for sku in systems.graph.subscribed_skus()}
    wanted = _wanted(template, products) | _wanted_more(runtime, site, template, number)
    return _Seen(account, voice, calling, wanted, origins, products, more=more)


def _more(runtime: Runtime, account: DirectoryUser, number: str | None, groups: Sequence[str]) -> dict[str, JsonValue]:
    """Read what is not of Teams Phone: the place of the number, what the directory shows, the account, our groups."""
    user, ad = f"user:{account.id}", f"{AD}{account.on_premises_sam_account_name}"
    keys = {"location": (f"number:{number}", "location")} if number else {}
    if runtime.systems.directory is not None and account.on_premises_sam_account_name:
        keys |= {f"{AD}{name}": (ad, name) for name in (*SHOWN, "enabled")}
    keys |= {name: (user, name) for name in ("account_enabled", *groups)}
    seen = Reader(runtime.systems).observe([Effect(object=obj, attribute=name) for obj, name in keys.values()])
    return {shown: seen[key] for shown, key in keys.items()}


def _wanted_more(
    runtime: Runtime, site: SitePolicy, template: LifecycleTemplate | None, number: str | None
) -> dict[str, JsonValue]:
    if template is None:
        return {}
    found: dict[str, JsonValue] = {f"{GROUP}{name}": True for name in template.join_groups}
    if number is not None:
        found |= {f"{AD}{name}": number for name in template.write_back}
        found["location"] = locations_of(runtime, site).wanted(template)
    return found


def _wanted(template: LifecycleTemplate | None, products: Mapping[str, str]) -> dict[str, JsonValue]:
    if template is None:
        return {}
    skus = {part: sku for sku, part in products.items()}
    found: dict[str, JsonValue] = {f"policy:{kind}": name for kind, name in template.policies.items()}
    found |= {f"licence:{skus.get(part, part)}": True for part in template.licences}
    found |= {f"{CALLING}{group}": settings for group, settings in template.calling.groups().items()}
    if template.number_source != NumberSource.NONE:
        found["number"] = f"from {template.number_source}" + (f" pool {template.pool}" if template.pool else "")
    return found


def _values(
    seen: _Seen, person: Person | None, template: LifecycleTemplate | None, stuck: tuple[dict[str, JsonValue], ...]
) -> Iterator[Why]:
    """Give every value in order: number and voice, country, licences, policies, calling settings, and the rest."""
    inherited = seen.voice.inherited if seen.voice else {}
    direct = seen.voice.policies if seen.voice else {}
    kinds = sorted({*direct, *inherited, *(template.policies if template else {})})
    licences = sorted({*seen.account.sku_ids, *(n.removeprefix("licence:") for n in seen.wanted if "licence:" in n)})
    for name in ("number", "enterprise_voice"):
        value = voice_value(seen.voice, name)
        yield _why(seen, name, value, _why_no_number(stuck, template) if name == "number" and value is None else "")
    yield _why(seen, "usage_location", seen.account.usage_location, "", person.usage_location if person else None)
    for sku in licences:
        yield _why(seen, f"licence:{sku}", directory_value(seen.account, f"licence:{sku}"), _by_group(seen, sku))
    for kind in kinds:
        group = f"group policy '{inherited[kind]}'" if kind in inherited else "the global policy of the tenant"
        value = direct.get(kind)
        yield _why(seen, f"policy:{kind}", value or inherited.get(kind), "" if value else group)
    for name, settings in (*seen.calling.items(), *seen.more.items()):
        yield _why(seen, name, settings, "")


def _by_group(seen: _Seen, sku: str) -> str:
    """Say which groups give a licence; empty when none does."""
    part = seen.products.get(sku, sku)
    return " and ".join(f"given by group: {each.told}" for each in seen.groups if part in each.licences)


def _why_no_number(stuck: tuple[dict[str, JsonValue], ...], template: LifecycleTemplate | None) -> str:
    if stuck:
        return f"no number: {stuck[0]['state']}: {stuck[0]['reason']}"
    if template is None or template.number_source == NumberSource.NONE:
        return "no number is wanted"
    return "no number yet: the next run of the feed gives one"


def _why(seen: _Seen, attribute: str, value: JsonValue, otherwise: str, wanted: JsonValue = None) -> Why:
    origin = seen.origins.get(attribute)
    shown = f"licence:{seen.products.get(sku, sku)}" if (sku := attribute.removeprefix("licence:")) != attribute else ""
    is_ours = origin is not None and origin.after == value
    told = origin.told if origin and is_ours else _not_ours(origin, value, otherwise)
    return Why(shown or attribute, value, told, wanted or seen.wanted.get(attribute), origin)


def _not_ours(origin: Origin | None, value: JsonValue, otherwise: str) -> str:
    changed = ""
    if origin is not None:
        changed = f"changed outside Callwright since plan {origin.plan_id} left {origin.after!r}"
    if otherwise:
        return f"{otherwise} ; {changed}" if changed else otherwise
    if changed:
        return f"not ours: {changed}"
    return "nobody set it" if value in (None, False, "") else "not ours: nothing in the journal set it"


def _origins(connection: Connection, user_id: str, number: str | None, sam: str | None) -> dict[str, Origin]:
    """Give the last verified change of every value of a user, what the directory shows, and the number's place."""
    found = _origins_of(connection, f"user:{user_id}")
    if sam:
        found |= {f"{AD}{name}": origin for name, origin in _origins_of(connection, f"{AD}{sam}").items()}
    of_number = _origins_of(connection, f"number:{number}") if number else {}
    return found | {name: origin for name, origin in of_number.items() if name == "location"}


def _origins_of(connection: Connection, obj: str) -> dict[str, Origin]:
    e, j = journal_effects.c, journal.c
    query = (
        select(e.attribute, e.after, j.at, j.plan_id, j.line, plans.c.hash, plan_lines.c.source, plan_changes.c.reason)
        .add_columns(
            plan_changes.c.parameters, requests.c.id, requests.c.kind, requests.c.actor_name, requests.c.flow_run_id
        )
        .join(journal, and_(j.stream_id == e.stream_id, j.seq == e.seq))
        .join(plans, plans.c.id == j.plan_id)
        .join(requests, requests.c.id == plans.c.request_id)
        .join(plan_lines, and_(plan_lines.c.plan_id == j.plan_id, plan_lines.c.line == j.line))
        .join(
            plan_changes,
            and_(plan_changes.c.plan_id == j.plan_id, plan_changes.c.line == j.line, plan_changes.c.seq == j.change),
        )
        .where(e.object == obj, j.result == "verified")
    )
    found = {}
    for row in connection.execute(query.order_by(j.at, e.stream_id, e.seq)):
        found[row.attribute] = _origin(row, row.after)
        if row.attribute == "owner" and row.after is not None:  # a location goes out with the number
            found["location"] = _origin(row, (row.parameters or {}).get("location_id"))
    return found


def _origin(row: Row[Any], after: JsonValue) -> Origin:
    return Origin(
        at=row.at,
        after=after,
        plan_id=row.plan_id,
        plan_hash=row.hash,
        line=row.line,
        reason=row.reason,
        source=row.source or {},
        request=row.id,
        request_kind=row.kind,
        actor=row.actor_name,
        flow_run_id=row.flow_run_id,
    )


def _stuck(connection: Connection, account: DirectoryUser) -> Iterator[dict[str, JsonValue]]:
    """Give the newest line of this user if it did not come to its end, with the reason."""
    names = [f"user:{account.id}", *([person_owner(account.employee_id)] if account.employee_id else [])]
    query = (
        select(plan_lines.c.state, plan_lines.c.reason, plan_lines.c.plan_id, plan_lines.c.line)
        .join(plans, plans.c.id == plan_lines.c.plan_id)
        .where(plan_lines.c.object.in_(names), plan_lines.c.state != LineState.SUPERSEDED)
        .order_by(plans.c.created_at.desc(), plan_lines.c.line)
        .limit(1)
    )
    for row in connection.execute(query):
        if row.state in _STUCK:
            yield {"state": str(row.state), "reason": row.reason, "plan": row.plan_id, "line": row.line}
