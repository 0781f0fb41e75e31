"""Versions of lifecycle templates: every one that a plan was made with is kept, and named on the plan's lines.

A version is a digest of what the template says; two files that say the same have the same versions. SQL only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from config.errors import InputRefused
from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate
from datasets.tables.plans import plan_lines
from datasets.tables.templates import template_versions
from engine import plan_store
from engine.change import fingerprint
from engine.plan import OPEN_LINES, Line

_DIGITS = 12
NAME, VERSION = "template", "template_version"


class Version(NamedTuple):
    """One version of a template."""

    name: str
    version: str
    body: Mapping[str, Any]
    origin: str
    first_seen: datetime


def version_of(template: LifecycleTemplate) -> str:
    """Give the version of a template: a digest of everything it says."""
    return fingerprint(body_of(template))[:_DIGITS]


def body_of(template: LifecycleTemplate) -> dict[str, Any]:
    """Give everything a template says as plain values."""
    return template.model_dump(mode="json", warnings=False)


def versions_of(templates: Iterable[LifecycleTemplate]) -> dict[str, str]:
    """Give the version of each template by name."""
    return {template.name: version_of(template) for template in templates}


def keep(connection: Connection, site: SitePolicy, now: datetime) -> dict[str, str]:
    """Keep what the site's templates say, as far as it is new; gives the version of each by name."""
    c, versions = template_versions.c, versions_of(site.templates)
    known = {(row.name, row.version) for row in connection.execute(select(c.name, c.version))}
    for template in site.templates:
        if (template.name, versions[template.name]) not in known:
            values = {"name": template.name, "version": versions[template.name], "body": body_of(template)}
            origin = site.templates_file.name
            connection.execute(insert(template_versions).values(**values, origin=origin, first_seen=now))
    return versions


def stamped(line: Line, versions: Mapping[str, str]) -> Line:
    """Write the version of its template on a line."""
    version = versions.get(str(line.source.get(NAME)))
    return line if version is None else line.model_copy(update={"source": {**line.source, VERSION: version}})


def history(connection: Connection, name: str | None = None) -> list[Version]:
    """Give every version that was kept, of one template or of all, the newest first."""
    query = select(template_versions).order_by(template_versions.c.name, template_versions.c.first_seen.desc())
    if name is not None:
        query = query.where(template_versions.c.name == name)
    return [Version(*row) for row in connection.execute(query)]


def find(connection: Connection, name: str, version: str) -> Version:
    """Give a version by the beginning of its digest. Raises InputRefused."""
    found = [each for each in history(connection, name) if each.version.startswith(version)]
    if len(found) != 1:
        what = f"template {name} has {len(found) or 'no'} versions that begin with {version}"
        raise InputRefused(what, remedy=f"see ./callwright templates history {name}")
    return found[0]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give every key that differs, nested ones with dots, with both values (pure)."""
    one, other = _flat(before), _flat(after)
    names = [*one, *(name for name in other if name not in one)]
    pairs = ((name, one.get(name), other.get(name)) for name in names)
    return [{"key": name, "before": old, "after": new} for name, old, new in pairs if old != new]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{name}.")
        elif value not in (None, [], {}, ()):
            found[f"{prefix}{name}"] = value
    return found


def refuse_moved(connection: Connection, plan_id: str, templates: Sequence[LifecycleTemplate]) -> None:
    """Raise InputRefused when a template says something else now than when the plan was made: nothing of it is done."""
    if plan_store.header(connection, plan_id).state != "planned":
        return  # what has begun is finished as it was reviewed
    c, now = plan_lines.c, versions_of(templates)
    query = select(c.source).where(c.plan_id == plan_id, c.state.in_(OPEN_LINES))
    for source in connection.execute(query).scalars():
        name, planned = source.get(NAME), source.get(VERSION)
        if planned and planned != now.get(name):
            said = f"is {now[name]} now" if name in now else "is there no more"
            what = f"template {name} {said}, plan {plan_id} was made with {planned}"
            raise InputRefused(what, remedy=f"plan anew ; see ./callwright templates diff {name}")
