"""What every cmdlet of the three modules does: parameters checked, faults played, calls logged, a line in the docs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.cmdlets import Cmdlet, Parameter
from lab.cmdlets_modules import REGISTRY
from lab.reference import MODULES, page
from tests.fakes.checkout import ROOT
from tests.fakes.script_runner import ScriptRunner

CMDLETS = [cmdlet for cmdlet in REGISTRY.all() if cmdlet.module in MODULES]
UNCONNECTED = ("Connect-MicrosoftTeams",)
ON_BOTH_SIDES = ("Grant-CsExternalAccessPolicy", "Grant-CsTeamsUpgradePolicy")
VALUES = {"int": "1", "bool": "$true", "switch": "$true", "hashtable": "@{a='b'}", "strings": "'x'", "any": "'x'"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptRunner]:
    """Give one runspace for all; nothing is ever changed."""
    runner = ScriptRunner(tmp_path_factory.mktemp("every"), users=4)
    runner.parts.settings.module_version = "9.0.0"
    assert runner.host.connection is not None
    runner.host.connection.app_only = False
    yield runner
    runner.parts.calls.close()


def complete(cmdlet: Cmdlet) -> str:
    """Write a call with a value for all that is mandatory in one parameter set."""
    sets = {name: [item for item in cmdlet.parameters if item.needed_in(name)] for name in cmdlet.set_names}
    chosen = cmdlet.default_set if cmdlet.default_set in sets else min(sets, key=lambda name: len(sets[name]))
    return f"{cmdlet.name} " + " ".join(f"-{item.name}:{_value(item)}" for item in sets[chosen])


def _value(item: Parameter) -> str:
    return f"'{item.choices[0]}'" if item.choices else VALUES.get(item.kind, "'x'")


@pytest.mark.parametrize("cmdlet", CMDLETS, ids=lambda cmdlet: cmdlet.name)
def test_an_outage_hits_every_cmdlet(run: ScriptRunner, cmdlet: Cmdlet) -> None:
    """While the service is away a call is one error and one line without an effect; a nonsense parameter is none."""
    assert run(f"{cmdlet.name} -NoSuchThing 1") == []
    assert run.error_ids[0].startswith("NamedParameterNotFound")
    before = len(run.parts.calls.since())
    fault = run.parts.faults.add({"name": "unavailable", "match": {"operation": cmdlet.name}})
    output = run(complete(cmdlet))
    run.parts.faults.remove(fault)
    assert output == []
    assert [error.message for error in run.errors] == ["Service is unavailable. Please try again"]
    lines = [dict(line) for line in run.parts.calls.since(before)]
    assert [(line["operation"], line["effects"], line["status"]) for line in lines] == [(cmdlet.name, [], 400)]


def test_teams_cmdlets_want_a_connection(run: ScriptRunner) -> None:
    """Without Connect-MicrosoftTeams each of them ends with the same words and is not logged."""
    before, connection, run.host.connection = len(run.parts.calls.since()), run.host.connection, None
    teams = [item for item in CMDLETS if item.module == "MicrosoftTeams" and item.name not in UNCONNECTED]
    silent = []
    for cmdlet in teams:
        run(complete(cmdlet))
        if "Connect-MicrosoftTeams" not in "".join(error.message for error in run.errors):
            silent.append(cmdlet.name)
    run.host.connection = connection
    assert sorted(silent) == sorted(("Disconnect-MicrosoftTeams", *ON_BOTH_SIDES))
    assert len(run.parts.calls.since()) - before == len(silent)


@pytest.mark.parametrize("cmdlet", [item for item in CMDLETS if item.changes], ids=lambda cmdlet: cmdlet.name)
def test_what_if_changes_nothing(run: ScriptRunner, cmdlet: Cmdlet) -> None:
    """-WhatIf neither does nor logs anything."""
    before = len(run.parts.calls.since())
    assert run(complete(cmdlet) + " -WhatIf") == []
    assert run.errors == []
    assert len(run.parts.calls.since()) == before


def test_the_page_of_cmdlets_is_current() -> None:
    """docs/lab-cmdlets.md is what `python -m lab.reference` writes."""
    assert (ROOT / "docs" / "lab-cmdlets.md").read_text() == page()
