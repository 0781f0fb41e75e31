"""The stage that examines a batch: who may move, who is blocked by what, and how long it will take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors import sheets
from datasets.checklists import CHECKS, NOT_SEEN, checked_of
from datasets.preflight import Examined, Preflight
from engine import batches as rows
from engine.migration_terms import WaveTerms
from engine.pool_terms import pool_terms
from engine.preflight import examine
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import open_work

MOST_SHOWN = 200
READINESS = ("location", "policy", "operator", "neither")


@stage(READ)
def preflight(batch: str, file: str) -> dict[str, Any]:
    """Examine everybody of a batch; writes the whole list into a file and gives what a page shows."""
    with open_work() as work, work.runtime() as runtime:
        with work.database.read() as connection:
            found = rows.find(connection, batch)
            users = rows.users_of(connection, found.id)
            own_plans = rows.not_begun(connection, found.id)
            places = {name: each.site or name for name, each in pool_terms(connection, work.site).items()}
            lost = rows.standings(connection, found.id, states=(rows.NOT_FOUND, rows.DUPLICATE))
        terms = WaveTerms.of(work.settings)
        seen = examine(runtime, work.site, found.options, [key for key, _ in users], terms, own_plans)
        path = Path(file) if file else work.settings.drop_folder.parent / "reports" / f"preflight-{found.id}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_report(path, seen, lost)
    return {**_told_preflight(found, seen, lost, path), "emergency": emergency_by_site(seen.users, places)}


def emergency_by_site(users: Sequence[Examined], places: Mapping[str, str]) -> list[dict[str, Any]]:
    """Count by site what stands behind the emergency calls of those who get or keep a number, the worst first."""
    counted: dict[str, Counter[str]] = {}
    for user in users:
        if user.emergency:
            place = places.get(user.pool or "", user.pool or "in no pool")
            counted.setdefault(place, Counter())[user.emergency] += 1
    found = [
        {"site": place, "users": sum(numbers.values()), **{name: numbers[name] for name in READINESS}}
        for place, numbers in counted.items()
    ]
    return sorted(found, key=lambda row: (-row["neither"], row["site"]))


REPORT = ("user", "may move", "home", "new number", *CHECKS, "blocked because", "worth a look")


def _write_report(path: Path, seen: Preflight, lost: Sequence[rows.Standing]) -> None:
    people = [
        (
            each.label,
            "no" if each.blocked else "yes",
            each.home,
            each.number or "",
            *checked_of(each).values(),
            each.reason,
            each.warnings,
        )
        for each in seen.users
    ]
    people += [(each.user, "no", "unknown", "", *[NOT_SEEN] * len(CHECKS), each.reason, "") for each in lost]
    sheets.write_sheet(path, REPORT, people)


def _told_preflight(batch: rows.Batch, seen: Preflight, lost: Sequence[rows.Standing], path: Path) -> dict[str, Any]:
    concerns = [(user, concern) for user in seen.users for concern in user.concerns]
    by_check = Counter((concern.check.value, concern.blocks) for _, concern in concerns)
    first = {concern.check.value: concern for _, concern in reversed(concerns)}
    blocked = [{"who": user.label, "reason": user.reason} for user in seen.users if user.blocked]
    estimate = seen.estimate
    return {
        "batch": batch.name,
        "batch_id": batch.id,
        "counts": {"may_move": len(seen.users) - len(blocked), "blocked": len(blocked), "not_in_tenant": len(lost)},
        "reasons": [
            {
                "check": check,
                "users": count,
                "blocks": blocks,
                "for example": first[check].reason,
                "remedy": first[check].remedy,
            }
            for (check, blocks), count in by_check.most_common()
        ],
        "blocked": blocked[:MOST_SHOWN],
        "checklists": [{"user": user.label, **checked_of(user)} for user in seen.users[:MOST_SHOWN]],
        "calls": dict(estimate.calls),
        "sessions": estimate.sessions,
        "eta_s": round(estimate.eta_s, 1),
        "unchecked": list(seen.unchecked),
        "file": str(path),
    }
