"""The bytes and lines of a feed file: is it text, in which encoding, and which physical lines make one record.

What the cells mean is left to `connectors/hr_cells.py`.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from config.errors import InputRefused

BLOCK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 10 << 20
LONGEST_RECORD_LINES = 200
_NOT_TEXT = {b"\xd0\xcf\x11\xe0": "an old or a protected spreadsheet", b"%PDF": "a PDF"}
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# Bytes of UTF-8 text without control characters and without anything from U+0300, where combining marks begin.
_PLAIN_BYTES = b"\t\n\r" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0xCC))
_ESCAPED = re.compile("[\udc80-\udcff]")
_OPEN_QUOTE = "unexpected end of data"  # the csv module's words for a quote that is not closed


@dataclass(frozen=True)
class TextFile:
    """A file that was found to be text; `errors` lets damaged bytes through as marks, so only their rows suffer.

    A plain file has neither control characters nor letters that may be written in two ways, so its rows need no look.
    """

    path: Path
    digest: str
    encoding: str
    is_plain: bool = False
    errors: str = "strict"
    warnings: tuple[str, ...] = ()

    def open(self) -> TextIO:
        """Open it for reading physical lines as they are."""
        return self.path.open(encoding=self.encoding, errors=self.errors, newline="")


# One record: its first physical line, its text without line end, its cells, and why it has none. A plain tuple,
# because there is one per row and making a named one costs as much as cutting the row.
Record = tuple[int, str, list[str], str]


def inspect(path: Path, encoding: str | None = None) -> TextFile:
    """Read the file once as bytes; raises InputRefused when it is missing, empty, no text, or in another encoding."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            _refuse_not_text(path, start)
            guess = encoding or next((name for bom, name in _BOMS if start.startswith(bom)), "utf-8")
            digest, decodes, is_plain = _scan(path, file, guess)
    except OSError as error:
        raise unreadable(path, error) from error
    if decodes:
        name = _with_bom(guess, start)
        return TextFile(path, digest, name, is_plain and name == "utf-8")
    return _fall_back(path, digest, guess, chosen=encoding is not None)


def unreadable(path: Path, error: OSError) -> InputRefused:
    """Say in one line that a file cannot be read."""
    return InputRefused(f"cannot be read ({error.strerror})", where=str(path), remedy="correct the path of the feed")


def _refuse_not_text(path: Path, start: bytes) -> None:
    if not start:
        raise InputRefused("the feed is empty", where=str(path), remedy="export it again")
    what = next((what for magic, what in _NOT_TEXT.items() if start.startswith(magic)), None)
    if what:
        raise InputRefused(f"the feed is {what}, not delimited text", where=str(path), remedy="save it as CSV UTF-8")


def _scan(path: Path, file: BinaryIO, encoding: str) -> tuple[str, bool, bool]:
    """Give the digest, whether it decodes and whether it is plain; raises InputRefused for NUL and endless lines."""
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder(encoding)()
    wide, decodes, is_plain, gap = encoding.startswith("utf-16"), True, True, 0
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
        gap = _gap(path, block, gap)
        if not wide and b"\0" in block:
            remedy = "export it again as UTF-8 text"
            raise InputRefused("the feed contains NUL bytes: no text, or UTF-16", where=str(path), remedy=remedy)
        is_plain = is_plain and not block.translate(None, _PLAIN_BYTES)
        decodes = decodes and _decode(decoder, block, wide=wide)
    return digest.hexdigest(), decodes and _decode(decoder, b"", wide=wide, final=True), is_plain


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, *, wide: bool, final: bool = False) -> bool:
    try:
        text = decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return not wide or "\0" not in text


def _gap(path: Path, block: bytes, gap: int) -> int:
    """Give the bytes since the last line end; raises InputRefused when a line exceeds the limit."""
    last = max(block.rfind(b"\n"), block.rfind(b"\r"))
    first = min((at for at in (block.find(b"\n"), block.find(b"\r")) if at >= 0), default=len(block))
    if gap + first > LONGEST_LINE_BYTES:
        megabytes = LONGEST_LINE_BYTES >> 20
        raise InputRefused(f"a line is longer than {megabytes} MB", where=str(path), remedy="export it with line ends")
    return len(block) - last - 1 if last >= 0 else gap + len(block)


def _with_bom(encoding: str, start: bytes) -> str:
    return "utf-8-sig" if encoding == "utf-8" and start.startswith(codecs.BOM_UTF8) else encoding


def _fall_back(path: Path, digest: str, encoding: str, *, chosen: bool) -> TextFile:
    """Find another reading of bytes that do not decode; rows with damaged bytes are quarantined later."""
    if not encoding.startswith("utf-8"):
        remedy = "export it as UTF-8, or correct encoding in the mapping"
        raise InputRefused(f"the feed is not {encoding} text", where=str(path), remedy=remedy)
    damaged, sound = _weigh(path, encoding)
    if chosen or sound or not _is_cp1252(path):
        warning = f"{damaged} bytes are no UTF-8: the rows they are in are quarantined"
        return TextFile(path, digest, encoding, errors="surrogateescape", warnings=(warning,))
    warning = "the feed is not UTF-8; it was read as Windows-1252: say encoding in the mapping to be sure"
    return TextFile(path, digest, "cp1252", warnings=(warning,))


def _weigh(path: Path, encoding: str) -> tuple[int, bool]:
    """Count damaged bytes, and tell whether there are letters that only UTF-8 explains."""
    damaged, sound = 0, False
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
        while text := file.read(BLOCK_BYTES):
            if not text.isascii():
                marks = _ESCAPED.findall(text)
                damaged += len(marks)
                sound = sound or any(not c.isascii() for c in _ESCAPED.sub("", text))
    return damaged, sound


def _is_cp1252(path: Path) -> bool:
    try:
        with path.open(encoding="cp1252", newline="") as file:
            while file.read(BLOCK_BYTES):
                pass
    except UnicodeDecodeError:
        return False
    return True


def records(
    lines: Iterator[str], delimiter: str, width: int | None = None, line: int = 0, *, cut: bool = True
) -> Iterator[Record]:
    """Make physical lines into records; `line` lines were read before. Blank lines are left out.

    Without `cut` only records with quotes are cut into cells. A quoted cell may go over several lines, but only if the
    record then has `width` cells: a stray quote costs its own line and not the rest of the file.
    """
    waiting: deque[str] = deque()
    quotes = _Quotes(delimiter, width)
    while True:
        for text in _drained(waiting) if waiting else lines:
            line += 1
            if '"' in text:
                record, taken = quotes.record(line, text, lines, waiting)
                line += taken
                yield record
                if waiting:
                    break
            elif plain := text.rstrip("\r\n"):
                yield line, plain, plain.split(delimiter) if cut else [], ""
        else:
            return


def _drained(waiting: deque[str]) -> Iterator[str]:
    while waiting:
        yield waiting.popleft()


class _Quotes:
    """Reads records that have quotes, by one strict reader of the csv module that is fed text by text."""

    def __init__(self, delimiter: str, width: int | None) -> None:
        self._width, self._text = width, ""
        self._reader = csv.reader(self, delimiter=delimiter, strict=True)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Give the csv module the text that is to be read, once."""
        text, self._text = self._text, ""
        if not text:
            raise StopIteration
        return text

    def record(self, line: int, text: str, lines: Iterator[str], waiting: deque[str]) -> tuple[Record, int]:
        """Give a record and how many further lines it took; lines taken in vain are put back to `waiting`."""
        cells, problem = self._parse(text)
        if not problem:
            return (line, text.rstrip("\r\n"), cells, ""), 0
        taken: list[str] = []
        while problem == _OPEN_QUOTE and len(taken) < LONGEST_RECORD_LINES:
            more = waiting.popleft() if waiting else next(lines, None)
            if more is None:
                break
            taken.append(more)
            if '"' in more:
                cells, problem = self._parse(text + "".join(taken))
        if not problem and (self._width is None or len(cells) == self._width):
            return (line, (text + "".join(taken)).rstrip("\r\n"), cells, ""), len(taken)
        waiting.extendleft(reversed(taken))
        told = "a quote is opened and not closed" if taken or problem == _OPEN_QUOTE else _wrong_quotes(problem)
        return (line, text.rstrip("\r\n"), [], told), 0

    def _parse(self, text: str) -> tuple[list[str], str]:
        self._text = text
        try:
            return next(self._reader), ""
        except csv.Error as error:
            return [], str(error)


def _wrong_quotes(problem: str) -> str:
    return f"its quotes are wrong: {problem}"
