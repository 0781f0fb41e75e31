"""The shape of the checkout: folders, names, sizes and opening lines."""

from __future__ import annotations

import ast
import re
import site
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.fakes.checkout import FOLDERS, PRODUCT, ROOT, python_files, text_of, tracked, tree_of

# design §3; `portal` comes later
MAP = {"flows", "tasks", "engine", "connectors", "datasets", "config", "deployments", "cli", "lab", "benchmarks"}
TOP_FILES = {".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "callwright", "pyproject.toml"}
HIDDEN = {".ci"}
CATCH_ALL = {"utils", "util", "common", "base", "manager", "misc", "helpers"}
MAX_LINES = 400
OPENING = re.compile(r'(#.*\n|\s)*r?"""\s*[^\s"]')
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


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


def test_files_are_small() -> None:
    """A Python file has at most 400 lines."""
    assert not [name for name in python_files() if len(text_of(name).splitlines()) > MAX_LINES]


def test_files_say_what_they_are_for() -> None:
    """A Python file opens with what it is for."""
    assert not [name for name in python_files() if text_of(name).strip() and not OPENING.match(text_of(name))]


def test_file_names_are_no_catch_alls_and_shadow_nothing() -> None:
    """A file is named for its subject: no catch-all, and no name of the standard library."""
    stems = {name: Path(name).stem for name in python_files()}
    assert not [name for name, stem in stems.items() if stem in CATCH_ALL]
    shadowing = [name for name, stem in stems.items() if stem in sys.stdlib_module_names and not stem.startswith("__")]
    # a file in a folder shadows nothing unless it is run as a script from there
    assert not [name for name in shadowing if "/" not in name or "__main__" in text_of(name)]


def test_public_things_say_what_they_do() -> None:
    """A public class or function of the product has a docstring."""
    files = [name for name in python_files(*PRODUCT, "lab", "benchmarks") if "/migrations/" not in name]
    assert not [f"{name}: {node.name}" for name in files for node in _public(name) if not ast.get_docstring(node)]


def _public(name: str) -> list[Documented]:
    tree = tree_of(name)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    bodies = [*tree.body, *(child for node in classes for child in node.body)]
    return [node for node in bodies if isinstance(node, Documented) and not node.name.startswith("_")]


def test_folders_are_not_deep() -> None:
    """No Python file lies deeper than three folders."""
    assert not [name for name in python_files() if name.count("/") > 3]


def test_scripts_start_with_their_interpreter() -> None:
    """The launcher and the CI entry are executable and say what runs them."""
    for name in ("callwright", ".ci/run"):
        assert text_of(name).startswith("#!")
        assert (ROOT / name).stat().st_mode & 0o111
