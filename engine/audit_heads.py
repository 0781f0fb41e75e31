"""The heads of the chains, written to a file outside the database: only against such a note does a cut at the end show.

One line of JSON per export: how far the chain of manifests went, and how far each stream that was not sealed yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, select

from config.errors import InputRefused
from datasets.tables.journal import journal, journal_manifests, journal_streams
from engine.digests import GENESIS


def heads(connection: Connection, now: datetime) -> dict[str, Any]:
    """Give the present heads."""
    m, s = journal_manifests.c, journal_streams.c
    last = connection.execute(select(m.id, m.digest).order_by(m.id.desc()).limit(1)).one_or_none()
    unsealed = connection.execute(select(s.id, s.head, s.entries).where(s.manifest_id.is_(None)).order_by(s.id))
    return {
        "at": now.isoformat(),
        "manifest": last.id if last else 0,
        "digest": last.digest if last else GENESIS,
        "streams": [[row.id, row.head, row.entries] for row in unsealed],
    }


def export_heads(connection: Connection, file: Path, now: datetime) -> dict[str, Any]:
    """Append the present heads to the file. Raises InputRefused when it cannot be written."""
    line = heads(connection, now)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as out:
            out.write(orjson.dumps(line) + b"\n")
    except OSError as error:
        what = f"{file} cannot be written ({error.strerror})"
        raise InputRefused(what, where="audit.heads_file", remedy="correct the path or its permissions") from error
    return line


def read_heads(file: Path) -> list[dict[str, Any]]:
    """Read every exported line. Raises InputRefused for a file that is none of ours."""
    try:
        return [orjson.loads(line) for line in file.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        what = f"{file} cannot be read ({error.strerror})"
        raise InputRefused(what, where="--heads", remedy="name the file that the export writes") from error
    except orjson.JSONDecodeError as error:
        raise InputRefused(f"{file} is no file of heads", where="--heads", remedy="name another file") from error


def missing(connection: Connection, exported: list[dict[str, Any]]) -> Iterator[str]:
    """Say what was exported and is not in the journal any more, or not as it was."""
    known = {
        row.id: row.digest for row in connection.execute(select(journal_manifests.c.id, journal_manifests.c.digest))
    }
    for line in exported:
        if line["manifest"] and known.get(line["manifest"]) != line["digest"]:
            yield f"manifest {line['manifest']}: is not as it was exported on {line['at']}"
    for (stream, entries), (head, at) in sorted(_unsealed(exported).items()):
        if not _reached(connection, stream, entries, head):
            yield f"stream {stream}: entry {entries} is not as it was exported on {at}"


def _unsealed(exported: list[dict[str, Any]]) -> dict[tuple[str, int], tuple[str, str]]:
    return {(stream, entries): (head, line["at"]) for line in exported for stream, head, entries in line["streams"]}


def _reached(connection: Connection, stream: str, entries: int, head: str) -> bool:
    """Tell whether a stream still holds the entry that was its last one when it was exported."""
    if entries == 0:
        query = select(journal_streams.c.id).where(journal_streams.c.id == stream)
    else:
        query = select(journal.c.seq).where(
            journal.c.stream_id == stream, journal.c.seq == entries, journal.c.digest == head
        )
    return connection.execute(query).first() is not None
