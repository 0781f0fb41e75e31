"""Say on the command line where every value of a user comes from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import output
from cli.acts import quietly

if TYPE_CHECKING:
    from engine.explain import Explained

COLUMNS = ("attribute", "value", "comes_from", "wanted", "plan", "run")


def explain(
    name: Annotated[str, typer.Argument(help="Object id or address.")],
    attribute: Annotated[str, typer.Option(help="Only values with this in their name.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say where every value of a user comes from: HR row, template, group, person, or not from us; and why not."""
    found = _read(name)
    rows = [_row(each) for each in asdict(found)["values"] if attribute.casefold() in each["attribute"].casefold()]
    if as_json:
        output.as_json({**asdict(found), "values": rows})
        return
    output.say(f"{found.label}: {found.why}")
    for lost in found.lost:
        output.say(f"matched as well, and lost: template {lost['name']} (priority {lost['priority']})")
    for group in found.groups:
        output.say(f"{group.told}: {group.decides}")
    output.show(rows, COLUMNS, json_wanted=False, empty="no value has this in its name")
    for line in found.stuck:
        output.say(f"plan {line['plan']} line {line['line']} is {line['state']}: {line['reason']}")


def _row(value: dict[str, Any]) -> dict[str, Any]:
    origin = value["origin"] or {}
    plan = f"{origin['plan_id']} ({origin['plan_hash'][:12]})" if origin else ""
    return {**value, "plan": plan, "run": origin.get("request", "")}


def _read(name: str) -> Explained:
    from engine.explain import explain as explained
    from engine.template_versions import versions_of
    from tasks.work import open_work

    with quietly(), open_work() as work, work.runtime() as runtime:
        return explained(runtime, work.site, name, versions_of(work.site.templates))
