"""Who may import what: the contracts of pyproject.toml and the library table of the house style."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.checkout import PRODUCT, ROOT, imports_of, python_files

ENGINE_SIDE = ("engine", "connectors", "datasets", "config")
# library → where it may be imported; a folder or a file
LIBRARIES = {
    "prefect": ("flows", "tasks", "deployments", "cli"),
    "pypsrp": ("connectors/powershell.py",),
    "psrpcore": ("lab",),
    "msal": ("connectors/tokens.py", "connectors/token_service.py"),
    "sqlite3": ("connectors/database.py",),
    "psycopg": ("connectors/database.py",),
    "sqlalchemy.create_engine": ("connectors/database.py",),
    "great_expectations": ("tasks/quality.py",),
    "aiohttp": ("lab",),
    "tree_sitter": ("lab",),
    "unittest": (),
}
# the front doors load these only inside functions, so that `--help` is instant
HEAVY = ("prefect", "great_expectations", "pandas", "sqlalchemy", "httpx", "msal", "pypsrp", "pydantic")


def test_import_contracts_hold() -> None:
    """Imports point one way, and lab and product know nothing of each other."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_stays_where_it_belongs(library: str) -> None:
    """Each outside library is imported only where the house style allows it."""
    allowed = LIBRARIES[library]
    strays = [
        f"{name} imports {module}"
        for name in python_files(*PRODUCT, "lab")
        for module, _ in imports_of(name)
        if _is_of(module, library) and not any(_lies_in(name, place) for place in allowed)
    ]
    assert not strays


def test_command_line_loads_heavy_libraries_late() -> None:
    """A module of the command line imports no heavy library, and no module that does, when it is loaded."""
    at_top = [(name, module) for name in python_files("cli") for module, top in imports_of(name) if top]
    assert not [pair for pair in at_top for heavy in HEAVY if _is_of(pair[1], heavy)]
    ours = [pair for pair in at_top if pair[1].split(".")[0] in ("flows", "tasks", *ENGINE_SIDE)]
    assert [pair for pair in ours if not pair[1].startswith(("config.errors.", "connectors.errors."))] == []


def test_great_expectations_is_imported_inside_a_function() -> None:
    """The quality gate costs its ten seconds only in a run that validates."""
    for name in python_files("tasks"):
        assert not [module for module, top in imports_of(name) if top and _is_of(module, "great_expectations")]


def _is_of(module: str, library: str) -> bool:
    return module == library or module.startswith((f"{library}.", f"{library}_"))


def _lies_in(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}/")
