"""Every stream of a pipeline, every -ErrorAction, and secure texts both ways, under stock pypsrp."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pypsrp.complex_objects import ObjectMeta, PSInvocationState
from pypsrp.powershell import RunspacePool

from tests.fakes.powershell_end import PowerShellEnd, invoke, script

FAILING = "Write-Error 'no' -ErrorId Mine -ErrorAction {}; 'on'"


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PowerShellEnd]:
    """Serve one end for all tests of the file."""
    with PowerShellEnd(tmp_path_factory.mktemp("wsman"), users=4) as served:
        yield served


@pytest.fixture
def pool(end: PowerShellEnd) -> Iterator[RunspacePool]:
    """Open a pool."""
    with end.pool() as opened:
        yield opened


def test_progress(pool: RunspacePool) -> None:
    """Progress records carry how far something has come, and that it is over."""
    text = "Write-Progress 'Moving' -Status 'ada' -PercentComplete 40 -Id 3; Write-Progress 'Moving' -Id 3 -Completed"
    records = script(pool, text).streams.progress
    assert [(item.activity, item.description, item.percent_complete, item.activity_id) for item in records] == [
        ("Moving", "ada", 40, 3),
        ("Moving", "Processing", -1, 3),
    ]
    assert [str(item.progress_type) for item in records] == ["Processing", "Completed"]


def test_information(pool: RunspacePool) -> None:
    """Information records keep data and tags; Write-Host is one with the tag PSHOST."""
    streams = script(pool, "Write-Information 'told' -Tags one, two; Write-Host 'seen'").streams
    found = [(item.message_data, list(item.tags), item.source) for item in streams.information]
    assert found == [("told", ["one", "two"], "Write-Information"), ("seen", ["PSHOST"], "Write-Host")]


def test_what_if_is_information(end: PowerShellEnd) -> None:
    """What -WhatIf would do is told, and nothing is done."""
    with end.teams() as pool:
        shell = invoke(pool, "Remove-CsPhoneNumberAssignment", Identity="ada", RemoveAll=True, WhatIf=True)
    assert "What if:" in str(shell.streams.information[0].message_data)


def test_error_record_in_full(pool: RunspacePool) -> None:
    """An error tells its id, category, reason, target and the exception."""
    record = script(pool, "Import-Module Nowhere").streams.error[0]
    assert record.fq_error.startswith("Modules_ModuleNotFound,")
    assert (record.category, record.target_name, record.target_object) == (21, "Nowhere", "Nowhere")
    assert (record.reason, record.activity) == ("FileNotFoundException", "Import-Module")
    assert "'Nowhere' was not loaded" in str(record.exception.adapted_properties["Message"])


@pytest.mark.parametrize(
    ("action", "state", "errors", "output"),
    [
        ("Continue", PSInvocationState.COMPLETED, 1, ["on"]),
        ("SilentlyContinue", PSInvocationState.COMPLETED, 0, ["on"]),
        ("Ignore", PSInvocationState.COMPLETED, 0, ["on"]),
        ("Stop", PSInvocationState.FAILED, 1, []),
        ("Inquire", PSInvocationState.FAILED, 1, []),
    ],
)
def test_error_actions(pool: RunspacePool, action: str, state: int, errors: int, output: list[str]) -> None:
    """-ErrorAction decides whether an error is written, forgotten, or ends the pipeline."""
    shell = script(pool, FAILING.format(action))
    assert (shell.state, len(shell.streams.error), shell.output) == (state, errors, output)


def test_unknown_error_action_is_no_binding(pool: RunspacePool) -> None:
    """An action that does not exist is an error of the parameters."""
    record = script(pool, FAILING.format("Perhaps")).streams.error[0]
    assert record.fq_error.startswith("CannotConvertArgument")
    assert "Perhaps" in str(record.exception.adapted_properties["Message"])


def test_secure_texts_travel_both_ways(pool: RunspacePool) -> None:
    """A secure text goes encrypted to the lab and comes encrypted back, alone and inside an object."""
    pool.exchange_keys()
    secret = pool.serialize("p4ss wörd", metadata=ObjectMeta("SS"))
    shell = script(pool, "param($S) $S; [pscustomobject]@{ Pin = $S }", secret)
    assert shell.output[0] == "p4ss wörd"
    found: dict[str, Any] = shell.output[1].extended_properties
    assert found == {"Pin": "p4ss wörd"}


def test_secure_text_before_the_exchange_of_keys_stays_secret(pool: RunspacePool) -> None:
    """Without keys the lab gives the name of the type instead of the text."""
    assert script(pool, "[securestring]'x'").streams.error
    assert script(pool, "ConvertTo-SecureString 'p4ss' -AsPlainText -Force").output == ["System.Security.SecureString"]
