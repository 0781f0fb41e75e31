"""The evidence pack: one run in one file that proves itself on another machine, without our database.

Plans, approvals, what the quality gate said, before and after, journal entries with the chain up to the newest
manifest, and the script that checks it. It holds what the record holds: no secret, but personal data until retention
takes it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, and_, func, select

from config.errors import InputRefused
from datasets.tables.feeds import feeds, quarantine
from datasets.tables.journal import journal_manifests, journal_streams
from datasets.tables.requests import requests as requests_table
from engine import approvals, audit_export, batch_approvals, evidence_check, history, journal_rows, plan_store
from engine.journal_rows import moment_text
from engine.retention import ERASED

_EPOCH = (2026, 1, 1, 0, 0, 0)
README = """Evidence of one run of Callwright.

manifest.json    which files there are, with their SHA-256
request.json     who asked for it, when, and what came of it
plans.json       what was planned, line by line, with the hash that approvals are bound to
approvals.json   who approved, why, and until when
batch-approvals.json   who approved a batch whole: the waves that were planned by then, and later ones of its options
quality.json     the feed, if there was one: which rules it was checked against and what they said, which rows were
                 not understood
before_after.csv what was changed from what to what
entries.jsonl    the journal's entries as they were hashed
streams.json, manifests.json   the chain

Check it with any Python from 3.9 on:  python verify.py [--heads FILE]
"""


def pack(connection: Connection, run: str, file: Path, now: datetime) -> dict[str, Any]:
    """Write the evidence of a run into a zip file; gives what is in it. Raises InputRefused."""
    plan_ids = history.plans_of(connection, run)
    headers = [plan_store.header(connection, plan_id) for plan_id in plan_ids]
    parts = dict(_parts(connection, plan_ids, sorted({header.request_id for header in headers})))
    files = {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}
    parts["manifest.json"] = _json({"run": run, "made_at": now.isoformat(), "plans": plan_ids, "files": files})
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in parts.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    except OSError as error:
        what = f"{file} cannot be written ({error.strerror})"
        raise InputRefused(what, where="audit pack", remedy="correct the path or its permissions") from error
    return {
        "file": str(file),
        "plans": plan_ids,
        "files": sorted(parts),
        "entries": parts["entries.jsonl"].count(b"\n"),
    }


def _parts(connection: Connection, plan_ids: list[str], request_ids: list[str]) -> Iterator[tuple[str, bytes]]:
    c = journal_streams.c
    streams = connection.execute(select(journal_streams).where(c.plan_id.in_(plan_ids)).order_by(c.id)).all()
    yield "README.txt", README.encode()
    yield "verify.py", Path(evidence_check.__file__).read_bytes()
    yield "request.json", _json([_request(connection, name) for name in request_ids])
    yield "plans.json", _json([_plan(connection, plan_id) for plan_id in plan_ids])
    yield (
        "approvals.json",
        _json([row for plan_id in plan_ids for row in approvals.of_plan(connection, plan_id)]),
    )
    yield "batch-approvals.json", _json(batch_approvals.of_plans(connection, plan_ids))
    yield "quality.json", _json([row for name in request_ids for row in _quality(connection, name)])
    yield "before_after.csv", _before_after(connection, plan_ids)
    yield "entries.jsonl", b"".join(_entries(connection, [row.id for row in streams]))
    first = [{"id": row.id, "first": [row.id, row.plan_id, row.chunk, row.epoch]} for row in streams]
    yield "streams.json", _json(first)
    yield "manifests.json", _json(_manifests(connection, [row.manifest_id for row in streams if row.manifest_id]))


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False, default=_text).encode()


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _request(connection: Connection, request_id: str) -> dict[str, Any]:
    return dict(connection.execute(select(requests_table).where(requests_table.c.id == request_id)).one()._mapping)


def _plan(connection: Connection, plan_id: str) -> dict[str, Any]:
    header, lines = plan_store.header(connection, plan_id), plan_store.load_lines(connection, plan_id)
    shown = [
        {"line": line.line, "object": line.object, "label": line.label, "state": line.state, "reason": line.reason}
        | {"changes": [stored.change.model_dump(mode="json") for stored in line.changes]}
        for line in lines
    ]
    return dict(header._mapping) | {"erased": any(line.label == ERASED for line in lines), "lines": shown}


def _quality(connection: Connection, request_id: str) -> Iterator[dict[str, Any]]:
    """Give what the gate said of the run's feeds; quarantined rows by place and reason, without what they hold."""
    for feed in connection.execute(select(feeds).where(feeds.c.request_id == request_id)):
        bad = select(quarantine.c.line, quarantine.c.column, quarantine.c.reason, quarantine.c.state)
        rows = connection.execute(bad.where(quarantine.c.feed_id == feed.id).order_by(quarantine.c.line))
        yield dict(feed._mapping) | {"quarantined": [dict(row._mapping) for row in rows]}


def _before_after(connection: Connection, plan_ids: list[str]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("plan", "change", "at", "user", "object", "attribute", "before", "after"))
    for done in history.done_in(connection, plan_ids):
        for effect in done.effects:
            values = (done.plan_id, done.name, done.at.isoformat(), done.label, effect.object, effect.attribute)
            rows.writerow([audit_export.cell(value) for value in (*values, effect.before, effect.after)])
    return text.getvalue().encode("utf-8-sig")


def _entries(connection: Connection, streams: list[str]) -> Iterator[bytes]:
    effects: dict[tuple[str, int], list[tuple[str, str, str, str]]] = {}
    for stream in streams:
        for row in journal_rows.effects(connection, stream):
            effects.setdefault((row[0], row[1]), []).append((row[2], row[3], row[5], row[6]))
        for entry in journal_rows.entries(connection, stream):
            values = dict(zip(journal_rows.ENTRY, entry, strict=True))
            found = values | {"effects": effects.get((entry[0], entry[1]), [])}
            yield orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)


def _manifests(connection: Connection, ids: list[int]) -> list[dict[str, Any]]:
    """Give the chain from the first manifest concerned to the newest one."""
    c = journal_manifests.c
    first = min(ids, default=None)
    if first is None:
        return []
    last = connection.execute(select(func.max(c.id))).scalar_one()
    query = select(journal_manifests).where(and_(c.id >= first, c.id <= last)).order_by(c.id)
    return [dict(row._mapping) | {"at": moment_text(row.at)} for row in connection.execute(query)]
