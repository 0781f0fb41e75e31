"""Whether an answer of the tenant may be believed: an empty or truncated one is a failure, no empty tenant. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from datasets.inventory import NumberState
from datasets.number_audit import Estate

# Lists lag behind each other by a few entries; more than that is a page that is missing.
FEW, SHARE = 3, 0.02
GHOSTS = 0.2


def read_counts(estate: Estate) -> dict[str, int]:
    """Count what was read, for the next run to compare with."""
    counts = {"numbers": len(estate.rows), "users": len(estate.users)}
    counts |= {} if estate.directory is None else {"directory": len(estate.directory)}
    counts |= {} if estate.ranges_read is None else {"unassigned ranges": estate.ranges_read}
    return counts | ({} if estate.blocks is None else {"blocks": len(estate.blocks)})


def doubts(estate: Estate, last: Mapping[str, int], shrink_percent: float) -> list[str]:
    """Say why the answers are not believed; nothing when they are."""
    return [*_twice(estate), *_empty(estate), *_shrunk(estate, last, shrink_percent), *_missing(estate)]


def _twice(estate: Estate) -> Iterator[str]:
    counted = Counter(row.telephone_number for row in estate.rows)
    twice = [number for number, times in counted.items() if times > 1]
    if twice:
        yield f"{len(twice)} numbers are listed twice, such as {min(twice)}"


def _empty(estate: Estate) -> Iterator[str]:
    assigned = sum(taken.state == NumberState.ASSIGNED for taken in estate.taken.values())
    if not estate.rows and assigned:
        yield f"Teams lists no number, and the inventory knows {assigned} that are assigned"
    if not estate.users and (estate.rows or assigned):
        yield "Teams lists no user"


def _shrunk(estate: Estate, last: Mapping[str, int], shrink_percent: float) -> Iterator[str]:
    now = read_counts(estate)
    for name, before in sorted(last.items()):
        found = now.get(name)
        if found is not None and found < before * (1 - shrink_percent / 100):
            yield f"{found} {name} were read, {before} the last time"


def _missing(estate: Estate) -> Iterator[str]:
    """Prove the pages against each other: what one list mentions the other must have."""
    mentioned = [text for user in estate.users.values() for text in user.telephone_numbers]
    lost = [text for text in mentioned if text not in estate.by_number]
    if _are_many(lost, len(mentioned)):
        yield f"{len(lost)} of {len(mentioned)} numbers that users have are not in the list of numbers"
    holders = [row.assignment_target_id for row in estate.rows if row.assignment_target_id]
    unknown = [holder for holder in holders if holder not in estate.users and holder not in estate.deleted]
    if len(unknown) > max(FEW, GHOSTS * len(holders)):
        yield f"{len(unknown)} of {len(holders)} holders of numbers are not in the list of users"
    if estate.blocks is not None:
        apart = set(estate.blocks) ^ set(estate.by_number)
        if _are_many(apart, len(estate.rows)):
            yield f"Graph and PowerShell list different numbers: {len(apart)} are in one list only"


def _are_many(lost: Iterable[str], of: int) -> bool:
    return len(list(lost)) > max(FEW, SHARE * of)
