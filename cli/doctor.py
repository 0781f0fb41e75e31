"""The doctor: every condition for working, one finding each, with what to do about it. It changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import opened, output, prefect_runs
from cli.exits import DependencyMissing, FinishedWithFailures, one_line
from cli.onboarding import CONTINUE, ONBOARD

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

    from config.settings import Settings
    from connectors.graph import Graph
    from datasets.findings import Finding

COLUMNS = ("", "check", "found", "what to do")
OLDEST, NEWEST = (3, 11), (3, 13)
SEARCH_INDEX = (
    "as owner of the database: CREATE EXTENSION pg_trgm, then "
    "CREATE INDEX ix_user_search ON user_views USING gin (text gin_trgm_ops)"
)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False) -> None:
    """Check every connection and permission, and say what to do about each failure."""
    found: list[Finding] = []
    for finding in examine():
        found.append(finding)
        if not as_json and sys.stderr.isatty():
            output.note(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}")
    failures = [finding for finding in found if not finding.ok]
    if as_json:
        output.as_json([finding.model_dump() for finding in found])
    else:
        output.table([_as_row(finding) for finding in found], COLUMNS)
    if failures:
        names = ", ".join(finding.name for finding in failures)
        raise FinishedWithFailures("" if as_json else f"{len(failures)} of {len(found)} checks failed: {names}")


def examine() -> Iterator[Finding]:
    """Give one finding after the other; what cannot be asked because of an earlier failure is left out."""
    yield python_version(sys.version_info[:2])
    settings: list[Settings] = []
    yield from _told("settings", lambda: _settings(settings))
    if not settings:
        return
    yield from _told("site policy", lambda: _policy(settings[0]))
    alerts: list[Row[Any]] = []
    yield from _told("database", lambda: _database(alerts))
    yield from map(_of_alert, alerts)
    yield from _search_index()
    yield from _systems(settings[0])
    server = list(_told("prefect", _prefect))
    yield from server
    if prefect_runs.server_url() and all(finding.ok for finding in server):
        yield from _told("schedules", _schedules)


def python_version(version: tuple[int, ...]) -> Finding:
    """Tell whether this Python is one that we are tested with (M5)."""
    from datasets.findings import Finding

    text, is_known = ".".join(map(str, version)), OLDEST <= version <= NEWEST
    fix = "" if is_known else "make the environment with Python 3.11, 3.12 or 3.13: make clean env"
    return Finding(name="python", ok=is_known, detail=text, fix=fix)


def _settings(read: list[Settings]) -> str:
    from config.settings import read_settings, settings_file

    read.append(read_settings())
    return str(settings_file() or "environment and defaults")


def _policy(settings: Settings) -> str:
    from config.site_policy import read_site
    from engine.pool_terms import policy_terms, pool_terms, refuse_unknown_pools

    site = read_site(settings.site)
    with opened.database_if_ready() as database:
        if database is None:
            refuse_unknown_pools(site, policy_terms(site))
        else:
            with database.read() as connection:
                refuse_unknown_pools(site, pool_terms(connection, site))
    return f"{settings.site}: {len(site.pools)} pools, {len(site.templates)} templates, {len(site.mappings())} mappings"


def _database(alerts: list[Row[Any]]) -> str:
    """Look at our database, and collect the alerts that stand in it."""
    from connectors import schema
    from engine.requests import standing_alerts

    with opened.any_database() as database:
        found = schema.revision(database)
        where = database.url.render_as_string(hide_password=True)
        if found.is_empty:
            return f"{where} is new ; the first command makes its tables"
        schema.require(database)
        with database.read() as connection:
            alerts += standing_alerts(connection)
    return f"{where}, schema {found.found}"


def _search_index() -> Iterator[Finding]:
    """Say that searches scan, where PostgreSQL has no trigrams: that is slow and no failure."""
    from datasets.findings import Finding
    from engine import user_search

    with opened.database_if_ready() as database:
        if database is not None:
            with database.read() as connection:
                is_there = user_search.has_index(connection)
            detail = "searches use an index" if is_there else "none: every search looks at every user"
            fix = "" if is_there else SEARCH_INDEX
            yield Finding(name="search index", ok=True, detail=detail, fix=fix)


def _of_alert(alert: Row[Any]) -> Finding:
    from datasets.findings import Finding

    detail = f"{alert.cause}, since {output.text(alert.raised_at)}: {alert.message}"
    return Finding(
        name="alert", ok=False, detail=detail, fix="the message says what is wrong; the next good run clears the alert"
    )


def _systems(settings: Settings) -> Iterator[Finding]:
    from config.errors import InputRefused
    from datasets.findings import Finding
    from engine.opening import open_systems

    if settings.tenant is None:
        yield Finding(name="tenant", ok=True, detail="none is set: nothing outside can be read or changed")
        return
    try:
        # With the database the doctor keeps to the session quota that running work uses.
        with opened.database_if_ready() as database, open_systems(settings, database) as systems:
            of_graph = systems.graph.probe()
            yield from of_graph
            stopped_at = of_graph[-1].name  # it asks no further when nobody answers, and nor do we
            if stopped_at not in ("graph sign-in", "graph tenant"):
                yield from systems.teams.probe()
                yield from _groups(settings, systems.graph)
            yield from systems.directory.probe() if systems.directory else ()
            yield from systems.skype.probe() if systems.skype else ()
            if systems.shell and stopped_at != "graph sign-in":
                yield from systems.shell.probe()
    except InputRefused as error:
        yield _failure("tenant", error)


def _groups(settings: Settings, graph: Graph) -> Iterator[Finding]:
    """Look at every group that a template names: how many people it has, and how deep groups are nested in it."""
    from config.errors import InputRefused
    from config.site_policy import read_site

    try:
        templates = read_site(settings.site).templates
    except InputRefused:
        return  # told already, as the site policy
    wanted = {group for template in templates for group in template.match.groups}
    for name in sorted(wanted):
        yield from _told(f"group {name}", lambda name=name: _group(graph, name))  # type: ignore[misc]  # binds now


def _group(graph: Graph, name: str) -> str:
    from config.errors import InputRefused

    group_id, members = graph.group_id(name), graph.member_ids(name)
    if group_id is None or members is None:
        raise InputRefused(f"no group {name} in the tenant", remedy="create it or correct the templates")
    depth = graph.nesting(group_id)
    return f"{len(members)} users" + (f", groups nested {depth} deep" if depth else "")


def _prefect() -> str:
    if not prefect_runs.server_url():
        return "PREFECT_API_URL is not set: runs happen in the calling process"
    names = prefect_runs.deployment_names()
    missing = {ONBOARD.deployment, CONTINUE.deployment} - names
    if missing:
        what = f"{prefect_runs.server_url()} has no deployment {', '.join(sorted(missing))}"
        raise DependencyMissing(f"{what} ; start: ./callwright serve --mapping FILE")
    return f"{prefect_runs.server_url()} with {len(names)} deployments"


def _schedules() -> str:
    if idle := prefect_runs.idle_schedules():
        what = f"no run is to come of {', '.join(idle)}, whose schedules are on"
        raise DependencyMissing(f"{what} ; look again in a minute, then into the log of the Prefect server")
    return "every schedule that is on has a run to come"


def _told(name: str, check: Callable[[], str]) -> Iterator[Finding]:
    from config.errors import InputRefused
    from connectors.errors import ConnectorError
    from datasets.findings import Finding

    try:
        yield Finding(name=name, ok=True, detail=check())
    except (InputRefused, ConnectorError, DependencyMissing) as error:
        yield _failure(name, error)


def _failure(name: str, error: Exception) -> Finding:
    from datasets.findings import Finding

    what, _, fix = one_line(error).rpartition(" ; ")
    return Finding(name=name, ok=False, detail=what or fix, fix=fix)


def _as_row(finding: Finding) -> dict[str, object]:
    return {
        "": "ok" if finding.ok else "FAIL",
        "check": finding.name,
        "found": finding.detail,
        "what to do": finding.fix,
    }
