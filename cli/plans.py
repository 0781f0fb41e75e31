"""Plans on the command line: list, show, compare, discard; `cli/plan_acts.py` approves and applies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import opened, output
from cli.acts import quietly
from cli.exits import FinishedWithFailures

if TYPE_CHECKING:
    from engine.plan_store import StoredLine

app = typer.Typer(help="Look at stored plans, approve, apply or discard one.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
PlanId = Annotated[str, typer.Argument(help="The plan's id, as 'plan list' shows it.")]
DIFFERENCES = ("user", "attribute", "here", "there")
LISTED = ("id", "created_at", "state", "lines", "counts")
MOST_WARNINGS = 5
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
    from config.settings import read_settings
    from config.site_policy import read_approvals
    from engine import approvals, plan_store
    from engine.review import needs_approval, review

    rules = read_approvals(read_settings().site)
    with opened.database() as database, database.read() as connection:
        header = dict(plan_store.header(connection, plan_id)._mapping)
        lines = plan_store.load_lines(connection, plan_id)
        given = approvals.of_plan(connection, plan_id)
    found = review(lines, rules)
    reasons = needs_approval(found, rules)
    if as_json:
        told = {"users": found.users, "destructive": found.destructive, "irreversible": found.irreversible}
        told |= {"vips": found.vips, "needs_approval": reasons}
        output.as_json({**header, "review": told, "approvals": given, "lines": [_as_object(line) for line in lines]})
        return
    who = [f"{each['person_name']}{'' if each['verified'] else ' (unverified)'}: {each['reason']}" for each in given]
    facts = {"users": found.users, "does": dict(found.kinds), "lines": dict(found.states), "look at": found.risks}
    facts |= {"warnings": _warnings(lines)}
    output.pairs(header | facts | {"needs approval, because": reasons, "approved by": who})
    worst_first = sorted(
        lines, key=lambda line: line.line not in {*found.destructive, *found.irreversible, *found.vips}
    )
    output.show([_as_row(line) for line in worst_first], LINES, json_wanted=False, empty="the plan has no lines")


def _warnings(lines: Sequence[StoredLine]) -> list[str]:
    """Give the commonest of what lines have to say beside what they do, with how many say it."""
    told = Counter(str(line.source["warnings"]) for line in lines if line.source.get("warnings"))
    return [f"{number} × {text}" for text, number in told.most_common(MOST_WARNINGS)]


@app.command("diff")
def diff_plans(
    plan_id: PlanId,
    other: Annotated[str, typer.Argument(help="Another plan; without it: the tenant as it is now.")] = "",
    as_json: Json = False,
) -> None:
    """Compare a plan with another one, or with the tenant as it is now; exit code 1 when something differs."""
    from engine.plan_diff import against_live, between

    rows = between_stored(plan_id, other, between) if other else compared_with_tenant(plan_id, against_live)
    output.show(rows, DIFFERENCES, json_wanted=as_json, empty="no difference")
    if rows:
        raise FinishedWithFailures("" if as_json else f"{len(rows)} differences")


def between_stored(plan_id: str, other: str, compare: Callable[..., list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Load two plans and compare them."""
    from engine import plan_store

    with opened.database() as database, database.read() as connection:
        for each in (plan_id, other):
            plan_store.header(connection, each)
        return compare(plan_store.load_lines(connection, plan_id), plan_store.load_lines(connection, other))


def compared_with_tenant(plan_id: str, compare: Callable[..., list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Load a plan and compare what it expects with what the tenant shows."""
    from engine import plan_store
    from tasks.work import open_work

    with quietly(), open_work() as work, work.runtime() as runtime:
        with work.database.read() as connection:
            plan_store.header(connection, plan_id)
            lines = plan_store.load_lines(connection, plan_id)
        return compare(runtime, lines)


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
