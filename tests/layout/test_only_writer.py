"""Apply is the only writer: one module calls the connector methods that change an outside system."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from tests.fakes.checkout import PRODUCT, python_files, tree_of

WRITER = "engine/writers.py"
# the module that may hand a change to the writer
CALLERS = ("engine/",)


def test_marked_methods_exist() -> None:
    """Connectors mark their writing methods, so the check below has something to find."""
    if python_files("connectors")[:1] and any(name.endswith("connectors/graph.py") for name in python_files()):
        assert marked()


def test_only_the_writer_calls_writing_methods() -> None:
    """No other module of the product calls a method marked with @writes, not even by its name in a string."""
    methods = marked()
    strays = [
        f"{name}:{line} uses {method}"
        for name in python_files(*PRODUCT)
        for method, line in used(tree_of(name))
        if method in methods and name != WRITER and not (name.startswith("connectors/") and method in defined_in(name))
    ]
    assert not strays


def test_only_the_engine_imports_the_writer() -> None:
    """Nothing outside the engine imports the module that writes."""
    outside = [name for name in python_files(*PRODUCT) if not name.startswith(CALLERS)]
    assert not [name for name in outside if any(_imports_writer(node) for node in ast.walk(tree_of(name)))]


@cache
def marked() -> frozenset[str]:
    """Name every method that is marked as a remote write."""
    return frozenset(method for name in python_files("connectors") for method in defined_in(name))


@cache
def defined_in(name: str) -> frozenset[str]:
    """Name the marked methods of one connector file."""
    functions = (node for node in ast.walk(tree_of(name)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if any(_is_mark(mark) for mark in node.decorator_list))


def used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Give every attribute that is read, and every text handed to getattr, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            yield from ((str(arg.value), node.lineno) for arg in node.args[1:2] if isinstance(arg, ast.Constant))


def _is_mark(mark: ast.expr) -> bool:
    return ast.unparse(mark).split(".")[-1] == "writes"


def _imports_writer(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name == "engine.writers" for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module == "engine.writers" or (
            node.module == "engine" and any(alias.name == "writers" for alias in node.names)
        )
    return False
