"""Move-CsUser with a list of users in a file of the PowerShell host."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.skype_records import SkypeUser
from tests.fakes.script_runner import ScriptRunner

MOVE = "param($F, $T) Move-CsUser -UserList $F -Target $T -Confirm:$false"


@pytest.fixture
def people(skype: ScriptRunner) -> list[SkypeUser]:
    """Give three people of one pool."""
    return [user for user in skype.tenant.skype.values() if user.pool == "pool1.contoso.example"][:3]


def listed(folder: Path, text: str) -> None:
    """Put a file on the host."""
    (folder / "files").mkdir()
    (folder / "files" / "wave.txt").write_text(text)


@pytest.mark.parametrize("path", ["wave.txt", r"C:\moves\wave.txt", "/moves/wave.txt"])
def test_everybody_of_the_file_is_moved(
    skype: ScriptRunner, tmp_path: Path, people: list[SkypeUser], path: str
) -> None:
    """Addresses are separated by commas; one who is refused is one error, and the others are moved and logged."""
    listed(tmp_path, f"{people[0].sip_address}, sip:nobody@contoso.example,{people[1].sip_address}\n")
    assert skype(MOVE, path, "pool2.contoso.example") == []
    assert [error.message for error in skype.errors] == [
        'Management object not found for identity "sip:nobody@contoso.example".'
    ]
    pools = [skype.tenant.skype[user.sam].pool for user in people]
    assert pools == ["pool2.contoso.example"] * 2 + ["pool1.contoso.example"]
    lines = [dict(line) for line in skype.parts.calls.since(0) if line["write"]]
    assert [bool(line["effects"]) for line in lines] == [True, False, True]


def test_error_action_stops_a_list(skype: ScriptRunner, tmp_path: Path, people: list[SkypeUser]) -> None:
    """With -ErrorAction Stop nobody is moved after the one who is refused."""
    listed(tmp_path, f"sip:nobody@contoso.example,{people[0].sip_address}")
    skype(f"{MOVE} -ErrorAction Stop", "wave.txt", "pool2.contoso.example")
    assert skype.failure is not None
    assert skype.tenant.skype[people[0].sam] == people[0]


@pytest.mark.parametrize("path", ["missing.txt", "../calls.jsonl", "..", r"..\..\calls.jsonl"])
def test_only_files_of_the_folder_are_read(
    skype: ScriptRunner, tmp_path: Path, people: list[SkypeUser], path: str
) -> None:
    """Another file, there or not, is not found; nobody is moved."""
    listed(tmp_path, people[0].sip_address)
    skype(MOVE, path, "pool2.contoso.example")
    assert [error.message for error in skype.errors] == [f"Could not find file '{path}'."]
    assert skype.tenant.skype[people[0].sam] == people[0]


def test_a_list_and_a_user_exclude_each_other(skype: ScriptRunner, people: list[SkypeUser]) -> None:
    """They are two parameter sets."""
    skype(f"{MOVE} -Identity {people[0].sip_address}", "wave.txt", "pool2.contoso.example")
    assert skype.error_ids[0].startswith("AmbiguousParameterSet")
