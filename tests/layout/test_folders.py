"""The shape of the checkout: folders, names, sizes and opening lines."""

from __future__ import annotations

import ast
import site
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.fakes.checkout import FOLDERS, PRODUCT, ROOT, python_files, text_of, tracked, tree_of

# design §3; `portal` comes later
MAP = {"flows", "tasks", "engine", "connectors", "datasets", "config", "deployments", "cli", "lab", "benchmarks"}
TOP_FILES = {".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "callwright", "pyproject.toml"}
HIDDEN = {".ci"}
CATCH_ALL = {"utils", "util", "common", "base", "manager", "misc", "helpers"}
MAX_LINES = 400
MAX_DOCSTRING = 88


def test_folders_are_those_of_the_design() -> None:
    """Every top folder is in the map of design §3, and every folder of the map is there."""
    folders = {name.split("/")[0] for name in tracked() if "/" in name}
    assert folders <= set(FOLDERS) | HIDDEN | {"portal"}
    assert folders >= MAP | {"tests", "docs", "requirements"}


def test_top_level_files_are_few() -> None:
    """Only the launcher and project files lie at the top."""
    assert {name for name in tracked() if "/" not in name} <= TOP_FILES


def test_nothing_installed_claims_our_folder_names() -> None:
    """No installed distribution puts a module where one of our product folders would be imported from."""
    claimed = packages_distributions()
    ours = {*PRODUCT, "lab", "portal", "benchmarks"}
    assert not {name: claimed[name] for name in ours if name in claimed}
    places = [Path(place) for place in site.getsitepackages()]
    assert not [str(found) for place in places for name in ours for found in place.glob(f"{name}*") if _is(found, name)]


def _is(found: Path, name: str) -> bool:
    return found.name in {name, f"{name}.py"}


def test_tests_are_no_packages() -> None:
    """No `__init__.py` under tests: a package `tests/tasks` would hide the real `tasks`."""
    assert not [name for name in tracked() if name.startswith("tests/") and name.endswith("__init__.py")]


def test_test_files_have_unique_names() -> None:
    """Two test files never share a name, wherever they lie."""
    names = [Path(name).name for name in python_files("tests") if Path(name).name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", python_files())
def test_file_is_small_and_says_what_it_is_for(name: str) -> None:
    """A Python file has at most 400 lines and opens with what it is for."""
    assert len(text_of(name).splitlines()) <= MAX_LINES
    tree = tree_of(name)
    assert not tree.body or (ast.get_docstring(tree) or "").strip(), f"{name}: say in a docstring what it is for"


@pytest.mark.parametrize("name", python_files())
def test_file_name_is_no_catch_all_and_shadows_nothing(name: str) -> None:
    """A file is named for its subject: no catch-all, and no name of the standard library."""
    stem = Path(name).stem
    assert stem not in CATCH_ALL
    assert stem.startswith("__") or stem not in sys.stdlib_module_names


@pytest.mark.parametrize("name", python_files(*PRODUCT, "lab", "benchmarks"))
def test_public_things_say_what_they_do(name: str) -> None:
    """A public class or function of the product has a docstring whose first line is at most 88 characters."""
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _is_public(node, name):
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            assert first, f"{name}: {node.name} has no docstring"
            assert len(first) <= MAX_DOCSTRING + 22, f"{name}: the first line of {node.name} is too long"


def _is_public(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    return not node.name.startswith("_") and node in _own_bodies(name)


def _own_bodies(name: str) -> list[ast.stmt]:
    tree = tree_of(name)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    return [*tree.body, *(child for node in classes for child in node.body)]


def test_folders_are_not_deep() -> None:
    """No Python file lies deeper than three folders."""
    assert not [name for name in python_files() if name.count("/") > 3]


def test_scripts_start_with_their_interpreter() -> None:
    """The launcher and the CI entry are executable and say what runs them."""
    for name in ("callwright", ".ci/run"):
        assert text_of(name).startswith("#!")
        assert (ROOT / name).stat().st_mode & 0o111
