"""Compares the tenant's own call log with our journal: plain SQL on one side, plain JSON on the other, no engine.

It knows the rules of the record and nothing of the code that keeps them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

KINDS = {"numberAssignments.assign": "assign_number", "numberAssignments.unassign": "unassign_number"}
KINDS |= {"users.update": "set_usage_location", "Move-CsUser": "move", "Set-CsUser": "clear_on_premises_line"}
ONCE = ("assign_number", "unassign_number", "move")
FINAL = ("verified", "already", "failed", "refused")
Key = tuple[str, str]
Line = tuple[str, int]


def check(database_url: str, call_log: Path) -> list[str]:
    """Give every contradiction in words; an empty list is what one wants."""
    entries = rows(database_url, "SELECT plan_id, line, change, phase, result, payload, stream_id, seq FROM journal")
    planned = rows(database_url, "SELECT plan_id, line, seq, kind, parameters FROM plan_changes")
    kept = rows(database_url, "SELECT n, owner FROM taken WHERE state = 'assigned'")
    calls = [call for call in log(call_log) if call["operation"] in KINDS]
    waits = {row[:3] for row in planned if row[3].startswith("await_")}
    return [*_journal(entries, waits), *_against_log(entries, planned, calls), *_owners(calls, kept)]


def rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    """Read rows straight from the database."""
    if database_url.startswith("sqlite:///"):
        import sqlite3

        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as connection:
            return connection.execute(query).fetchall()
    import psycopg

    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        return connection.execute(query.encode()).fetchall()


def log(file: Path) -> Iterator[dict[str, Any]]:
    """Read the calls that wrote something successfully, in order."""
    for line in file.read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        if call["write"] and call["status"] < 300:
            yield call


def _journal(entries: list[tuple[Any, ...]], waits: set[tuple[Any, ...]]) -> Iterator[str]:
    """No outcome without its intent before, no intent without an end; nothing is sent for what is only waited for."""
    by_change: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for entry in entries:
        by_change.setdefault(entry[:3], []).append(entry)
    together = set(_given_together(entries))
    for change, found in by_change.items():
        intents = sum(entry[3] == "intent" for entry in found)
        ends = [entry[4] for entry in found if entry[4] in FINAL]
        if change[2] and not ends:
            yield f"change {change} has {intents} intents and no end"
        if len(ends) > 1:
            yield f"change {change} ended {len(ends)} times: {ends}"
        if "verified" in ends and not intents and change not in waits and change[:2] not in together:
            yield f"change {change} is verified without an intent"


def _given_together(entries: list[tuple[Any, ...]]) -> Iterator[Line]:
    """Name the lines of users in the intents of operations that give many of them their policies."""
    for plan_id, _, _, phase, _, payload, *_ in entries:
        if phase == "intent":
            yield from ((plan_id, line) for line in _json(payload).get("lines", ()))


def _against_log(
    entries: list[tuple[Any, ...]], planned: list[tuple[Any, ...]], calls: list[dict[str, Any]]
) -> Iterator[str]:
    """No write without an intent; what may happen once only happened once for each verified change."""
    subjects = {row[:3]: key for row in planned if (key := _subject(row[3], _json(row[4]))) is not None}
    intents = Counter(subjects[entry[:3]] for entry in entries if entry[3] == "intent" and entry[:3] in subjects)
    verified = Counter(subjects[entry[:3]] for entry in entries if entry[4] == "verified" and entry[:3] in subjects)
    written = Counter(_written(call) for call in calls)
    effective = Counter(_written(call) for call in calls if call["effects"])
    for key, times in written.items():
        if times > intents[key]:
            yield f"{key} was written {times} times with {intents[key]} intents"
    for key in {*effective, *verified}:
        if key[0] in ONCE and effective[key] != verified[key]:
            yield f"{key} took effect {effective[key]} times and is verified {verified[key]} times"
        if verified[key] and not effective[key]:
            yield f"{key} is verified and never took effect"


def _json(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = (json.loads(value) if isinstance(value, str) else value) or {}
    return found


def _subject(kind: str, parameters: dict[str, Any]) -> Key | None:
    """Name what a change does as the log names it; None for a kind that is not looked at."""
    match kind:
        case "set_usage_location":
            return kind, f"{parameters['user_id']} {parameters['country']}"
        case "assign_number" | "unassign_number":
            return kind, f"{parameters['number']} {parameters['user_id'] if kind == 'assign_number' else ''}"
        case "move_to_teams" | "move_to_pool":
            return "move", f"{_bare(parameters['sip_address'])} {parameters['target']}"
        case "clear_on_premises_line":
            return kind, _bare(parameters["sip_address"])
        case _:
            return None


def _bare(sip_address: str) -> str:
    return sip_address.casefold().removeprefix("sip:")


def _written(call: dict[str, Any]) -> Key:
    said = call["parameters"]
    match kind := KINDS[call["operation"]]:
        case "set_usage_location":
            return kind, f"{call['target']} {said['usageLocation']}"
        case "move":
            return kind, f"{_bare(said['Identity'])} {said['Target']}"
        case "clear_on_premises_line":
            return kind, _bare(said["Identity"])
        case _:
            return kind, f"{said['telephoneNumber']} {said.get('assignmentTargetId', '')}"


def _owners(calls: list[dict[str, Any]], kept: list[tuple[Any, ...]]) -> Iterator[str]:
    """One owner at every moment, and at the end the one that we believe."""
    owners: dict[str, str | None] = {}
    effects = [e for call in calls for e in call["effects"] if e["attribute"] == "assignmentTargetId"]
    for effect in effects:
        number = effect["object"].removeprefix("number:")
        if owners.get(number) not in (None, effect["before"]):
            yield f"{number} went from {effect['before']} while {owners[number]} had it"
        owners[number] = effect["after"]
    believed = {f"+{row[0]}": row[1].removeprefix("user:") for row in kept}
    for number, owner in owners.items():
        if believed.get(number) != owner:
            yield f"{number} belongs to {owner}, we believe {believed.get(number)}"
