"""Every flow is deployed, its entry point loads, and a page says how to use it."""

from __future__ import annotations

import ast
from importlib import import_module
from inspect import signature
from typing import get_type_hints

import pytest

from cli.acts import Act
from deployments.catalog import CATALOG
from tests.fakes.checkout import python_files, text_of, tracked, tree_of

COMMANDS = [f"{name.removesuffix('.py').replace('/', '.')}" for name in python_files("cli") if "__main__" not in name]
FLOWS = [f"{name.removesuffix('.py').replace('/', '.')}" for name in python_files("flows")]


def flows_in(module: str) -> list[str]:
    """Name the functions of a module that are flows, without importing it."""
    tree = tree_of(f"{module.replace('.', '/')}.py")
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    marks = {node.name: [ast.unparse(mark) for mark in node.decorator_list] for node in functions}
    return [name for name, found in marks.items() if any(mark.split("(")[0].endswith("flow") for mark in found)]


@pytest.mark.parametrize("entry", sorted({deployed.flow for deployed in CATALOG}))
def test_entry_point_loads_strictly(entry: str) -> None:
    """An entry point names a function that exists and is a flow; nothing stands in for a broken import."""
    from prefect import Flow

    module, _, name = entry.partition(":")
    assert isinstance(getattr(import_module(module), name), Flow)


@pytest.mark.parametrize("module", FLOWS)
def test_flow_is_deployed_and_has_a_page(module: str) -> None:
    """Every flow has a deployment, and a how-to page named like it that says what to do."""
    for name in flows_in(module):
        assert f"{module}:{name}" in {deployed.flow for deployed in CATALOG}
        page = f"docs/{module.removeprefix('flows.').replace('_', '-')}.md"
        assert page in tracked()
        assert "## Do it" in text_of(page)


def test_deployments_are_described() -> None:
    """Every deployment has a name of its own, a description, and a page that names it."""
    names = [deployed.name for deployed in CATALOG]
    assert sorted(names) == sorted(set(names))
    assert all(deployed.description.strip() for deployed in CATALOG)
    pages = "\n".join(text_of(name) for name in tracked() if name.startswith("docs/") and name.endswith(".md"))
    assert [name for name in names if f"`{name}`" not in pages] == []


def acts_of(module: str) -> list[Act]:
    """List the acts that a module of the command line declares."""
    return [value for value in vars(import_module(module)).values() if isinstance(value, Act)]


@pytest.mark.parametrize("act", sorted({act for name in COMMANDS for act in acts_of(name)}), ids=lambda act: act[0])
def test_command_line_starts_deployments_that_exist(act: Act) -> None:
    """An act of the command line names a deployment of the catalog, what its form asks for, and a story."""
    module = import_module(act.module)
    request, story = getattr(module, act.request), getattr(module, act.story)
    entry = next(deployed.flow for deployed in CATALOG if deployed.name == act.deployment)
    flow = getattr(import_module(entry.partition(":")[0]), entry.partition(":")[2])
    assert get_type_hints(flow.fn)["request"] is request
    assert list(signature(story).parameters) == ["request", "run", "actor"]


def test_the_command_line_has_acts() -> None:
    """The list is not empty because of a change of names."""
    assert len({act.deployment for name in COMMANDS for act in acts_of(name)}) >= 20
