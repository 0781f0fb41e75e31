"""What administrators see of a batch on the Prefect pages: a wave's plan, progress with rate and time left, reasons.

A view only, like `flows/presentation.py`, whose rules hold here too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from datasets.batch_steps import eta_s, outages_told, spoken
from datasets.checklists import short
from flows import presentation
from flows.presentation import Failure

DONE = ("migrated", "unchanged")
ENDED = (*DONE, "failed", "refused", "discarded", "undone", "not_found", "duplicate")


class BatchProgress(presentation.Progress):
    """The progress bar of a batch: users at their end of all, with the rate of this run and the time that is left."""

    def __init__(self, kind: str, counts: Mapping[str, int]) -> None:
        self._began, self._at_first = time.monotonic(), ended(counts)
        self._counts = counts
        super().__init__(kind, sum(counts.values()), done=self._at_first)

    def show(self, counts: Mapping[str, int]) -> None:
        """Show how the batch stands now."""
        self._counts = counts
        self.advance(ended(counts) - self.done)

    def _text(self) -> str:
        return progress_text(self._counts, self._at_first, time.monotonic() - self._began)


def ended(counts: Mapping[str, int]) -> int:
    """Count the users who are at their end."""
    return sum(counts.get(state, 0) for state in ENDED)


def progress_text(counts: Mapping[str, int], at_first: int, elapsed_s: float) -> str:
    """Say in a line how far a batch is, how fast this run is, and when it will be through at that rate."""
    total, now = sum(counts.values()), ended(counts)
    left = eta_s(at_first, now, total - now, elapsed_s)
    rate = f", {(now - at_first) / elapsed_s * 3600:,.0f} users/h" if left is not None else ""
    until = f", {spoken(left)} left" if left else ""
    states = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in sorted(counts.items()) if number)
    return f"{now} of {total} users ({states}){rate}{until}"


def show_plan(batch: str, wave: int, plan_id: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Show the plan of a wave and how to approve it."""
    text = (
        f"Wave {wave} of {batch}: `{plan_id}`. Look at the whole with `./callwright plan show {plan_id}`; where the "
        f"site wants an approval, give it with `./callwright plan approve {plan_id}`, or to every wave with "
        f"`./callwright batch approve '{batch}'`. The first {len(lines)} lines:"
    )
    presentation.show_table("batch-plan", lines, text)


def show_undo(batch: str, wave: int, plan_id: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Show the plan that takes a wave back, and what does not come back with it."""
    lost = "; ".join(dict.fromkeys(str(line["worth a look"]) for line in lines if line["worth a look"]))
    text = (
        f"Wave {wave} of {batch} goes back: `{plan_id}`.{f' Mind: {lost}.' if lost else ''} "
        f"Look at the whole with `./callwright plan show {plan_id}`. The first {len(lines)} lines:"
    )
    presentation.show_table("batch-undo-plan", lines, text)


def show_preflight(summary: Mapping[str, Any]) -> None:
    """Show the reasons of a preflight with their remedies, and the first users that are blocked."""
    counts = summary["counts"]
    takes = spoken(summary["eta_s"])
    told = (
        f"{counts['may_move']} may move, {counts['blocked']} are blocked, about {takes}. Everybody: {summary['file']}"
    )
    presentation.show_table("batch-preflight-reasons", summary["reasons"], told)
    presentation.show_table(
        "batch-preflight-blocked", summary["blocked"], f"{counts['blocked']} blocked: who, and why."
    )
    presentation.show_table(
        "batch-preflight-emergency",
        summary["emergency"],
        "What stands behind an emergency call once these users are in Teams, site by site.",
    )
    shown = summary["checklists"]
    text = f"Check by check, the first {len(shown)} users. The whole list: {summary['file']}"
    presentation.show_table("batch-preflight-checklist", shown, text)


def show_checklists(kind: str, batch: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Show user by user what was checked, which steps are done, and how it ended."""
    text = (
        f"Batch {batch}, user by user: what was checked, then the steps of the move. The first {len(rows)}; everybody "
        f"with `./callwright batch checklist '{batch}' --file checklist.xlsx`."
    )
    presentation.show_table(f"{kind}-checklist", [short(row) for row in rows], text)


def show_standing(kind: str, summary: Mapping[str, Any], troubles: Sequence[tuple[str, str, str]]) -> None:
    """Show how a batch stands: the alert, who is not done and why, the waves, and the summary."""
    shown = for_page(summary)
    presentation.tell_alert(shown)
    presentation.show_failures(kind, [Failure(*each) for each in troubles])
    presentation.show_table(f"{kind}-waves", summary["waves"], f"Batch {summary['batch']}, wave by wave.")
    presentation.show_summary(kind, shown)


def for_page(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Put what a summary has to say about a batch into words."""
    why = f": {summary['why']}" if summary["why"] else ""
    told = [f"Batch **{summary['batch']}** is {summary['state']}{why}."]
    if outages := outages_told(summary["unreachable"]):
        told.append(f"{outages}.")
    if summary.get("needs_approval"):
        told.append(str(summary["needs_approval"]))
    shown = {
        name: summary[name] for name in ("request_id", "plan_id", "counts", "alert", "interrupted") if name in summary
    }
    return shown | {"message": " ".join(told)}
