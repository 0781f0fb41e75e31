"""The checkout as the layout tests see it: its tracked files and their syntax trees, read once."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("cli", "deployments", "flows", "tasks", "engine", "connectors", "datasets", "config")
FOLDERS = (*PRODUCT, "lab", "benchmarks", "tests", "docs", "requirements")
NOT_OURS = {".venv", ".tools", ".git", ".callwright", "__pycache__", "node_modules"}


@cache
def tracked() -> tuple[str, ...]:
    """List the files of the checkout, in git's words; without git, every file that is not generated."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
        names = [name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        names = [str(path) for path in found if not NOT_OURS.intersection(path.parts) and ".cache" not in str(path)]
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


def python_files(*folders: str) -> list[str]:
    """List tracked Python files, of the given folders only if any are given."""
    return [name for name in tracked() if name.endswith(".py") and (not folders or name.split("/")[0] in folders)]


@cache
def text_of(name: str) -> str:
    """Read a tracked file; bytes that are no UTF-8 are replaced."""
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


@cache
def tree_of(name: str) -> ast.Module:
    """Give the syntax tree of a Python file."""
    return ast.parse(text_of(name), filename=name)


def module_of(name: str) -> str:
    """Give the dotted module name of a Python file."""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def imports_of(name: str) -> tuple[tuple[str, bool], ...]:
    """Give (imported module, does it run when the file is imported?) for every import of a Python file."""
    return tuple(_imports(tree_of(name), at_top=True))


def _imports(node: ast.AST, *, at_top: bool) -> Iterator[tuple[str, bool]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, at_top) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield from ((f"{node.module}.{alias.name}", at_top) for alias in node.names)
    else:
        inner = at_top and not _defers(node)
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, at_top=inner)


def _defers(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return True
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
