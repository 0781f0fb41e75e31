"""Scripts are constants: nothing in the product builds PowerShell text, and nothing else is ever sent as a script."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from connectors import scripts
from tests.fakes.checkout import PRODUCT, python_files, tree_of

HOME = "connectors/scripts.py"
SCRIPTS = {script.name: script for script in sorted(scripts.CATALOGUE, key=lambda script: script.name)}


def test_scripts_are_made_in_one_module_only() -> None:
    """No other module calls the constructor of Script."""
    makers = [name for name in python_files(*PRODUCT) for call in calls(name) if called(call) == "Script"]
    assert makers
    assert set(makers) == {HOME}


def test_script_texts_are_literals() -> None:
    """Both arguments of every Script are plain string constants: no f-string, no concatenation."""
    made = [call for call in calls(HOME) if called(call) == "Script"]
    assert len(made) == len(scripts.CATALOGUE)
    assert all(isinstance(argument, ast.Constant) for call in made for argument in call.args)


def test_only_script_texts_are_sent() -> None:
    """`add_script` is called in one place, with the text of a Script, and `add_cmdlet` with a name of ours."""
    sent = [(name, ast.unparse(c.args[0])) for name in python_files(*PRODUCT) for c in calls(name) if is_sending(c)]
    assert sent == [("connectors/powershell.py", "call.script.text")]


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script_answers_each_row_with_its_key(script: scripts.Script) -> None:
    """Every script takes its rows as a parameter and names the row's key in both of its answers."""
    assert script.text.strip().startswith("param($Rows)")
    assert script.text.count("key = $row.key") == 2
    assert "-ErrorAction Stop" in script.text
    assert "Invoke-Expression" not in script.text


def calls(name: str) -> Iterator[ast.Call]:
    """Give every call in a file."""
    return (node for node in ast.walk(tree_of(name)) if isinstance(node, ast.Call))


def called(call: ast.Call) -> str:
    """Name what is called, without its module."""
    return ast.unparse(call.func).split(".")[-1]


def is_sending(call: ast.Call) -> bool:
    """Tell whether text is handed over as a script."""
    return called(call) in {"add_script", "ScriptBlock"}
