"""A tenant as a file: exported by the product, loaded by the lab, exported again; with pseudonyms too."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.__main__ import main as start_lab
from lab.rules import Refusal
from lab.server import Lab
from lab.snapshot import read_lines
from tests.fakes.checkout import ROOT
from tests.fakes.command_line import Run
from tests.fakes.lab_environment import environment_of

pytestmark = pytest.mark.slow
Line = dict[str, Any]


class Site:
    """Labs, and the command line pointed at one of them."""

    def __init__(self, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.run, self._monkeypatch = folder, run, monkeypatch

    def export(self, lab: Lab, name: str, *options: str) -> tuple[Path, list[Line]]:
        """Export a lab by the command and give the file and its lines after the header."""
        for key, value in environment_of(lab.endpoints, self.folder).items():
            self._monkeypatch.setenv(key, value)
        path = self.folder / name
        ran = self.run("snapshot", str(path), "--json", *options)
        assert ran.code == 0, ran.err
        lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
        assert Counter(line["kind"] for line in lines) == ran.json["lines"]
        return path, lines[1:]


@pytest.fixture
def site(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Give a folder of its own."""
    return Site(folder, run, monkeypatch)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Give a tenant with nested groups, a leaver, a guest, resource accounts and a ghost."""
    with Lab(folder=tmp_path / "real", users=60, seed=5) as running:
        owned = next(number for number in running.tenant.numbers.values() if number.target_id)
        running.tenant.purge_user(str(owned.target_id))
        running.control("PATCH", "/state/users/" + next(iter(running.tenant.users)), {"homedOnPremises": True})
        yield running


def test_export_load_export_is_equal(site: Site, lab: Lab) -> None:
    """A lab that was loaded from an export gives the same export, and answers as the tenant did."""
    path, first = site.export(lab, "first.jsonl")
    before = lab.control("GET", "/state/summary")
    with Lab(folder=site.folder / "loaded", snapshot=path) as loaded:
        assert site.export(loaded, "second.jsonl")[1] == first
        assert loaded.control("GET", "/state/summary") == before
    assert {line["kind"] for line in first} >= {"product", "policy", "location", "user", "voice", "number", "members"}
    assert path.stat().st_mode & 0o077 == 0


def test_pseudonymised_export_holds_nothing_real_and_keeps_the_structure(site: Site, lab: Lab) -> None:
    """No real name, address, id, street or number is anywhere in the file, and it loads into an equal structure."""
    _, real = site.export(lab, "real.jsonl")
    path, _ = site.export(lab, "nobody.jsonl", "--pseudonymise")
    texts = _texts([json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()])
    for canary in _canaries(real):
        assert canary.casefold() not in texts
    assert "contoso" not in path.read_text(encoding="utf-8").casefold()
    with Lab(folder=site.folder / "loaded", snapshot=path) as loaded:
        assert _structure(loaded) == _structure(lab)
        again = site.export(loaded, "again.jsonl")[1]
    assert Counter(line["kind"] for line in again) == Counter(line["kind"] for line in real)


@pytest.mark.parametrize(
    ("number", "change", "told"),
    [
        (3, {"surprise": 1}, ":3: surprise"),
        (1, {"version": 2}, ":1: version"),
        (2, {"kind": "snapshot", "version": 1}, ":2: "),
        (5, {"kind": "nonsense"}, ":5: kind"),
    ],
    ids=["unknown field", "version", "second header", "kind"],
)
def test_a_broken_line_is_refused_by_file_line_and_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, change: Line, told: str
) -> None:
    """The lab says in one line which file, line and field, and ends with 2."""
    lines = _small()
    lines[number - 1] |= change
    path = _written(tmp_path, lines)
    assert start_lab(["--snapshot", str(path), "--folder", str(tmp_path / "lab")]) == 2
    message = capsys.readouterr().err
    assert f"{path}{told}" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"kind": "user", "id": "U-1", "user_principal_name": "b@x.example"}, "id"),
        ({"kind": "user", "id": "u-9", "user_principal_name": "A@x.example"}, "user_principal_name"),
        ({"kind": "voice", "user_id": "u-9"}, "user_id"),
        ({"kind": "members", "group_id": "g-9", "member_ids": ["u-1"]}, "group_id"),
        ({"kind": "number", "telephone_number": "+4312345", "number_type": "directRouting"}, "telephone_number"),
        (
            {"kind": "user", "id": "u-9", "user_principal_name": "c@x.example", "licences": [{"sku_id": "x"}]},
            "licences",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value["kind"],
)
def test_a_line_that_contradicts_the_others_is_refused(tmp_path: Path, line: Line, told: str) -> None:
    """Doubles and references to nothing are refused by their field."""
    path = _written(tmp_path, [*_small(), line])
    with pytest.raises(Refusal, match=rf":{len(_small()) + 1}: {told}: "), Lab(folder=tmp_path / "lab", snapshot=path):
        pass


def test_what_is_no_json_and_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A torn line and a missing file are named."""
    path = _written(tmp_path, _small())
    path.write_text(path.read_text()[:-20])
    with pytest.raises(Refusal, match=rf":{len(_small())}: is no JSON"):
        list(read_lines(path))
    with pytest.raises(Refusal, match=r"nowhere\.jsonl: cannot be read"):
        list(read_lines(tmp_path / "nowhere.jsonl"))


def test_the_command_starts_a_lab_with_a_snapshot(tmp_path: Path) -> None:
    """`./callwright lab --snapshot` serves the people of the file, and leaves its addresses in its folder."""
    path, folder = _written(tmp_path, _small()), tmp_path / "lab"
    command = [str(ROOT / "callwright"), "lab", "--snapshot", str(path), "--folder", str(folder)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        endpoints = json.loads(started.stdout.readline())
        summary = httpx.get(f"{endpoints['control_url']}/state/summary", trust_env=False).json()
    finally:
        started.terminate()
        started.communicate(timeout=30)
    assert (summary["users"], summary["assigned"]) == (1, 1)
    assert json.loads((folder / "endpoints.json").read_text()) == endpoints


def _small() -> list[Line]:
    header = {"kind": "snapshot", "version": 1, "taken_at": "2026-09-01T06:00:00Z", "tenant_id": "t"}
    return [
        header | {"pseudonymised": False},
        {"kind": "product", "sku_id": "s", "part_number": "SPE_E5", "enabled_units": 5},
        {"kind": "user", "id": "u-1", "user_principal_name": "a@x.example", "licences": [{"sku_id": "s"}]},
        {"kind": "number", "telephone_number": "+4312345", "number_type": "directRouting", "holder_id": "u-1"},
        {"kind": "group", "id": "g-1", "display_name": "All"},
    ]


def _written(folder: Path, lines: list[Line]) -> Path:
    path = folder / "tenant.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def _texts(value: Any) -> set[str]:
    """Give every text in lines, folded, with the words of it."""
    if isinstance(value, dict):
        return set().union(*(_texts(item) for item in value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(_texts, value)) if value else set()
    return {str(value).casefold(), *str(value).casefold().replace(":", " ").replace(";", " ").split()}


def _canaries(lines: list[Line]) -> Iterator[str]:
    """Give everything that says who somebody is."""
    names = [
        "id",
        "user_id",
        "user_principal_name",
        "display_name",
        "given_name",
        "surname",
        "mail",
        "employee_id",
        "sam_account_name",
        "holder_id",
        "telephone_number",
        "mobile",
        "msrtcsip_line",
        "location_id",
        "civic_address_id",
        "street",
        "company",
        "city",
        "office",
        "postal_code",
        "description",
        "department",
    ]
    for line in lines:
        if line["kind"] in ("user", "voice", "number", "ad_account", "location", "group"):
            yield from (text for name in names if (text := line.get(name)) and text != "Global")


def _structure(lab: Lab) -> dict[str, Any]:
    """Describe a tenant without any name: who is nested where, who holds how many numbers of which country."""
    tenant = lab.tenant
    return {
        "groups": sorted(
            (len(group.members), sum(member in tenant.groups for member in group.members))
            for group in tenant.groups.values()
        ),
        "nested": sorted(len(list(tenant.transitive_members(group))) for group in tenant.groups),
        "numbers": sorted((n.number_type, len(n.telephone_number), n.source) for n in tenant.numbers.values()),
        "blocks": sorted(Counter(n.telephone_number[:-4] for n in tenant.numbers.values()).values()),
        "licences": sorted(len(user.licences) for user in tenant.users.values()),
        "voice": sorted(
            (len(voice.policies), voice.enterprise_voice, voice.homed_on_premises)
            for voice in map(tenant.voice, tenant.users)
        ),
        "deleted": len(tenant.deleted),
    }
