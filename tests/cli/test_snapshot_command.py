"""A tenant as a file: exported by the product, loaded by the lab, exported again; with pseudonyms too."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab import objects, skype
from lab.__main__ import main as start_lab
from lab.rules import Refusal
from lab.server import Lab
from lab.settings import Settings
from lab.snapshot import SCHEMA_FILE, read_lines
from tests.fakes.checkout import ROOT
from tests.fakes.command_line import Run
from tests.fakes.lab_environment import environment_of, skype_environment_of
from tests.fakes.lab_shells import run, teams_pool

pytestmark = pytest.mark.slow
SCHEMA: Any = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
Line = dict[str, Any]


class Site:
    """Labs, and the command line pointed at one of them."""

    def __init__(self, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.run, self._monkeypatch = folder, run, monkeypatch
        self.has_servers = False  # whether the servers are read from their own endpoint

    def export(self, lab: Lab, name: str, *options: str) -> tuple[Path, list[Line]]:
        """Export a lab by the command and give the file and its lines after the header."""
        for key, value in environment_of(lab.endpoints, self.folder).items():
            self._monkeypatch.setenv(key, value)
        for key, value in skype_environment_of(lab.endpoints).items():
            if self.has_servers:
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
    """Give a hybrid tenant with nested groups, a leaver, a guest, resource accounts, a ghost and blocked numbers."""
    with Lab(folder=tmp_path / "real", users=60, seed=5, settings=Settings(hybrid_share=0.3)) as running:
        owned = next(number for number in running.tenant.numbers.values() if number.target_id)
        running.tenant.purge_user(str(owned.target_id))
        running.control("PATCH", "/state/users/" + next(iter(running.tenant.users)), {"homedOnPremises": True})
        furnish(running)
        yield running


def furnish(lab: Lab) -> None:
    """Add what a sample tenant has none of: translation rules, blocks, a pickup orbit, phones, a granted policy."""
    with teams_pool(lab) as shell:
        rule = {"Identity": "Strip", "Pattern": r"^00(\d+)$", "Translation": "+$1", "Description": "no zeros"}
        gateway = {"Identity": "sbc-vienna.contoso.example", "InboundPstnNumberTranslationRules": ["Strip"]}
        phone = {"LineUri": "tel:+431934690500", "RegistrarPool": "pool1.contoso.example", "OU": "OU=Phones,DC=x"}
        fax = {**phone, "LineUri": "tel:+431934690501", "Gateway": "gw.contoso.example", "AnalogFax": True}
        homed = next(user for user in lab.tenant.skype.values() if user.pool)
        acts: list[tuple[str, dict[str, Any]]] = [
            ("New-CsTeamsTranslationRule", rule),
            ("Set-CsOnlinePSTNGateway", gateway),
            ("New-CsCommonAreaPhone", {**phone, "DisplayName": "Lobby", "Description": "Ada's desk"}),
            ("New-CsAnalogDevice", {**fax, "DisplayName": "Fax"}),
            ("New-CsGroupPickupUserOrbit", {"User": homed.sip_address, "Orbit": "#210"}),
            ("Grant-CsVoicePolicy", {"Identity": homed.sip_address, "PolicyName": "National"}),
        ]
        assert [run(shell, cmdlet, **given)[1] for cmdlet, given in acts] == [""] * len(acts)
        assert run(shell, "Disable-ADAccount", Identity=homed.sam)[1] == ""
    free = [number for number in lab.tenant.numbers.values() if number.target_id is None]
    lab.tenant.block_number(free[0].telephone_number, days=30)
    lab.tenant.block_number(free[1].telephone_number, days=0)


def test_export_load_export_is_equal(site: Site, lab: Lab) -> None:
    """A loaded lab gives the same export, now from the servers' own endpoint, and answers as the tenant did."""
    path, first = site.export(lab, "first.jsonl")
    before = lab.control("GET", "/state/summary")
    site.has_servers = True
    with Lab(folder=site.folder / "loaded", snapshot=path) as loaded:
        assert site.export(loaded, "second.jsonl")[1] == first
        assert loaded.control("GET", "/state/summary") == before
        assert _servers(loaded) == _servers(lab)
    assert {line["kind"] for line in first} == set(SCHEMA["$defs"]) - {"snapshot"}
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
        ({"kind": "number_block", "telephone_number": "+4399999"}, "telephone_number"),
        ({"kind": "skype_user", "sam_account_name": "z", "sip_address": "sip:z@x"}, "sam_account_name"),
        ({"kind": "skype_policy", "policy_type": "NoPolicy", "name": "n"}, "policy_type"),
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
        started.communicate(timeout=120)
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


_ABOUT_SOMEBODY = ("user", "voice", "number", "ad_account", "location", "group", "number_block", "unassigned_range")


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
        "sip_address",
        "pool",
        "fqdn",
        "distinguished_name",
        "line_uri",
        "announcement_name",
        "gateway",
    ]
    for line in lines:
        if line["kind"] in _ABOUT_SOMEBODY or line["kind"].startswith("skype_"):
            yield from (text for name in names if (text := line.get(name)) and text != "Global")


def _servers(lab: Lab) -> dict[str, Any]:
    """Describe what the servers know, with names; and what is blocked."""
    tenant = lab.tenant
    blocked = [number for number in tenant.numbers.values() if tenant.is_blocked(number)]
    return {
        "users": {
            sam: (user.sip_address, user.pool, user.enterprise_voice, dict(user.policies), user.orbit)
            for sam, user in tenant.skype.items()
        },
        "disabled": [sam for sam, account in tenant.ad_users.items() if not account.enabled],
        "lines": {sam: skype.line_of(tenant, sam) for sam in tenant.skype},
        "devices": {name: (row.kind, row.line_uri, row.sip_address) for name, row in tenant.devices.items()},
        "ranges": sorted(row.name for kind, _ in tenant.objects for row in objects.every(tenant, kind)),
        "policies": {kind: set(skype.policies_of(tenant, kind)) for kind in skype.POLICIES},
        "blocked": {row.telephone_number: (row.blocked_forever, _second(row.blocked_until)) for row in blocked},
    }


def _second(moment: datetime | None) -> datetime | None:
    return moment.replace(microsecond=0) if moment else None


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
        "servers": sorted(
            (bool(u.pool), u.enterprise_voice, len(u.policies), u.orbit or "") for u in tenant.skype.values()
        ),
        "devices": sorted((device.kind, len(device.line_uri)) for device in tenant.devices.values()),
        "blocked": sorted(n.blocked_forever for n in tenant.numbers.values() if tenant.is_blocked(n)),
    }
