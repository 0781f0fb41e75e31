"""Audit entries as a file: JSON lines for programs, or CSV whose cells no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from config.errors import InputRefused

COLUMNS = (
    *("at", "request_id", "plan_id", "line", "change", "kind", "system", "label", "target", "phase", "result"),
    *("message", "reason", "irreversible", "actor", "verified", "flow_run_id", "changes"),
)
_DANGEROUS = "=@-+\t\r"


def write(file: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write entries in the form that the file's name asks for. Raises InputRefused."""
    forms = {".jsonl": _lines, ".csv": _table}
    if file.suffix not in forms:
        raise InputRefused(f"{file} has no known form", where="export", remedy="name a .jsonl or a .csv file")
    try:
        file.write_bytes(forms[file.suffix](entries))
    except OSError as error:
        what = f"{file} cannot be written ({error.strerror})"
        raise InputRefused(what, where="export", remedy="correct the path or its permissions") from error


def _lines(entries: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries)


def _table(entries: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for entry in entries:
        rows.writerow([cell(value) for value in _values(entry)])
    return text.getvalue().encode("utf-8-sig")


def _values(entry: Mapping[str, Any]) -> Iterable[object]:
    flat = {**entry, "actor": entry["actor"]["name"], "verified": entry["actor"]["verified"]}
    flat["changes"] = "; ".join(f"{e['attribute']}: {e['before']} → {e['after']}" for e in entry["effects"])
    return (flat[name] for name in COLUMNS)


def cell(value: object) -> str:
    """Give a cell's text; what a spreadsheet could run is made plain text, a number with its plus sign is not."""
    text = "" if value is None else str(value)
    if text[:1] and text[0] in _DANGEROUS and not (text[0] == "+" and text[1:].isdigit()):
        return f"'{text}"
    return text
