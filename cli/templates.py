"""Lifecycle templates on the command line: what the site has, what its versions said, and what changed between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import opened, output
from cli.acts import quietly

if TYPE_CHECKING:
    from config.site_policy import SitePolicy
    from engine.group_members import Join

app = typer.Typer(help="Look at lifecycle templates and their versions.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Name = Annotated[str, typer.Argument(help="The template's name.")]


@app.command("list")
def list_templates(as_json: Json = False) -> None:
    """List the templates of the site, strongest first, with the version that plans are made with now."""
    from engine import template_versions

    site = _site()
    ordered = sorted(site.templates, key=lambda each: (each.priority, each.name.casefold()))
    rows = [
        {
            "priority": each.priority,
            "name": each.name,
            "version": template_versions.version_of(each),
            "user_type": str(each.user_type),
            "number": str(each.number_source),
            "pools": ", ".join(each.pools),
            "policies": len(each.policies),
            "licences": ", ".join(each.licences),
        }
        for each in ordered
    ]
    output.show(rows, tuple(rows[0]), json_wanted=as_json, empty="the site has no templates")
    if not as_json:
        output.say(f"from {site.templates_file}")


@app.command("show")
def show(
    name: Name,
    version: Annotated[str, typer.Option(help="An earlier version, by the beginning of its digest.")] = "",
    as_json: Json = False,
) -> None:
    """Show everything a template says, as it is in the file or as it was in a version that was used."""
    from engine import template_versions

    if version:
        with opened.database() as database, database.read() as connection:
            found = template_versions.find(connection, name, version)
        body, shown = dict(found.body), found.version
    else:
        template = _site().template(name)
        body, shown = template.model_dump(mode="json"), template_versions.version_of(template)
    if as_json:
        output.as_json({**body, "version": shown})
    else:
        output.pairs({**body, "version": shown})


@app.command("history")
def history(name: Annotated[str, typer.Argument(help="Only of this template.")] = "", as_json: Json = False) -> None:
    """List the versions that plans were made with, the newest first."""
    from engine import template_versions

    with opened.database() as database, database.read() as connection:
        found = template_versions.history(connection, name or None)
    rows = [
        {"name": each.name, "version": each.version, "first_seen": each.first_seen, "file": each.origin}
        for each in found
    ]
    columns = ("name", "version", "first_seen", "file")
    output.show(rows, columns, json_wanted=as_json, empty="no plan was made with a template yet")


@app.command("diff")
def diff(
    name: Name,
    since: Annotated[str, typer.Option(help="The version before; default: the one used last.")] = "",
    until: Annotated[str, typer.Option(help="The version after; default: what the file says now.")] = "",
    as_json: Json = False,
) -> None:
    """Show what differs between two versions of a template."""
    from config.errors import InputRefused
    from engine import template_versions

    with opened.database() as database, database.read() as connection:
        kept = template_versions.history(connection, name)
        if not since and not kept:
            raise InputRefused(f"no plan was made with template {name} yet", remedy="name --since and --until")
        before = template_versions.find(connection, name, since or kept[0].version)
        after = template_versions.find(connection, name, until).body if until else _now(name)
    rows = template_versions.differences(before.body, after)
    output.show(rows, ("key", "before", "after"), json_wanted=as_json, empty=f"nothing differs since {before.version}")


@app.command("preview")
def preview(
    file: Annotated[
        Path | None, typer.Argument(help="The changed file of templates; default: that of the site.")
    ] = None,
    join: Annotated[
        list[str] | None, typer.Option(help="GROUP=OTHER: as if all of GROUP were in OTHER; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many rows to show.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what changed templates, or joining groups, would do to whom; nothing is changed."""
    from config.site_policy import read_templates
    from engine import template_preview
    from tasks.work import open_work

    with quietly(), open_work() as work, work.runtime() as runtime:
        site = work.site
        after = site if file is None else site.model_copy(update={"templates": read_templates(file)})
        found = template_preview.preview(runtime, site, after, [_join(each) for each in join or ()])
    values = template_preview.as_values(found, limit)
    if as_json:
        output.as_json(values)
        return
    output.say(f"{found.users} of {found.people} people would change")
    output.pairs({"what": found.counts, "templates": found.moves})
    output.show(values["rows"], ("label", "template", "attribute", "live", "wanted"), json_wanted=False, empty="nobody")  # type: ignore[arg-type] # JSON
    for note in found.notes:
        output.note(note)


def _join(text: str) -> Join:
    from config.errors import InputRefused
    from engine.group_members import Join

    group, is_pair, into = text.partition("=")
    if not (is_pair and group and into):
        raise InputRefused(f"{text!r} is no pair of groups", where="--join", remedy="write GROUP=OTHER")
    return Join(group, into)


def _now(name: str) -> dict[str, Any]:
    return _site().template(name).model_dump(mode="json")


def _site() -> SitePolicy:
    from config.settings import read_settings
    from config.site_policy import read_site

    return read_site(read_settings().site)
