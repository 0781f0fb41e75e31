"""The control port and the lab as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.records import opaque_id
from lab.server import Lab
from tests.fakes.graph_client import GraphClient
from tests.fakes.lab_people import FREE_NUMBER, ready, with_number


def ask(lab: Lab, method: str, path: str, body: Any = None) -> Any:
    """Make one control call."""
    return lab.control(method, path, body)


def test_the_clock_moves_when_told(lab: Lab) -> None:
    """The clock stands, can be set and advanced, and says so."""
    ask(lab, "POST", "/clock", {"now": "2026-12-24T18:00:00Z"})
    assert ask(lab, "POST", "/clock", {"advance_s": 90})["now"] == "2026-12-24T18:01:30.000Z"
    assert ask(lab, "GET", "/clock") == {"now": "2026-12-24T18:01:30.000Z", "runs": False}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/clock", {"now": "yesterday"}),
        ("POST", "/clock", {"now": "2026-12-24T18:00:00"}),
        ("PATCH", "/settings", {"no_such": 1}),
        ("PATCH", "/settings", {"licence_delay_s": "long"}),
        ("POST", "/faults", {"name": "nonsense"}),
        ("GET", "/state/users/nobody", None),
        ("POST", "/state/users", {}),
        ("PATCH", "/state/users/nobody", {"deleted": True}),
        ("PATCH", "/state/skus/nothing", {"enabled": 1}),
        ("PATCH", "/state/numbers/12", {"numberType": "fax"}),
    ],
    ids=str,
)
def test_wrong_control_calls_are_refused(lab: Lab, method: str, path: str, body: Any) -> None:
    """A mistake in a test's set-up is an error at once."""
    with pytest.raises(RuntimeError, match=r"40[04]"):
        ask(lab, method, path, body)


def test_settings_change_together_or_not_at_all(lab: Lab) -> None:
    """One wrong setting leaves the right ones untouched."""
    with pytest.raises(RuntimeError):
        ask(lab, "PATCH", "/settings", {"licence_delay_s": 5, "nonsense": 1})
    assert ask(lab, "GET", "/settings")["licence_delay_s"] == 0
    assert ask(lab, "PATCH", "/settings", {"licence_delay_s": 5})["licence_delay_s"] == 5


def test_a_new_account_appears_everywhere(lab: Lab, graph: GraphClient) -> None:
    """What HR provisioning makes is in Graph, in Teams and in Active Directory."""
    fields = {"userPrincipalName": "neu@contoso.example", "displayName": "Neu", "employeeId": "00099999"}
    made = ask(lab, "POST", "/state/users", {**fields, "onPremisesSamAccountName": "neu", "usageLocation": "AT"})
    assert graph.all("/users", _filter="employeeId eq '00099999'")[0]["id"] == made["id"]
    assert graph.get(f"/admin/teams/userConfigurations/{made['id']}").json()["telephoneNumbers"] == []
    assert lab.tenant.find_ad_user("NEU").attributes["employeeID"] == "00099999"  # type: ignore[union-attr]  # it is there


def test_a_person_is_shown_whole(lab: Lab) -> None:
    """The state of a person has features, numbers, policies and directory attributes."""
    user = with_number(lab.tenant)[0]
    shown = ask(lab, "GET", f"/state/users/{user.upn}")
    assert shown["isEnterpriseVoiceEnabled"] is True
    assert shown["telephoneNumbers"] == [shown["ad"]["telephoneNumber"]]
    assert shown["policies"]["TenantDialPlan"].startswith("DP-")
    assert {"PhoneSystem"} <= set(shown["featureTypes"])


def test_people_change_behind_ones_back(lab: Lab) -> None:
    """Department, licences, attributes and home can change from outside of any call."""
    (user,) = ready(lab.tenant, 1)
    body = {"department": "Moved", "ad": {"homePhone": "+4319346077"}, "homedOnPremises": True, "licences": []}
    shown = ask(lab, "PATCH", f"/state/users/{user.id}", body)
    assert (shown["department"], shown["ad"]["homePhone"], shown["licences"]) == ("Moved", "+4319346077", [])
    assert shown["homedOnPremises"] is True
    assert lab.calls.since() == []


def test_deletion_and_ghosts(lab: Lab) -> None:
    """A soft-deleted person is still shown; a purged one leaves a ghost behind."""
    user = with_number(lab.tenant)[0]
    (number,) = lab.tenant.numbers_held_by(user.id)
    assert ask(lab, "PATCH", f"/state/users/{user.upn}", {"deleted": True})["deleted"] is True
    assert ask(lab, "PATCH", f"/state/users/{user.id}", {"deleted": False})["deleted"] is False
    assert ask(lab, "PATCH", f"/state/users/{user.id}", {"purged": True}) == {"id": user.id, "purged": True}
    with pytest.raises(RuntimeError, match="404"):
        ask(lab, "GET", f"/state/users/{user.id}")
    assert ask(lab, "GET", "/state/summary")["ghosts"] == [number.telephone_number]


def test_a_ghost_owner_is_made(lab: Lab) -> None:
    """A number can be given to an id nobody has."""
    shown = ask(lab, "PATCH", f"/state/numbers/{FREE_NUMBER}", {"assignmentTargetId": opaque_id("ghost")})
    assert (shown["ghost"], shown["holder"]) == (True, None)
    rows = {row["telephoneNumber"]: row for row in ask(lab, "GET", "/state/numbers")["numbers"]}
    assert rows[FREE_NUMBER] == shown
    assert len(rows) == len(lab.tenant.numbers)


def test_licence_units_can_be_changed(lab: Lab) -> None:
    """The number of units bought is set by part number."""
    assert ask(lab, "PATCH", "/state/skus/spe_e5", {"enabled": 3})["enabled"] == 3


def test_the_call_log_is_a_file_too(lab: Lab, graph: GraphClient) -> None:
    """The control port and the file tell the same calls; `since` leaves the known ones out."""
    graph.get("/organization")
    graph.get("/subscribedSkus")
    calls = ask(lab, "GET", "/calls")["calls"]
    assert [json.loads(line) for line in lab.calls.path.read_text().splitlines()] == calls
    assert [call["seq"] for call in calls] == [1, 2, 3]
    assert ask(lab, "GET", "/calls?since=2")["calls"] == calls[2:]
    assert set(calls[0]) >= {
        "seq",
        "at",
        "protocol",
        "operation",
        "actor",
        "target",
        "parameters",
        "write",
        "status",
        "error",
    }


def test_secrets_are_for_the_owner_only(lab: Lab) -> None:
    """Files with secrets have mode 0600, and the endpoints hold no secret."""
    text = json.dumps(lab.endpoints)
    for path in (lab.endpoints["client_secret_file"], lab.endpoints["private_key_file"]):
        assert stat.S_IMODE(Path(str(path)).stat().st_mode) == 0o600
        assert Path(str(path)).read_text() not in text


def test_the_process_tells_where_it_is_and_stops(tmp_path: Path) -> None:
    """`python -m lab` prints one JSON line when ready and ends cleanly on SIGTERM."""
    command = [sys.executable, "-m", "lab", "--users", "5", "--folder", str(tmp_path), "--set", "licence_delay_s=7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoints = json.loads(process.stdout.readline())
        assert endpoints["powershell"]["path"] == "wsman"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize("wrong", ["port", "setting"])
def test_the_process_says_in_one_line_what_is_wrong(tmp_path: Path, wrong: str) -> None:
    """A taken port and an unknown setting end with status 2 and one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = ["--port", str(taken.getsockname()[1])]
        options = port if wrong == "port" else ["--set", "nonsense=1"]
        command = [sys.executable, "-m", "lab", "--users", "5", "--folder", str(tmp_path), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_somebody_is_homed_on_premises_from_outside(lab: Lab) -> None:
    """A person becomes a user of the servers with a line, changes, and is disabled again; the cloud sees it."""
    user = next(user for user in lab.tenant.users.values() if user.text("onPremisesSamAccountName"))
    path = f"/state/users/{user.id}"
    home = {"onPremises": {"enterpriseVoice": True, "lineUri": "tel:+431934699999"}}
    shown = ask(lab, "PATCH", path, home)
    assert (shown["onPremises"]["lineUri"], shown["homedOnPremises"]) == ("tel:+431934699999", True)
    assert shown["onPremises"]["pool"] == "pool1.contoso.example"
    assert ask(lab, "PATCH", path, {"onPremises": {"lineUri": None}})["onPremises"]["lineUri"] is None
    with pytest.raises(RuntimeError, match="onPremises: takes"):
        ask(lab, "PATCH", path, {"onPremises": {"line": "x"}})
    shown = ask(lab, "PATCH", path, {"onPremises": None})
    assert (shown["onPremises"], shown["homedOnPremises"]) == (None, False)
