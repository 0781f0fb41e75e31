"""String literals: escapes of the backtick, doubled quotes, here-strings, and the parts of an expandable string."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from lab.posh_syntax import text_of

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}


def verbatim(text: str) -> str:
    """Read a single-quoted string."""
    return text[1:-1].replace("''", "'")


def here(text: str) -> str:
    """Read the body of a here-string: between the first line break and the one before the closing mark."""
    body = text[2:-2].lstrip(" \t")
    body = body.removeprefix("\r").removeprefix("\n")
    return body.removesuffix("\n").removesuffix("\r")


def unescape(text: str) -> str:
    """Replace backtick escapes and doubled quotes of an expandable string."""
    out, at = [], 0
    while at < len(text):
        sign = text[at]
        if sign == "`" and at + 1 < len(text):
            at += 1
            out.append(_ESCAPES.get(text[at], text[at]))
        else:
            out.append(sign)
            at += 2 if text.startswith('""', at) else 1
            continue
        at += 1
    return "".join(out)


def expandable_parts(node: Node, *, is_here: bool) -> Iterator[str | Node]:
    """Split an expandable string into literal text and the nodes that are computed."""
    raw = node.text or b""
    start, end = (2, len(raw) - 2) if is_here else (1, len(raw) - 1)
    if is_here:
        start = raw.index(b"\n") + 1
        end = raw.rindex(b"\n")
        end -= raw[end - 1 : end] == b"\r"
    for child in node.children:
        if child.type not in ("variable", "sub_expression"):
            continue
        # The grammar counts a line break before `$(` to the node.
        begin = child.start_byte - node.start_byte + (child.text or b"").index(b"$")
        yield unescape(raw[start:begin].decode())
        yield child
        start = child.end_byte - node.start_byte
    yield unescape(raw[start : max(start, end)].decode())


def bare_word(node: Node) -> str | None:
    """Read an unquoted argument; None when it holds something that would be computed."""
    text = text_of(node)
    return None if any(sign in text for sign in "$`\"'(){}>,;&") else text
