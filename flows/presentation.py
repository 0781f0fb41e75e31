"""What administrators see of a run on the Prefect pages: progress, a table of failures, a summary, an event per chunk.

A view only: the journal is the record. Outside a flow run every function does nothing, and a Prefect server that does
not answer never fails a run.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run
from pydantic import JsonValue

AWAY_S = 120.0
MOST_FAILURES = 200  # a longer table is slow to draw and nobody reads it; the whole list is one command away
CHUNK_APPLIED = "callwright.chunk.applied"
ALERT = "callwright.alert"  # and then what happened to it: .raised or .cleared
MEANINGS: Mapping[str, str] = {
    "planned": "the plan says what would be done; nothing was sent",
    "onboarded": "has number, licence and policies; a read has shown it",
    "planned_ahead": "starts later; the number is reserved",
    "migrated": "is in Teams with number and policies; a read has shown it",
    "ready": "in a wave that is not planned yet",
    "may_move": "nothing stands in the way",
    "blocked": "something has to be put right first; the others go",
    "moved": "has what the new template gives; a read has shown it",
    "returned": "is back: what a leave or a departure took is given again; a read has shown it",
    "on_leave": "has what a leave of absence gives; a read has shown it",
    "leaving": "the steps that are due are taken; more come later",
    "left": "every step is taken; a read has shown it",
    "disabled": "cannot sign in any more and has no number; deleted when the days are over",
    "deleted": "gone from the systems that were named; a read has shown it",
    "undone": "is as it was before; a read has shown it",
    "restored": "is as it was at the moment asked for; a read has shown it",
    "fixed": "is put right; a read has shown it, or it was our own record",
    "ordered": "the order was carried out; a read has shown it",
    "assigned": "has the number; a read has shown it",
    "released": "nobody's any more: free, or resting",
    "waiting": "something has to happen first; picked up by itself",
    "unchanged": "was already as wanted",
    "quarantined": "the row is unsound; nothing was done for it",
    "refused": "the row is sound, but may not be done",
    "failed": "look at it: the reason is in the table of failures",
    "discarded": "given up before it began; the number is free",
    "not_found": "the row names nobody of the tenant",
    "not_in_tenant": "rows that name nobody, or somebody twice",
    "duplicate": "the row names somebody for the second time",
    "unknown": "a reply was lost and no read has settled it yet; its number stays claimed",
}
_WORST = ("failed", "unknown", "refused", "waiting", "discarded", "not_found", "duplicate")
WORST_FIRST = {state: place for place, state in enumerate(_WORST, start=1)}

log = logging.getLogger("callwright.presentation")


class Failure(NamedTuple):
    """One row of the table of failures."""

    who: str
    state: str
    reason: str
    feed_line: str = ""


def flow_run_id() -> str | None:
    """Give the id of the flow run we are in, to be kept with the request; None outside of one."""
    found = flow_run.id
    return str(found) if found else None


class Progress:
    """The progress bar of one run."""

    def __init__(self, kind: str, total: int, done: int = 0) -> None:
        self.total, self.done = total, done
        self._artifact: UUID | None = None
        if _is_seen():
            with _view_only():
                found = create_progress_artifact(self._percent(), key=f"{kind}-progress", description=self._text())
                self._artifact = found if isinstance(found, UUID) else None

    def advance(self, lines: int) -> None:
        """Show that so many more lines have been worked on."""
        self.done += lines
        if self._artifact is not None and _is_seen():
            with _view_only():
                update_progress_artifact(self._artifact, self._percent(), description=self._text())

    def _percent(self) -> float:
        return min(100.0, 100.0 * self.done / self.total) if self.total else 100.0

    def _text(self) -> str:
        return f"{self.done} of {self.total} lines"


def tell_chunk_applied(plan_id: str, chunk: str, counts: Mapping[str, int]) -> None:
    """Emit an event for an applied chunk, so that an automation can react to it."""
    if not _is_seen():
        return
    resource = {"prefect.resource.id": f"callwright.plan.{plan_id}", "prefect.resource.name": plan_id}
    with _view_only():
        emit_event(CHUNK_APPLIED, resource=resource, payload={"chunk": chunk, "counts": dict(counts)})


def tell_alert(summary: Mapping[str, JsonValue]) -> None:
    """Emit an event for the alert that this run raised or cleared, so that an automation can tell somebody."""
    alert = summary.get("alert")
    if not isinstance(alert, dict) or alert["state"] == "stands" or not _is_seen():
        return
    cause = str(alert["cause"])
    resource = {"prefect.resource.id": f"callwright.alert.{cause}", "prefect.resource.name": cause}
    payload = {"request_id": summary.get("request_id"), "message": summary.get("message") or cause}
    with _view_only():
        emit_event(f"{ALERT}.{alert['state']}", resource=resource, payload=payload)


def show_failures(kind: str, failures: Iterable[Failure]) -> None:
    """Show the table of failures with their reasons, the worst first; nothing when there are none."""
    rows = sorted(failures, key=lambda row: WORST_FIRST.get(row.state, 0))
    if not rows or not _is_seen():
        return
    more = f" The first {MOST_FAILURES} of {len(rows)}." if len(rows) > MOST_FAILURES else ""
    has_feed = any(row.feed_line for row in rows)
    table = [
        {"who": row.who, "state": row.state, "reason": row.reason, **({"feed line": row.feed_line} if has_feed else {})}
        for row in rows[:MOST_FAILURES]
    ]
    with _view_only():
        create_table_artifact(table, key=f"{kind}-failures", description=f"{_states(rows)}: who, and why.{more}")


def _states(rows: Sequence[Failure]) -> str:
    """Count rows by state in their order; it is what the card on the run's page says, before anything is opened."""
    return ", ".join(f"{n} {state}" for state, n in Counter(row.state for row in rows).items())


def show_differences(kind: str, rows: Sequence[Mapping[str, JsonValue]], total: int) -> None:
    """Show what number-sync found, by class, with what to do about each; nothing when all sides agree."""
    if not rows or not _is_seen():
        return
    table = [
        {"class": row["cause"], "number": row["number"], "who": row["who"], "found": row["found"], "then": then_of(row)}
        for row in rows[:MOST_FAILURES]
    ]
    more = f" The first {MOST_FAILURES} of {total}." if total > MOST_FAILURES else ""
    with _view_only():
        create_table_artifact(table, key=f"{kind}-differences", description=f"What differs, and what to do.{more}")


def show_drift(kind: str, report: Mapping[str, JsonValue]) -> None:
    """Show which users are not as their templates want them; nothing when all are."""
    rows, total = report.get("found"), report.get("differences")
    if not isinstance(rows, list) or not rows or not _is_seen():
        return
    names = ("label", "template", "attribute", "live", "wanted", "then", "why")
    table = [{name: str(row.get(name)) for name in names} for row in rows[:MOST_FAILURES] if isinstance(row, dict)]
    with _view_only():
        said = f"What differs ({total}), and what to do."
        more = f" The first {len(table)}; all of them are in {report.get('file')}." if total != len(table) else ""
        create_table_artifact(table, key=f"{kind}-differences", description=said + more)


def then_of(row: Mapping[str, JsonValue]) -> str:
    """Say what happens about a difference: what is fixed by itself, and the steps for a person in their order."""
    remedy = row["remedy"] if isinstance(row["remedy"], list) else []
    steps = [f"{place}. {step}" for place, step in enumerate(remedy, start=1)]
    fixed = [f"fixed by itself: {str(row['fix']).replace('_', ' ')}"] if row["fix"] else []
    return " ; ".join([*fixed, *steps])


def show_summary(kind: str, summary: Mapping[str, JsonValue]) -> None:
    """Show the summary of a run with the commands that lead from it to plan and audit."""
    if not _is_seen():
        return
    with _view_only():
        create_markdown_artifact(summary_text(kind, summary), key=f"{kind}-summary", description=_in_a_line(summary))


def _in_a_line(summary: Mapping[str, JsonValue]) -> str:
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in _shown(summary).items()) or "Nothing to do."


def _shown(summary: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Give the counts that are not zero, in the order of their meanings."""
    counts = summary.get("counts")
    found = counts if isinstance(counts, dict) else {}
    names = (*MEANINGS, *(name for name in found if name not in MEANINGS))
    return {name: found[name] for name in names if found.get(name)}


def show_table(key: str, rows: Sequence[Mapping[str, JsonValue]], description: str) -> None:
    """Show a table under a key of its own; nothing when it is empty."""
    if rows and _is_seen():
        with _view_only():
            create_table_artifact([dict(row) for row in rows], key=key, description=description)


def show_drawing(kind: str, drawing: str, description: str) -> None:
    """Show a drawing in Markdown under a name of its own."""
    if _is_seen():
        with _view_only():
            create_markdown_artifact(drawing, key=kind, description=description)


def show_sources(kind: str, summary: Mapping[str, JsonValue]) -> None:
    """Show what each source answered, and what became of it."""
    sources = summary.get("sources")
    if not isinstance(sources, dict) or not sources or not _is_seen():
        return
    table = [{"source": name, **facts} for name, facts in sources.items() if isinstance(facts, dict)]
    with _view_only():
        create_table_artifact(table, key=f"{kind}-sources", description="What each source answered.")


def summary_text(kind: str, summary: Mapping[str, JsonValue]) -> str:
    """Write the summary in Markdown; counts that are zero are left out, except when all are."""
    rows = [f"| {name.replace('_', ' ')} | {n} | {MEANINGS.get(name, '')} |" for name, n in _shown(summary).items()]
    return "\n".join(
        [
            f"# {kind.replace('-', ' ').capitalize()}{': dry run' if summary.get('dry_run') else ''}",
            *_outcomes(summary, rows),
            *_facts(summary),
            *_commands(summary),
            "",
        ]
    )


def _outcomes(summary: Mapping[str, JsonValue], rows: Sequence[str]) -> Sequence[str]:
    told = [str(summary[name]) for name in ("message", "interrupted") if summary.get(name)]
    if rows:
        told += ["| outcome | lines | what it means |\n|---|---:|---|\n" + "\n".join(rows)]
    return [line for part in told or ["There was nothing to do."] for line in ("", part)]


def _facts(summary: Mapping[str, JsonValue]) -> list[str]:
    known = {
        name: summary[name]
        for name in ("request_id", "plan_id", "verified", "still_waiting", "begin_to_leave")
        if summary.get(name) is not None
    }
    facts = [f"- {name.removesuffix('_id').replace('_', ' ')}: `{value}`" for name, value in known.items()]
    facts += _people(summary)
    if isinstance(ages := summary.get("chosen_as_of"), dict):
        facts.append(f"- users chosen from what was read: {', '.join(f'{name} {age}' for name, age in ages.items())}")
    alert, warnings = summary.get("alert"), summary.get("warnings")
    facts += [f"- alert {alert['state']}: {alert['cause']}"] if isinstance(alert, dict) else []
    facts += [f"- warning: {warning}" for warning in warnings] if isinstance(warnings, list) else []
    return ["", *facts] if facts else []


def _people(summary: Mapping[str, JsonValue]) -> list[str]:
    """Say how many joined, moved and left: the outcomes say how far each has come."""
    people = summary.get("people")
    counted = [f"{n} {name.replace('_', ' ')}" for name, n in people.items()] if isinstance(people, dict) else []
    return [f"- people: {', '.join(counted)}"] if counted else []


def _commands(summary: Mapping[str, JsonValue]) -> Sequence[str]:
    plan, request = summary.get("plan_id"), summary.get("request_id")
    commands = [f"./callwright plan show {plan}"] if plan else []
    commands += [f"./callwright plan discard {plan}"] if plan and summary.get("dry_run") else []
    commands += [f"./callwright audit log --run {request}"] if request else []
    counts = summary.get("counts")
    if isinstance(counts, dict) and counts.get("quarantined"):
        commands.append("./callwright quarantine list")
    return ["", "Read on with", "", "```console", *(f"$ {command}" for command in commands), "```"] if commands else []


# When the server last failed a run: Prefect's client tries for a minute, which a run must not wait for again and again.
_failed_at: dict[str, float] = {}


def _is_seen() -> bool:
    run_id = flow_run_id()
    return run_id is not None and time.monotonic() - _failed_at.get(run_id, -AWAY_S) >= AWAY_S


@contextmanager
def _view_only() -> Iterator[None]:
    """Let the run go on when the server does not take what we want to show."""
    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        _failed_at[flow_run_id() or ""] = time.monotonic()
        log.warning("not shown on the Prefect page: %s", error)
