"""The failure modes of the real platform, each by its name; the fault plan file; and where calls go."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import call_routing, fault_plan
from lab.catalogue import E5
from lab.fault_modes import OPERATIONS
from lab.rules import Refusal
from lab.server import Lab
from tests.fakes.checkout import ROOT
from tests.fakes.graph_client import GraphClient
from tests.fakes.lab_people import FREE_NUMBER, ready, with_number
from tests.fakes.script_runner import ASSIGN, FREE, ScriptRunner, licensed


def play(run: ScriptRunner, name: str, **more: Any) -> None:
    """Add a fault by its name."""
    run.parts.faults.add({"name": name, **more})


def test_a_refusal_may_come_as_an_object(teams: ScriptRunner) -> None:
    """`error_object`: Code and Message on the output and no error, also in a new module (#9165)."""
    play(teams, "error_object")
    (found,) = teams(ASSIGN, "nobody", FREE)
    assert isinstance(found, dict)
    assert found["Code"] == "NotFound"
    assert teams.errors == []


def test_the_service_fails_for_one_user(teams: ScriptRunner) -> None:
    """`service_unavailable` for one name: coded BadRequest, reads and writes; others go on (#8992, #9875)."""
    one, other = licensed(teams, with_number=True), licensed(teams, with_number=False)
    play(teams, "service_unavailable", match={"target": one.id})
    for text in ("param($I) Get-CsOnlineUser $I", "param($I) Remove-CsPhoneNumberAssignment -Identity $I -RemoveAll"):
        assert teams(text, one.upn) == []
        assert teams.errors[0].message == "Service is unavailable. Please try again"
        assert teams.error_ids[0].startswith("BadRequest,")
    teams(ASSIGN, other.id, FREE)
    assert teams.errors == []


def test_a_released_number_belongs_to_a_ghost(teams: ScriptRunner) -> None:
    """`ghost_assignment`: after the release an id holds the number that resolves to nobody (#9432)."""
    one, other = licensed(teams, with_number=True), licensed(teams, with_number=False)
    number = next(iter(teams.tenant.numbers_of[one.id]))
    play(teams, "ghost_assignment")
    teams("param($I) Remove-CsPhoneNumberAssignment -Identity $I -RemoveAll", one.id)
    assert teams.tenant.find_holder(str(teams.tenant.numbers[number].target_id)) is None
    teams(ASSIGN, other.id, number)
    assert "has already been assigned to another user" in teams.errors[0].message


def test_an_assignment_may_not_be_effective(teams: ScriptRunner) -> None:
    """`not_effective`: the number is there and Enterprise Voice is not (#8885)."""
    user = licensed(teams, with_number=False)
    play(teams, "not_effective")
    teams(ASSIGN, user.id, FREE)
    assert teams.errors == []
    assert teams.tenant.numbers[FREE].target_id == user.id
    assert not teams.tenant.voice(user.id).enterprise_voice


def test_the_local_directory_may_own_the_number(teams: ScriptRunner) -> None:
    """`on_premises_number` blocks an assignment in the documented words (#9347)."""
    user = licensed(teams, with_number=False)
    play(teams, "on_premises_number", times=1)
    teams(ASSIGN, user.id, FREE)
    assert "set in the on-premises Active Directory" in teams.errors[0].message
    teams(ASSIGN, user.id, FREE)
    assert teams.errors == []


def test_a_line_may_stay_behind(teams: ScriptRunner) -> None:
    """`line_left_behind`: after RemoveAll the line still shows, and blocks the next assignment (#8904)."""
    user = licensed(teams, with_number=True)
    number = next(iter(teams.tenant.numbers_of[user.id]))
    play(teams, "line_left_behind")
    teams("param($I) Remove-CsPhoneNumberAssignment -Identity $I -RemoveAll", user.id)
    assert teams("param($I) (Get-CsOnlineUser $I).OnPremLineURI", user.id) == [f"tel:{number}"]
    teams(ASSIGN, user.id, FREE)
    assert "on-premises Active Directory" in teams.errors[0].message


def test_a_base_number_may_clash_with_its_extension(teams: ScriptRunner) -> None:
    """`extension_clash`: the extension of somebody's number is taken, too (#8742, #8905)."""
    one, other = licensed(teams, with_number=True), licensed(teams, with_number=False)
    number = next(iter(teams.tenant.numbers_of[one.id]))
    play(teams, "extension_clash", times=1)
    teams(ASSIGN, other.id, f"{number};ext=12")
    assert "has already been assigned" in teams.errors[0].message
    teams(ASSIGN, other.id, f"{number};ext=12")
    assert teams.errors == []


def test_one_user_of_many_does_not_move(skype: ScriptRunner) -> None:
    """`move_fails` for one name leaves the others alone (#4944)."""
    user = next(iter(skype.tenant.skype.values()))
    play(skype, "move_fails", match={"target": user.sip_address})
    skype("param($I) Move-CsUser -Identity $I -Target pool2.contoso.example", user.sip_address)
    assert "Move failed" in skype.errors[0].message
    assert skype.tenant.skype[user.sam] == user


@pytest.mark.parametrize("releases", [True, False])
def test_losing_a_licence_releases_the_number(teams: ScriptRunner, *, releases: bool) -> None:
    """The platform releases silently; the setting `licence_loss_releases` turns that off (CIPP#4632)."""
    user = licensed(teams, with_number=True)
    teams.parts.settings.licence_loss_releases = releases
    teams.tenant.remove_licence(user.id, E5)
    assert bool(teams.tenant.numbers_held_by(user.id)) != releases


def test_modes_work_through_graph(graph: GraphClient) -> None:
    """The same names play there: an operation that fails later, a number without a dial pad, a ghost."""
    first, second = ready(graph.lab.tenant, 2)
    graph.lab.control("POST", "/faults", {"name": "on_premises_number", "times": 1})
    graph.lab.control("POST", "/faults", {"name": "not_effective", "after": 1})
    graph.lab.control("POST", "/faults", {"name": "ghost_assignment"})
    refused = graph.get(graph.assign(FREE_NUMBER, first.id).headers["Location"]).json()
    assert refused["status"] == "failed"
    graph.assign(FREE_NUMBER, second.id)
    assert not graph.lab.tenant.voice(second.id).enterprise_voice
    body = {"telephoneNumber": FREE_NUMBER, "numberType": "directRouting"}
    graph.call("POST", "/admin/teams/telephoneNumberManagement/numberAssignments/unassignNumber", json=body)
    assert graph.lab.control("GET", "/state/summary")["ghosts"] == [FREE_NUMBER]  # type: ignore[index,call-overload]  # JSON


# Where calls go


def test_calls_overflow_against_the_documented_order(teams: ScriptRunner) -> None:
    """With its gateway down a call fails; with `usage_overflow` it goes to the next usage (#6368)."""
    user = licensed(teams, with_number=True)
    names = "Vienna-National", "Berlin-National"
    teams("param($U) New-CsOnlineVoiceRoutingPolicy -Identity Two -OnlinePstnUsages $U | Out-Null", list(names))
    teams("param($I) Grant-CsOnlineVoiceRoutingPolicy $I -PolicyName Two", user.id)
    settings = teams.parts.settings
    assert call_routing.route(teams.tenant, user.upn, "+4366412345").gateway == "sbc-vienna.contoso.example"
    settings.gateways_down = ("sbc-vienna.contoso.example",)
    failed = call_routing.route(teams.tenant, user.upn, "+4366412345")
    assert (failed.gateway, failed.usage, failed.tried) == (None, names[0], ("sbc-vienna.contoso.example",))
    settings.usage_overflow = True
    assert call_routing.route(teams.tenant, user.upn, "+4366412345").gateway == "sbc-berlin.contoso.example"
    teams("Set-CsOnlinePSTNGateway -Identity sbc-berlin.contoso.example -Enabled $false")
    assert call_routing.route(teams.tenant, user.upn, "+4366412345").as_json()["gateway"] is None


def test_the_control_port_routes_a_call(lab: Lab) -> None:
    """POST /route answers policy, usage, route and gateway."""
    user = with_number(lab.tenant)[0]
    answer: Any = lab.control("POST", "/route", {"user": user.upn, "number": "+4366412345"})
    assert answer["gateway"] == "sbc-" + answer["usage"].partition("-")[0].lower() + ".contoso.example"


# The file


def test_a_plan_file_sets_everything(lab: Lab, tmp_path: Path) -> None:
    """Settings, people, numbers and faults are in force, and the faults are listed."""
    user, path = with_number(lab.tenant)[0], tmp_path / "plan.json"
    plan: dict[str, Any] = {"settings": {"shells_per_user": 1}, "users": {user.upn: {"deleted": True}}}
    plan["numbers"] = {"+431934609001": {"assignmentTargetId": "99999999-9999-4999-a999-999999999999"}}
    plan["faults"] = [{"name": "move_fails", "match": {"target": "ada@*"}, "probability": 0.5}]
    path.write_text(json.dumps(plan))
    fault_plan.play(lab.parts, fault_plan.read(path), path)
    assert lab.settings.shells_per_user == 1
    assert user.id in lab.tenant.deleted
    assert [fault["name"] for fault in lab.faults.listed()] == ["move_fails"]
    assert lab.control("GET", "/state/summary")["ghosts"] == ["+431934609001"]  # type: ignore[index,call-overload]  # JSON


def test_a_plan_file_knows_every_mode_by_name(lab: Lab, tmp_path: Path) -> None:
    """What can be switched on over the control port can be in the file, each about the calls it knows."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"faults": [{"name": name} for name in sorted(OPERATIONS)]}))
    fault_plan.play(lab.parts, fault_plan.read(path), path)
    listed: Any = lab.control("GET", "/faults")
    assert {fault["name"]: fault["match"]["operation"] for fault in listed["faults"]} == dict(OPERATIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ('{"fault": []}', "there is no section 'fault'"),
        ('{"faults": {}}', "faults: must be a list"),
        ('{"faults": [{"name": "nope"}]}', r"faults\[0\]: there is no fault 'nope'"),
        ('{"faults": [{"name": "lag"}, {"name": "lag", "second": 3}]}', r"faults\[1\]: there is no 'second'"),
        ('{"faults": [{"name": "lag", "seconds": "3"}]}', "seconds: must be a number"),
        ('{"faults": [{"name": "lag", "times": 1.5}]}', "times: must be a whole number"),
        ('{"faults": [{"name": "lag", "times": true}]}', "times: must be a whole number"),
        ('{"faults": [{"name": "lag", "probability": 2}]}', "between 0 and 1"),
        ('{"faults": [{"name": "lag", "match": {"who": "x"}}]}', "match: must be an object"),
        ('{"faults": [{"name": "lag", "match": {"target": 1}}]}', "are texts"),
        ('{"faults": ["lag"]}', "must be an object"),
        ('{"users": []}', "users: must be an object"),
        ('{"numbers": {"+431": 5}}', "every entry must be an object"),
    ],
)
def test_a_wrong_plan_is_refused_by_its_entry(tmp_path: Path, text: str, message: str) -> None:
    """The file and the entry are named, nothing happens."""
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(Refusal, match=message) as refused:
        fault_plan.read(path)
    assert refused.value.message.startswith(str(path))


@pytest.mark.parametrize("text", ['{"settings": {"nope": 1}}', '{"users": {"nobody@contoso.example": {}}}', None])
def test_the_command_says_what_is_wrong_with_a_plan(tmp_path: Path, text: str | None) -> None:
    """Unknown settings and people, and a file that is not there: one line and exit code 2."""
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    command = [sys.executable, "-m", "lab", "--users", "2", "--faults", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"lab: {path}: ")
    assert done.stderr.count("\n") == 1
