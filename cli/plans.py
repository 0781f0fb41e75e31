"""Plans on the command line: list, show, discard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from cli import opened, output

if TYPE_CHECKING:
    from engine.plan_store import StoredLine

app = typer.Typer(help="Look at stored plans, or discard one.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
PlanId = Annotated[str, typer.Argument(help="The plan's id, as 'plan list' shows it.")]
LISTED = ("id", "created_at", "state", "lines", "counts")
LINES = ("line", "user", "state", "does", "reason")


@app.command("list")
def list_plans(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List plans, newest first, with what came of their lines."""
    from engine import plan_store

    with opened.database() as database, database.read() as connection:
        rows = [dict(row._mapping) for row in plan_store.latest(connection, limit)]
        for row in rows:
            row["counts"] = dict(plan_store.counts(connection, str(row["id"])))
    output.show(
        rows, LISTED, json_wanted=as_json, title="plans", empty="no plan yet ; start with: ./callwright onboard"
    )


@app.command("show")
def show_plan(plan_id: PlanId, as_json: Json = False) -> None:
    """Show a plan line by line: for whom, what would change from what to what, and where it stands."""
    from engine import plan_store

    with opened.database() as database, database.read() as connection:
        header = dict(plan_store.header(connection, plan_id)._mapping)
        lines = plan_store.load_lines(connection, plan_id)
    if as_json:
        output.as_json({**header, "lines": [_as_object(line) for line in lines]})
        return
    output.pairs(header)
    output.show([_as_row(line) for line in lines], LINES, json_wanted=False, empty="the plan has no lines")


@app.command("discard")
def discard_plan(
    plan_id: PlanId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Give up a plan that was not applied; the numbers it claimed are free again."""
    from datetime import UTC, datetime

    from engine import apply, plan_store

    with opened.database() as database:
        with database.read() as connection:
            header = plan_store.header(connection, plan_id)
            lines = sum(plan_store.counts(connection, plan_id).values())
        if not output.confirmed(f"discard plan {plan_id} ({header.state}, {lines} lines)?", yes=yes):
            raise typer.Exit(1)
        given_back = apply.discard(database, plan_id, datetime.now(UTC))
    if as_json:
        output.as_json({"plan_id": plan_id, "state": "discarded", "numbers_given_back": given_back})
    else:
        output.say(f"plan {plan_id} is discarded ; {given_back} numbers are free again")


def _as_row(line: StoredLine) -> Mapping[str, object]:
    return {
        "line": line.line,
        "user": line.label,
        "state": line.state.value,
        "does": "\n".join(f"{stored.change.kind}: {_effects(stored.change.effects)}" for stored in line.changes),
        "reason": "; ".join(part for part in (line.condition, line.reason) if part),
    }


def _effects(effects: tuple[object, ...]) -> str:
    shown = (
        f"{getattr(effect, 'attribute', '')} "
        f"{output.text(getattr(effect, 'before', None)) or '–'} → {output.text(getattr(effect, 'after', None)) or '–'}"
        for effect in effects
    )
    return ", ".join(shown)


def _as_object(line: StoredLine) -> Mapping[str, object]:
    changes = [
        {"seq": stored.seq, "state": stored.state.value, "sent_at": stored.sent_at}
        | stored.change.model_dump(mode="json")
        for stored in line.changes
    ]
    names = (
        "line",
        "object",
        "label",
        "success",
        "state",
        "reason",
        "condition",
        "not_before",
        "give_up_at",
        "attempts",
    )
    return {name: getattr(line, name) for name in names} | {"source": line.source, "changes": changes}
