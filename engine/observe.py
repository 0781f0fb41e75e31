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
from engine.claims import person as person_owner
from engine.claims import user as user_owner
from engine.group_members import members_of
from engine.onboarding import Situation
from engine.overlay import recent_effects
from engine.runtime import Runtime
from engine.voices import read_voices


@dataclass(frozen=True)
class Row:
    """One person of a feed to be planned; `waiting_since` is kept when a waiting person is planned anew."""

    feed_id: str
    line: int
    person: Person
    waiting_since: datetime | None = None

    @property
    def source(self) -> dict[str, JsonValue]:
        """Give what a plan line remembers of its origin."""
        since = None if self.waiting_since is None else self.waiting_since.isoformat()
        return {
            "feed_id": self.feed_id,
            "feed_line": self.line,
            "employee_id": self.person.employee_id,
            "waiting_since": since,
        }


def situations(runtime: Runtime, templates: Sequence[LifecycleTemplate], rows: Sequence[Row]) -> list[Situation]:
    """Read what is needed about these people, in bulk. Raises what the connectors raise."""
    systems = runtime.systems
    accounts = systems.graph.users_by_employee_ids(row.person.employee_id for row in rows)
    found = [account for several in accounts.values() for account in several]
    members = members_of(runtime, groups_of(templates))
    chosen = [_choice(row, accounts, members, templates) for row in rows]
    voices, unreadable = read_voices(systems.teams, list(dict.fromkeys(account.id for account in found)))
    ad = _directory_users(runtime, found, chosen)
    owned = [accounts.get(row.person.employee_id, []) for row in rows]
    made = (
        replace(_situation(runtime, row, choice, mine, voices, ad), in_groups=in_groups(mine, members))
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


def _directory_users(
    runtime: Runtime, accounts: Sequence[DirectoryUser], chosen: Iterable[tuple[LifecycleTemplate | None, str]]
) -> dict[str, AdUser]:
    directory = runtime.systems.directory
    if directory is None or not any(template and _needs_directory(template) for template, _ in chosen):
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
    voices: Mapping[str, VoiceUser],
    ad: Mapping[str, AdUser],
) -> Situation:
    template, why = choice
    only = accounts[0] if len(accounts) == 1 else None
    sam = only.on_premises_sam_account_name if only else None
    objects = [person_owner(row.person.employee_id), *([user_owner(only.id)] if only else []), f"ad:{sam}"]
    with runtime.database.read() as connection:
        recent = recent_effects(connection, objects, now=runtime.now(), limits=runtime.limits)
    return Situation(
        person=row.person,
        source=row.source,
        template=template,
        why=why,
        accounts=tuple(accounts),
        voice=voices.get(only.id) if only else None,
        ad=ad.get(sam) if sam else None,
        calling=calling_of(runtime, template, voices.get(only.id) if only else None),
        recent=recent,
        waiting_since=row.waiting_since,
    )
