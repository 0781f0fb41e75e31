"""Look at the tenant before planning: who has an account, what Teams and the directory know, which template fits.

Reading only; the result is one `Situation` per person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import JsonValue

from config.site_templates import LifecycleTemplate
from datasets.calling_settings import CallingGroup, Settings
from datasets.people import Person
from datasets.templates import choose_template
from datasets.users import AdUser, DirectoryUser, VoiceUser
from engine import departures
from engine.claims import person as person_owner
from engine.claims import user as user_owner
from engine.departures import Departure
from engine.group_members import members_of
from engine.onboarding import Situation
from engine.overlay import recent_effects
from engine.readers import Observed
from engine.runtime import Runtime
from engine.voices import read_voices


@dataclass(frozen=True)
class Row:
    """One person of a feed to be planned; `waiting_since` is kept when a waiting person is planned anew.

    `news` are the fields of whom a sender said a part only, for a later day; None for a whole person.
    """

    feed_id: str
    line: int
    person: Person
    waiting_since: datetime | None = None
    news: tuple[str, ...] | None = None

    @property
    def source(self) -> dict[str, JsonValue]:
        """Give what a plan line remembers of its origin."""
        since = None if self.waiting_since is None else self.waiting_since.isoformat()
        return {
            "feed_id": self.feed_id,
            "feed_line": self.line,
            "employee_id": self.person.employee_id,
            "waiting_since": since,
            **({} if self.news is None else {"news": list(self.news)}),
        }


@dataclass(frozen=True)
class _Known:
    """What the systems said of everybody, by user, account and object."""

    voices: Mapping[str, VoiceUser]
    ad: Mapping[str, AdUser]
    recent: Mapping[str, Observed]
    deletions: Mapping[str, Departure]


def situations(
    runtime: Runtime,
    templates: Sequence[LifecycleTemplate],
    rows: Sequence[Row],
    members: Mapping[str, frozenset[str]] | None = None,
) -> list[Situation]:
    """Read what is needed about these people, in bulk. Raises what the connectors raise.

    `members` are those of the templates' groups, where they were read already.
    """
    systems = runtime.systems
    accounts = systems.graph.users_by_employee_ids(row.person.employee_id for row in rows)
    found = [account for several in accounts.values() for account in several]
    members = members_of(runtime, groups_of(templates)) if members is None else members
    chosen = [_choice(row, accounts, members, templates) for row in rows]
    voices, unreadable = read_voices(systems.teams, list(dict.fromkeys(account.id for account in found)))
    ad = directory_users(runtime, found, (template for template, _ in chosen))
    owned = [accounts.get(row.person.employee_id, []) for row in rows]
    with runtime.database.read() as connection:
        deletions = departures.deletions(connection, found)
    known = _Known(voices, ad, _recent(runtime, rows, found), deletions)
    made = (
        replace(_situation(runtime, row, choice, mine, known), in_groups=in_groups(mine, members))
        for row, choice, mine in zip(rows, chosen, owned, strict=True)
    )
    return [replace(each, unreadable=unreadable.get(each.account.id) if each.account else None) for each in made]


def groups_of(templates: Iterable[LifecycleTemplate]) -> set[str]:
    """Name the groups that templates look at, or make people members of."""
    return {group for template in templates for group in (*template.match.groups, *template.join_groups)}


def in_groups(accounts: Sequence[DirectoryUser], members: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Name those of the groups that a person is in."""
    ids = {account.id for account in accounts}
    return frozenset(name for name, inside in members.items() if ids & inside)


def _choice(
    row: Row,
    accounts: Mapping[str, Sequence[DirectoryUser]],
    members: Mapping[str, frozenset[str]],
    templates: Sequence[LifecycleTemplate],
) -> tuple[LifecycleTemplate | None, str]:
    ids = {account.id for account in accounts.get(row.person.employee_id, ())}
    groups = [name for name, inside in members.items() if ids & inside]
    choice = choose_template(row.person, groups, templates)
    return choice.template, choice.why


def _recent(runtime: Runtime, rows: Sequence[Row], accounts: Sequence[DirectoryUser]) -> dict[str, Observed]:
    """Give what we verified a moment ago on everything that these people are, by object."""
    objects = [person_owner(row.person.employee_id) for row in rows]
    objects += [name for each in accounts for name in _objects_of(each)]
    found: dict[str, Observed] = {}
    with runtime.database.read() as connection:
        every = recent_effects(connection, objects, now=runtime.now(), limits=runtime.limits)
    for (name, attribute), value in every.items():
        found.setdefault(name, Observed())[name, attribute] = value
    return found


def _objects_of(account: DirectoryUser) -> tuple[str, str]:
    return user_owner(account.id), f"ad:{account.on_premises_sam_account_name}"


def directory_users(
    runtime: Runtime, accounts: Sequence[DirectoryUser], chosen: Iterable[LifecycleTemplate | None]
) -> Mapping[str, AdUser]:
    """Read what the directory has of these accounts, by name, if one of the templates looks at it or writes there."""
    directory = runtime.systems.directory
    if directory is None or not any(template and _needs_directory(template) for template in chosen):
        return {}
    names = (account.on_premises_sam_account_name for account in accounts)
    return directory.users([name for name in names if name])


def _needs_directory(template: LifecycleTemplate) -> bool:
    return bool(template.write_back) or template.number_source not in ("NumberRange", "none")


def calling_of(
    runtime: Runtime, template: LifecycleTemplate | None, voice: VoiceUser | None
) -> dict[CallingGroup, Settings] | None:
    """Read the calling settings of somebody whose template sets them; it takes a call of its own."""
    calling = runtime.systems.calling
    if calling is None or voice is None or template is None or not template.calling.groups():
        return None
    return calling.settings(voice.id)


def _situation(
    runtime: Runtime,
    row: Row,
    choice: tuple[LifecycleTemplate | None, str],
    accounts: Sequence[DirectoryUser],
    known: _Known,
) -> Situation:
    template, why = choice
    only = accounts[0] if len(accounts) == 1 else None
    sam = only.on_premises_sam_account_name if only else None
    objects = [person_owner(row.person.employee_id), *(_objects_of(only) if only else ())]
    recent = Observed()
    for name in objects:
        recent.update(known.recent.get(name, {}))
    voice = known.voices.get(only.id) if only else None
    return Situation(
        person=row.person,
        source=row.source,
        template=template,
        why=why,
        accounts=tuple(accounts),
        voice=voice,
        ad=known.ad.get(sam) if sam else None,
        calling=calling_of(runtime, template, voice),
        recent=recent,
        waiting_since=row.waiting_since,
        deletion=known.deletions.get(only.id) if only else None,
    )
