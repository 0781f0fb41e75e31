"""From script text to a syntax tree, with the parts of the grammar's rough edges smoothed and errors made readable."""

from __future__ import annotations

import re

import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from lab.posh_errors import ErrorRecord, StatementError, not_supported

_LANGUAGE = Language(tree_sitter_powershell.language())
_GAP = re.compile(r"[ \t]*,\s*")
_END = r"-?\d+|\$[A-Za-z_]\w*"
_RANGE = re.compile(rf"(?<![\w.$)\]-])({_END})\.\.({_END})(?![\w.\[(])")
_BARE = re.compile(r"(?:(?<=[\s,])|^)([A-Za-z_*][\w.*-]*)(?=,)|(?<=,)([A-Za-z_*][\w.*-]*)(?=[\s;|)}]|\Z)")

# One child and no meaning of their own: the rungs of the precedence ladder.
_RUNGS = frozenset(
    {
        "logical_expression",
        "bitwise_expression",
        "comparison_expression",
        "additive_expression",
        "multiplicative_expression",
        "format_expression",
        "range_expression",
        "array_literal_expression",
        "unary_expression",
        "pipeline_chain",
        "argument_expression",
        "logical_argument_expression",
        "bitwise_argument_expression",
        "comparison_argument_expression",
        "additive_argument_expression",
        "multiplicative_argument_expression",
        "format_argument_expression",
        "range_argument_expression",
        "expression_with_unary_operator",
        "string_literal",
        "key_expression",
        "while_condition",
    }
)


def parse(text: str) -> Node:
    """Parse a script; raises the parser's error record, or names the construct the subset leaves out."""
    root = Parser(_LANGUAGE).parse(tidy(text).encode()).root_node
    if root.has_error:
        raise StatementError(_syntax_error(root))
    return root


def text_of(node: Node) -> str:
    """Give the source text of a node."""
    return (node.text or b"").decode()


def down(node: Node) -> Node:
    """Skip the rungs of the ladder that mean nothing."""
    while node.type in _RUNGS and node.child_count == 1:
        node = node.children[0]
    return node


def refuse(construct: str, node: Node) -> StatementError:
    """Refuse a construct, showing where it stands."""
    line, column = node.start_point.row + 1, node.start_point.column + 1
    return StatementError(not_supported(f"{construct} (line {line}, column {column}: {_short(text_of(node))})"))


def _short(text: str) -> str:
    first = text.strip().split("\n")[0]
    return first if len(first) <= 60 else first[:57] + "..."


def _syntax_error(root: Node) -> ErrorRecord:
    node = _first_error(root) or root
    line, column = node.start_point.row + 1, node.start_point.column + 1
    what = f"Missing {node.type}" if node.is_missing else f"Unexpected token '{_short(text_of(node))}'"
    text = f"At line:{line} char:{column}. {what} in expression or statement."
    return ErrorRecord(text, "UnexpectedToken", "ParserError", "System.Management.Automation.ParseException")


def _first_error(node: Node) -> Node | None:
    if node.type == "ERROR" or node.is_missing:
        return node
    for child in node.children:
        if child.has_error or child.is_missing:
            return _first_error(child) or child
    return None


def tidy(text: str) -> str:
    """Quote the bare words of lists outside strings: the grammar does not know `Select-Object A, B`."""
    out, at = [], 0
    for start, end in _quoted(text):
        out.append(_tidy_code(text[at:start]))
        out.append(text[start:end])
        at = end
    out.append(_tidy_code(text[at:]))
    return "".join(out)


def _tidy_code(code: str) -> str:
    code = _RANGE.sub(r"(\1)..(\2)", code)  # the grammar takes 1..3 for the name of a command
    return _BARE.sub(lambda found: f"'{found[1] or found[2]}'", _GAP.sub(",", code))


def _quoted(text: str) -> list[tuple[int, int]]:
    """Find strings and comments, nested sub-expressions of strings included."""
    spans, at = [], 0
    while at < len(text):
        end = _span_end(text, at)
        if end > at:
            spans.append((at, end))
        at = max(end, at + 1 + (text[at] == "`"))
    return spans


def _span_end(text: str, at: int) -> int:
    """Give the end of the string or comment that begins here, or the same place when none does."""
    for opening, closing in (("@'", "\n'@"), ('@"', '\n"@'), ("<#", "#>")):
        if text.startswith(opening, at):
            found = text.find(closing, at + 2)
            return len(text) if found < 0 else found + len(closing)
    if text[at] == "#":
        found = text.find("\n", at)
        return len(text) if found < 0 else found
    if text[at] == "'":
        found = text.find("'", at + 1)
        return len(text) if found < 0 else found + 1
    return _expandable_end(text, at) if text[at] == '"' else at


def _expandable_end(text: str, at: int) -> int:
    at += 1
    while at < len(text) and text[at] != '"':
        if text[at] == "`":
            at += 1
        elif text.startswith("$(", at):
            at = _subexpression_end(text, at + 2) - 1
        at += 1
    return min(at + 1, len(text))


def _subexpression_end(text: str, at: int) -> int:
    depth = 1
    while at < len(text) and depth:
        end = _span_end(text, at)
        if end > at:
            at = end
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at
