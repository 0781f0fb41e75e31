"""PowerShell remoting over the wire: sessions, faults, deadlines and big answers against the stand-in tenant."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue, SecretStr

from connectors.directory import Directory
from connectors.errors import (
    Ambiguous,
    Busy,
    ConnectorError,
    Invalid,
    NotAllowed,
    NotFound,
    Throttled,
    Unreachable,
    Unsupported,
)
from connectors.powershell import PowerShell
from connectors.rows import settle
from connectors.scripts import SET_AD_USER
from connectors.teams_shell import TeamsShell
from connectors.throttle import Clock
from connectors.tokens import Tokens
from datasets.phone_attributes import PhoneAttributes
from datasets.voice_rows import NumberGrant
from lab.server import Lab
from tests.fakes.graph_site import HURRIED, app_of
from tests.fakes.lab_control import LabControl
from tests.fakes.shell_site import endpoint_of, shell_of

Endpoints = dict[str, Any]
_TARGET = "AssignedPstnTargetId"


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Start a tenant and give its endpoints."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=30, seed=2) as lab:
        yield dict(lab.endpoints)


@pytest.fixture
def control(endpoints: Endpoints) -> Iterator[LabControl]:
    """Give the control port."""
    control = LabControl(endpoints["control_url"])
    yield control
    control.close()


@pytest.fixture
def shell(endpoints: Endpoints) -> Iterator[PowerShell]:
    """Give a connector with a quick clock."""
    with shell_of(endpoint_of(endpoints), clock=HURRIED) as shell:
        yield shell


@pytest.fixture
def names(shell: PowerShell) -> list[str]:
    """Give the account names of the tenant."""
    return [user.sam_account_name for user in Directory(shell).everybody(deadline_s=20)]


def test_rows_are_written_in_one_pipeline(shell: PowerShell, names: list[str], control: LabControl) -> None:
    """Each row has its own result, and the unknown user does not stop the others."""
    before = control.last_seq()
    results = Directory(shell).set_phone_attributes([row(name) for name in [*names, "nobody"]])
    assert [result.key for result in results] == [*names, "nobody"]
    assert all(result.ok for result in results[:-1])
    assert isinstance(results[-1].error, NotFound)
    assert len([call for call in control.calls(before) if call["effects"]]) == len(names)


def test_written_attributes_are_read_back(shell: PowerShell, names: list[str]) -> None:
    """What is set is there, what is cleared is gone, what is not named stays."""
    directory = Directory(shell)
    directory.write_phone_attributes(names[0], {"telephoneNumber": "+4311", "ipPhone": "11"})
    directory.write_phone_attributes(names[0], {"ipPhone": None})
    user = directory.user(names[0].upper())
    assert user is not None
    assert (user.telephone_number, user.ip_phone) == ("+4311", None)


@pytest.mark.parametrize(
    "text",
    ["'; Set-ADUser bob; '", "^(\\d{3})[0-9]{10}$|[", "\r\n\t\x01", "_x0041__X000a_", "\U0001f600\u2028", "$null"],
)
def test_hostile_text_goes_there_and_back(shell: PowerShell, names: list[str], text: str) -> None:
    """M98: special characters survive the write and the read through the protocol."""
    directory = Directory(shell)
    directory.write_phone_attributes(names[1], {"telephoneNumber": text})
    user = directory.user(names[1])
    assert user is not None
    assert user.telephone_number == text


@pytest.mark.parametrize(
    ("cmdlet", "parameters", "kind"),
    [
        ("Get-Nothing", {}, Unsupported),
        ("Get-ADUser", {"Nothing": 1}, Unsupported),
        ("Get-ADUser", {}, Invalid),
        ("Get-ADUser", {"Identity": "nobody"}, NotFound),
        ("Get-ADUser", {"Filter": "SamAccountName -eq"}, Invalid),
        ("Get-CsOnlineUser", {}, NotAllowed),
    ],
)
def test_refusals_are_classified(
    shell: PowerShell, cmdlet: str, parameters: dict[str, JsonValue], kind: type[ConnectorError]
) -> None:
    """What PowerShell refuses is told by what the caller should do."""
    with pytest.raises(ConnectorError) as caught:
        shell.cmdlet(cmdlet, parameters, deadline_s=20)
    assert type(caught.value) is kind


def test_error_that_does_not_stop_is_an_error(shell: PowerShell) -> None:
    """A pipeline that completed with an error record failed, although PowerShell calls it completed."""
    with pytest.raises(NotFound):
        shell.cmdlet("Get-ADUser", {"Identity": "nobody", "ErrorAction": "Continue"}, deadline_s=20)


def test_late_pipeline_is_stopped_and_the_session_kept(
    endpoints: Endpoints, control: LabControl, names: list[str]
) -> None:
    """At the deadline the pipeline is stopped on the server; the same session serves the next call."""
    with shell_of(endpoint_of(endpoints), sessions=1) as shell:
        with control.fault("latency", "Get-ADUser", seconds=20), pytest.raises(Busy, match="no end within 1 s"):
            shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=1)
        before = control.last_seq()
        assert len(shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=20)) >= len(names)
    assert len(control.calls(before)) == 1


def test_abandoned_stream_is_stopped(endpoints: Endpoints) -> None:
    """A reader who has seen enough frees the session at once."""
    with shell_of(endpoint_of(endpoints), sessions=1) as shell:
        reading = shell.stream("Get-ADUser", {"Filter": "*"}, deadline_s=20)
        assert next(reading)
        reading.close()
        assert shell.cmdlet("Get-Module", {}, deadline_s=5) is not None


def test_cancelled_pipeline_stops_within_seconds(endpoints: Endpoints, names: list[str], control: LabControl) -> None:
    """A pipeline of another thread is stopped long before its end, and its session goes on."""
    errors: list[ConnectorError] = []

    def work(shell: PowerShell) -> None:
        rows = [sent(name) for name in names[:20]]
        try:
            list(shell.run(SET_AD_USER, rows, deadline_s=60, writes=True))
        except ConnectorError as error:
            errors.append(error)

    with shell_of(endpoint_of(endpoints), sessions=1) as shell, control.fault("latency", "Set-ADUser", seconds=1):
        worker = threading.Thread(target=work, args=(shell,))
        before = control.last_seq()
        worker.start()
        while not control.calls(before):
            time.sleep(0.05)
        shell.cancel()
        worker.join(timeout=60)
        assert not worker.is_alive()
        assert len([call for call in control.calls(before) if call["write"]]) < 20
        assert shell.cmdlet("Get-ADUser", {"Identity": names[0]}, deadline_s=30)
    assert [type(error) for error in errors] == [Ambiguous]


def test_lost_write_happened_once(shell: PowerShell, names: list[str], control: LabControl) -> None:
    """A write whose reply is dropped is Ambiguous, and the row was written exactly once."""
    before = control.last_seq()
    with control.fault("drop_reply", "Set-ADUser", times=1), pytest.raises(Ambiguous):
        Directory(shell).write_phone_attributes(names[2], {"telephoneNumber": "+4399"})
    assert len([call for call in control.calls(before) if call["write"]]) == 1


def test_chunk_cut_in_the_middle_keeps_what_is_known(shell: PowerShell, names: list[str], control: LabControl) -> None:
    """Rows that were answered before the connection broke are done, the rest is in doubt, and none is repeated."""
    before = control.last_seq()
    with control.fault("drop_reply", "Set-ADUser", times=1, after=4):
        results = Directory(shell).set_phone_attributes([row(name) for name in names[:10]])
    kinds = {type(result.error) for result in results}
    assert kinds <= {type(None), Ambiguous}
    assert isinstance(results[9].error, Ambiguous)
    assert len([call for call in control.calls(before) if call["write"]]) <= 10


def test_wrong_password_is_sent_once(endpoints: Endpoints) -> None:
    """A refused sign-in is not repeated by later calls: the account would be locked."""
    wrong = replace(endpoint_of(endpoints), password=SecretStr("wrong-canary"))
    with shell_of(wrong) as shell:
        for _ in range(2):
            with pytest.raises(NotAllowed, match=r"sign-in to .* failed ; correct") as caught:
                shell.cmdlet("Get-Module", {}, deadline_s=10)
            assert "canary" not in str(caught.value)


def test_unknown_authority_is_refused(endpoints: Endpoints) -> None:
    """A certificate of an authority that we do not trust ends the connection, with the remedy."""
    with (
        shell_of(replace(endpoint_of(endpoints), ca_bundle=None)) as shell,
        pytest.raises(NotAllowed, match="set ca_bundle"),
    ):
        shell.cmdlet("Get-Module", {}, deadline_s=10)


def test_closed_port_is_unreachable_for_writes_too(endpoints: Endpoints) -> None:
    """What was never sent is no doubt."""
    with shell_of(replace(endpoint_of(endpoints), port=9)) as shell, pytest.raises(Unreachable):
        settle(["ada"], shell.run(SET_AD_USER, [sent("ada")], deadline_s=5, writes=True), attempt="set")


def test_wrong_path_says_so(endpoints: Endpoints) -> None:
    """A URL without PowerShell behind it is a setting to correct."""
    with shell_of(replace(endpoint_of(endpoints), path="nothing")) as shell, pytest.raises(Invalid, match="path"):
        shell.cmdlet("Get-Module", {}, deadline_s=10)


def test_fourth_session_finds_no_place(endpoints: Endpoints) -> None:
    """The quota of the account is told as throttling; a session that is closed makes room at once."""
    with ExitStack() as stack:
        shells = [stack.enter_context(shell_of(endpoint_of(endpoints), sessions=1)) for _ in range(4)]
        for shell in shells[:3]:
            shell.cmdlet("Get-Module", {}, deadline_s=10)
        with pytest.raises(Throttled, match="concurrent shells"):
            shells[3].cmdlet("Get-Module", {}, deadline_s=2)
        shells[0].close()
        shells[3].cmdlet("Get-Module", {}, deadline_s=2)


def test_threads_share_the_sessions(shell: PowerShell, names: list[str]) -> None:
    """Twelve threads over three sessions each get their own answers."""
    directory, wrong = Directory(shell), []

    def read(name: str) -> None:
        user = directory.user(name)
        if user is None or user.sam_account_name != name:
            wrong.append(name)

    threads = [threading.Thread(target=read, args=(names[n % len(names)],)) for n in range(36)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_many_rows_travel_in_fragments(shell: PowerShell, names: list[str]) -> None:
    """Rows larger than an envelope are sent in parts and arrive whole."""
    rows = [sent(names[0], key=str(n), ipPhone="x" * 2000 + str(n)) for n in range(600)]
    results = list(shell.run(SET_AD_USER, rows, deadline_s=60, writes=True))
    assert [result.key for result in results] == [str(n) for n in range(600)]
    user = Directory(shell).user(names[0])
    assert user is not None
    assert user.ip_phone == "x" * 2000 + "599"


def test_micro_delay_is_heeded(endpoints: Endpoints, names: list[str], control: LabControl) -> None:
    """The service's notice that it slowed us down makes the next call wait as long."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        HURRIED.sleep(seconds)

    clock = replace(HURRIED, sleep=sleep)
    with shell_of(endpoint_of(endpoints), clock=clock) as shell:
        with control.fault("throttle", "Get-ADUser", times=1, retry_after_s=0.3):
            Directory(shell).user(names[0])
        assert not slept
        Directory(shell).user(names[0])
    assert slept[0] > 0.2


def test_session_that_the_server_forgot_is_replaced(
    endpoints: Endpoints, names: list[str], control: LabControl
) -> None:
    """A session ended by the server costs a new one and no write, whether it rested with us or not."""
    with shell_of(endpoint_of(endpoints), sessions=1) as shell:
        for idle in ("just used", "forgotten"):
            Directory(shell).write_phone_attributes(names[0], {"ipPhone": idle})
            control.advance_clock(3 * 3600)
        Directory(shell).write_phone_attributes(names[0], {"ipPhone": "again"})


@pytest.mark.parametrize("is_forgotten", [False, True], ids=["alive", "forgotten"])
def test_rested_session_is_asked_whether_it_lives(
    endpoints: Endpoints, names: list[str], control: LabControl, is_forgotten: bool
) -> None:
    """After a rest the server is asked first; a session that still lives is used again."""
    rested_s = 0.0
    clock = Clock(now=lambda: time.monotonic() + rested_s)
    with shell_of(endpoint_of(endpoints), sessions=1, clock=clock) as shell:
        Directory(shell).user(names[0])
        rested_s = 60.0
        if is_forgotten:
            control.advance_clock(3 * 3600)
        Directory(shell).write_phone_attributes(names[0], {"ipPhone": "1"})


def test_secret_travels_as_a_secure_string(shell: PowerShell) -> None:
    """A secret is encrypted with a key of the session and never comes back as text."""
    assert "pin-canary" not in str(
        shell.cmdlet("Write-Output", {"InputObject": SecretStr("pin-canary")}, deadline_s=10)
    )


def test_cmdlets_only_endpoint_takes_cmdlets(endpoints: Endpoints, names: list[str], control: LabControl) -> None:
    """A configuration of cmdlets gets rows one by one; the server refuses a script, were it sent."""
    control.change_settings(jea_commands=["*-AD*"])
    endpoint = replace(endpoint_of(endpoints), configuration_name="VoiceOperators", allows_scripts=False)
    with shell_of(endpoint) as shell:
        good, bad = shell.run(SET_AD_USER, [sent(names[0]), sent("nobody")], deadline_s=20, writes=True)
        assert good.ok
        assert isinstance(bad.error, NotFound)
    with shell_of(replace(endpoint, allows_scripts=True)) as shell, pytest.raises(ConnectorError) as caught:
        list(shell.run(SET_AD_USER, [sent("ada")], deadline_s=10))
    assert isinstance(caught.value, Invalid | Unsupported)


def test_skype_endpoint_answers_its_own_cmdlets(endpoints: Endpoints) -> None:
    """The connector reads there what the servers know; a cmdlet of another module is unsupported, not a failure."""
    with shell_of(endpoint_of(endpoints, "ocs_powershell")) as shell:
        assert shell.cmdlet("Get-CsPool", {}, deadline_s=10)
        with pytest.raises(Unsupported):
            shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=10)


def test_secrets_are_kept_out_of_the_log(shell: PowerShell, caplog: pytest.LogCaptureFixture) -> None:
    """Even with everything logged, what is sent to PowerShell is not."""
    with caplog.at_level(logging.DEBUG):
        Directory(shell).find_by_employee_id("canary-4711")
    assert "canary-4711" not in caplog.text


def test_teams_assigns_and_removes_a_number(endpoints: Endpoints, shell: PowerShell) -> None:
    """The second way to numbers works: taken away, given back, and refused to another user."""
    teams = TeamsShell(shell, Tokens(app_of(endpoints)).token)
    teams.voice_routing_policies()
    numbers = shell.cmdlet("Get-CsPhoneNumberAssignment", {"PstnAssignmentStatus": "UserAssigned"}, deadline_s=20)
    mine, other = [entry for entry in numbers if entry["NumberType"] == "DirectRouting"][:2]
    number, ada, bob = (str(value) for value in (mine["TelephoneNumber"], mine[_TARGET], other[_TARGET]))
    assert teams.remove_numbers([grant(number, ada)])[0].ok
    given, refused = (teams.assign_numbers([grant(number, user)])[0] for user in (ada, bob))
    assert given.ok
    assert refused.error is not None


@pytest.mark.parametrize("version", ["4.1.0", "7.4.0"])
def test_both_failure_styles_over_the_wire(
    endpoints: Endpoints, shell: PowerShell, control: LabControl, version: str
) -> None:
    """An old module answers an object, a new one raises: both are NotFound for a number nobody has."""
    control.change_settings(module_version=version)
    teams = TeamsShell(shell, Tokens(app_of(endpoints)).token)
    user = str(shell.cmdlet("Get-CsOnlineUser", {"ResultSize": 1}, deadline_s=20)[0]["Identity"])
    (result,) = teams.assign_numbers([grant("+999123456789", user)])
    control.change_settings(module_version="7.4.0")
    assert isinstance(result.error, NotFound | Invalid)


def row(name: str) -> PhoneAttributes:
    """Make a row that sets one attribute."""
    return PhoneAttributes(sam_account_name=name, attributes={"telephoneNumber": "+431234"})


def sent(name: str, *, key: str | None = None, **values: str) -> dict[str, JsonValue]:
    """Make a row as it is sent."""
    replaced: dict[str, JsonValue] = {**(values or {"ipPhone": "1"})}
    return {"key": key or name, "parameters": {"Identity": name, "Replace": replaced}}


def grant(number: str, user: str) -> NumberGrant:
    """Make a row that gives a number."""
    return NumberGrant(number=number, user_id=user, number_type="directRouting")
