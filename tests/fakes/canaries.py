"""Secrets that must not be found again: canaries of many shapes, and a scan that knows their encoded forms."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

SHAPES = (
    *("{}", "{}!", "pa ss {}", '"{}"', "'{}'", "{}\\back", "<{}>", "&{};", "%41{}", "{}=="),
    *("ü{}ß", "{}\u2028x", "${{{}}}", "`{}`", "#{}", "{};--", "*{}*", "{}/etc", "ftp://u:{}@h", "Bearer {}"),
)


PLACES = ("TENANT__CLIENT_SECRET", "POWERSHELL__PASSWORD", "DATABASE_PASSWORD", "TENANT__PRIVATE_KEY")


def canary(number: int) -> str:
    """Give one canary; its middle part is unique and random-looking, and never split by an encoding of its own."""
    return SHAPES[number % len(SHAPES)].format(f"cnry{number:03}Zq7Kx9Lm2Vb")


def forms(secret: str) -> set[bytes]:
    """Give a secret as it might appear: plain, escaped, quoted, in UTF-16, hexadecimal, or base64 at any offset."""
    plain = secret.encode()
    texts = {
        secret,
        html.escape(secret),
        quote(secret),
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    }
    found = {text.encode() for text in texts} | {secret.encode("utf-16-le"), plain.hex().encode()}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + plain)
        found |= {encoded[4 if offset else 0 : -4], encoded[4 if offset else 0 : -4].translate(_URL_SAFE)}
    return found


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def core(secret: str) -> str:
    """Give the part of a canary that no shape touches."""
    start = secret.index("cnry")
    return secret[start : start + 18]


def found_in(folder: Path, texts: Iterable[str], secrets: Iterable[str]) -> list[str]:
    """Say where which secret is found: in any file of a folder, unpacked too, or in any of these texts."""
    wanted = [(secret, forms(secret) | forms(core(secret))) for secret in secrets]
    places = [(str(path), content) for path in _files(folder) for content in _contents(path)]
    places += [("output", text.encode()) for text in texts]
    return [
        f"{secret!r} in {name}"
        for name, content in places
        for secret, known in wanted
        if any(f in content for f in known)
    ]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".toml")


def _contents(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    yield content
    if content.startswith(b"SQLite format 3"):
        for cell in _cells(path):
            yield cell
            yield from _decoded(cell)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    yield from _unpacked(content)


def _cells(file: Path) -> Iterator[bytes]:
    """Give every text and blob of a database, what stands in its write-ahead log included."""
    with closing(sqlite3.connect(file)) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table.decode()}"'):
                yield from (cell for cell in row if isinstance(cell, bytes))


def _decoded(cell: bytes) -> Iterator[bytes]:
    """Give what a cell holds packed, or packed and then written in base64."""
    yield from _unpacked(cell)
    with suppress(ValueError):
        plain = base64.b64decode(cell, validate=True)
        yield plain
        yield from _unpacked(plain)


def _unpacked(content: bytes) -> Iterator[bytes]:
    for unpack in (zlib.decompress, gzip.decompress):
        with suppress(OSError, zlib.error, EOFError):
            yield unpack(content)
