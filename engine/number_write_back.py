"""The number that Active Directory shows of a user, written back where the site policy says so.

The template says it: that of what HR said last of the user, or else of what the account itself tells.
"""

from __future__ import annotations

from collections.abc import Mapping

from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate
from datasets.people import Person
from datasets.templates import choose_template
from datasets.users import AdUser, DirectoryUser
from engine import feed_people, number_lines
from engine.change import Change
from engine.group_members import members_of
from engine.overlay import recent_effects
from engine.readers import Observed
from engine.runtime import Runtime


def assigned(runtime: Runtime, site: SitePolicy, account: DirectoryUser, number: str) -> list[Change]:
    """Give the change that makes the directory show a number; nothing where no template asks for it."""
    names = _attributes(runtime, site, account)
    ad = _in_directory(runtime, account) if names else None
    if ad is None:
        return []
    return number_lines.writing_back(account.id, ad, dict.fromkeys(names, number), _recent(runtime, ad))


def taken_away(runtime: Runtime, site: SitePolicy, account: DirectoryUser, number: str) -> list[Change]:
    """Give the change that clears attributes which would go on showing a number; others' texts stay."""
    names = _attributes(runtime, site, account)
    ad = _in_directory(runtime, account) if names else None
    if ad is None:
        return []
    recent = _recent(runtime, ad)
    shown = number_lines.shown_in(ad, recent)
    cleared: Mapping[str, str | None] = {name: None for name in names if shown[name] == number}
    return number_lines.writing_back(account.id, ad, cleared, recent)


def template_of(runtime: Runtime, site: SitePolicy, account: DirectoryUser) -> LifecycleTemplate | None:
    """Choose the template of a user; None when none fits. Raises InputRefused for a group that does not exist."""
    groups = {group for template in site.templates for group in template.match.groups}
    mine = [name for name, inside in members_of(runtime, groups).items() if account.id in inside]
    return choose_template(_person(runtime, account), mine, site.templates).template


def _attributes(runtime: Runtime, site: SitePolicy, account: DirectoryUser) -> tuple[str, ...]:
    template = template_of(runtime, site, account)
    return template.write_back if template else ()


def _person(runtime: Runtime, account: DirectoryUser) -> Person:
    if account.employee_id:
        with runtime.database.read() as connection:
            known = feed_people.latest(connection, account.employee_id)
        if known is not None:
            return known
    return Person(
        employee_id=account.employee_id or account.id,
        department=account.department or "",
        company=account.company_name or "",
        usage_location=account.usage_location or "",
    )


def _in_directory(runtime: Runtime, account: DirectoryUser) -> AdUser | None:
    directory, sam = runtime.systems.directory, account.on_premises_sam_account_name
    return None if directory is None or not sam else directory.user(sam)


def _recent(runtime: Runtime, ad: AdUser) -> Observed:
    with runtime.database.read() as connection:
        objects = [f"ad:{ad.sam_account_name}"]
        return recent_effects(connection, objects, now=runtime.now(), limits=runtime.limits)
