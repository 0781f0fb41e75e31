"""The stage of a bulk edit: whom it is about, and the plan of what they get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from config.errors import InputRefused
from connectors.sheets import rows_of
from datasets.bulk_edits import Edits, parse, read_rows
from engine import bulk_edit, cache, requests, saved_filters, user_search
from engine.bulk_edit import Terms, plan_bulk_edit
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import Work, open_work


@stage(READ)
def plan_edit(request_id: str, who: Mapping[str, str], users: Sequence[str], assignments: Sequence[str]) -> str:
    """Plan an edit of the users of a filter, a text, a list or a sheet; gives the plan's id.

    `who` has `filter`, `text` or `file`; exactly one way of choosing is allowed, a sheet may say itself what is set.
    """
    with open_work() as work:
        wanted = _wanted(work, who, users, assignments)
        if who.get("filter") or who.get("text"):
            with work.database.write() as connection:
                requests.note(connection, request_id, chosen_as_of=cache.as_of(connection))
        wait = work.settings.wait
        terms = Terms(timedelta(hours=wait.claim_hours), wait.grace_days)
        with work.runtime() as runtime:
            return plan_bulk_edit(runtime, work.site, request_id, wanted, terms)


def _wanted(work: Work, who: Mapping[str, str], users: Sequence[str], assignments: Sequence[str]) -> dict[str, Edits]:
    ways = [name for name, value in who.items() if value] + (["users"] if users else [])
    if len(ways) != 1:
        what = f"users are chosen by {' and '.join(ways)}" if ways else "nobody is chosen"
        raise InputRefused(what, where="bulk edit", remedy="use one of: a filter, a text, a file, a list of users")
    if who.get("file"):
        return _of_sheet(Path(who["file"]), assignments)
    edits = parse(assignments)
    return dict.fromkeys(users or _found(work, who), edits)


def _of_sheet(path: Path, assignments: Sequence[str]) -> dict[str, Edits]:
    rows = rows_of(path)
    _, header = next(rows, (0, []))
    found = read_rows(header, rows, str(path))
    edits = parse(assignments) if assignments else {}
    together = {user: {**edits, **own} for user, own in found.items()}
    if not any(together.values()):
        raise InputRefused("nothing is to be set", where=str(path), remedy="add a column, or use --set")
    return {user: each for user, each in together.items() if each}


def _found(work: Work, who: Mapping[str, str]) -> list[str]:
    """Give the ids of the users whom a search finds in the cache; the plan reads each of them again."""
    with work.database.read() as connection:
        if who.get("filter"):
            saved = saved_filters.load(connection, who["filter"])
            query, shown = saved.query, saved.columns
        else:
            query, shown = who["text"], ()
        keys = []
        for each in user_search.everybody(connection, query, shown=shown):
            keys.append(each.key)
            if len(keys) > bulk_edit.MOST_USERS:
                break
    return keys
