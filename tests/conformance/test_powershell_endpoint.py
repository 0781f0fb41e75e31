"""What we need of any PowerShell endpoint: the lab here, a real host by `make conformance ENDPOINT=…`.

Reads only; the last part writes one attribute of a test user that is named on purpose, and puts it back. The first part
uses stock pypsrp, so that a mistake of our connector is not taken for one of the endpoint.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from pypsrp.powershell import PowerShell as Pipeline
from pypsrp.powershell import RunspacePool

from connectors.directory import Directory
from connectors.errors import Busy, NotAllowed, NotFound, Unsupported
from connectors.powershell import PowerShell
from connectors.trust import tls_context
from datasets.phone_attributes import PhoneAttributes
from tests.fakes.conformance_target import ShellTarget, lab_shell, named, named_shell

HOSTILE = [
    "it's; $(Get-Date) `n",
    '"quoted" \u2018curly\u2019',
    "<a>&amp;]]>",
    "_x0041_",
    "\U0001f600 \u202e é",
    "\t x \n",
]
ROWS = 2000


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest) -> ShellTarget:
    """Give what the suite is pointed at; a lab is started only when nothing is named."""
    return named_shell() or lab_shell(request.getfixturevalue("endpoints"))


@pytest.fixture
def pool(target: ShellTarget) -> Iterator[Any]:
    """Open a session with stock pypsrp."""
    with opened(target) as pool:
        yield pool


@pytest.fixture(params=["named"] if named("ENDPOINT") else ["powershell", "ocs_powershell"])
def shell(request: pytest.FixtureRequest) -> Iterator[PowerShell]:
    """Give our connector at the endpoint that is named, or at both of the lab."""
    target = named_shell() or lab_shell(request.getfixturevalue("endpoints"), request.param)
    with target.connector() as shell:
        yield shell


def need(shell: PowerShell, *cmdlets: str) -> None:
    """Skip where the endpoint does not offer a cmdlet; a configuration for one purpose has few."""
    for name in cmdlets:
        try:
            shell.cmdlet("Get-Command", {"Name": name}, deadline_s=60)
        except Unsupported:
            pytest.skip(f"the endpoint does not offer {name}")


@contextmanager
def opened(target: ShellTarget, runspaces: int = 1) -> Iterator[Any]:
    """Open a session with stock pypsrp; it is always closed, as it counts towards the account's quota."""
    with (
        target.client() as connection,
        RunspacePool(
            connection, max_runspaces=runspaces, configuration_name=target.endpoint.configuration_name
        ) as pool,
    ):
        yield pool


def script(pool: Any, target: ShellTarget, text: str, *arguments: object) -> Any:
    """Run a script and give the ended pipeline; skipped where the endpoint takes cmdlets only."""
    if not target.endpoint.allows_scripts:
        pytest.skip("the endpoint takes cmdlets only")
    with Pipeline(pool) as pipeline:
        pipeline.add_script(text)
        for argument in arguments:
            pipeline.add_argument(argument)
        pipeline.invoke()
    return pipeline


# Stock pypsrp


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_comes_back_as_it_went(pool: Any, target: ShellTarget, text: str) -> None:
    """Text is data, whatever it looks like."""
    assert script(pool, target, "param($Value) $Value", text).output == [text]


def test_values_keep_their_types(pool: Any, target: ShellTarget) -> None:
    """Numbers, flags and tables arrive as such; what is absent is null."""
    ran = script(
        pool,
        target,
        "param($Row) [pscustomobject]@{ n = $Row.n + 1; flag = $Row.flag; none = $null }",
        {"n": 41, "flag": True},
    )
    found = {**ran.output[0].adapted_properties, **ran.output[0].extended_properties}
    assert (found["n"], found["flag"], found["none"]) == (42, True, None)


def test_an_error_that_does_not_stop_is_in_its_stream(pool: Any, target: ShellTarget) -> None:
    """The pipeline completes, goes on after the error, and the record has its id."""
    ran = script(pool, target, "Write-Error 'no such thing' -ErrorId 'Canary'\n'after'")
    assert ran.output == ["after"]
    assert not ran.had_errors
    assert "Canary" in ran.streams.error[0].fq_error
    assert "no such thing" in str(ran.streams.error[0])


def test_an_error_that_stops_can_be_caught_inside(pool: Any, target: ShellTarget) -> None:
    """A failure of one row becomes a result of that row, which all our scripts rely on."""
    text = """
    param($Rows)
    foreach ($row in $Rows) {
        try {
            if ($row -eq 2) { throw 'bad row' }
            [pscustomobject]@{ key = $row; ok = $true; message = '' }
        } catch {
            [pscustomobject]@{ key = $row; ok = $false; message = $_.Exception.Message }
        }
    }
    """
    output = script(pool, target, text, [1, 2, 3]).output
    found = [{**row.adapted_properties, **row.extended_properties} for row in output]
    assert [(row["key"], row["ok"], row["message"]) for row in found] == [
        (1, True, ""),
        (2, False, "bad row"),
        (3, True, ""),
    ]


def test_warnings_have_a_stream_of_their_own(pool: Any, target: ShellTarget) -> None:
    """Throttling tells itself by warnings; they must not be mixed with results."""
    ran = script(pool, target, "Write-Warning 'slow down'\n1")
    assert [str(warning) for warning in ran.streams.warning] == ["slow down"]
    assert ran.output == [1]


def test_many_rows_travel_both_ways(pool: Any, target: ShellTarget) -> None:
    """More than an envelope of rows goes there in fragments and comes back whole, in order."""
    rows = [f"row {n} " + "x" * 100 for n in range(ROWS)]
    assert script(pool, target, "param($Rows) foreach ($row in $Rows) { $row }", rows).output == rows


def test_pipelines_of_one_session_follow_each_other(pool: Any, target: ShellTarget) -> None:
    """A session serves one pipeline after the other, each ended on the server."""
    assert [script(pool, target, "param($n) $n * 2", n).output for n in range(5)] == [[0], [2], [4], [6], [8]]


def test_a_pipeline_can_be_stopped(pool: Any, target: ShellTarget) -> None:
    """Stopping ends a pipeline at once, and the session goes on."""
    if not target.endpoint.allows_scripts:
        pytest.skip("the endpoint takes cmdlets only")
    pipeline = Pipeline(pool)
    pipeline.add_script("Start-Sleep -Seconds 60")
    pipeline.begin_invoke()
    began = time.monotonic()
    pipeline.stop()
    pipeline.close()
    assert time.monotonic() - began < 30
    assert script(pool, target, "'alive'").output == ["alive"]


def test_strangers_are_challenged(target: ShellTarget) -> None:
    """A request without credentials gets 401 and the ways to sign in, and no page with internals."""
    place = target.endpoint
    if not place.ssl:
        pytest.skip("asked over TLS only")
    address = f"https://{place.server}:{place.port}/{place.path}"
    answer = httpx.post(address, content=b"", verify=tls_context(place.ca_bundle), trust_env=False)
    assert answer.status_code == 401
    assert answer.headers.get("WWW-Authenticate")
    assert "Traceback" not in answer.text


# Our connector


def test_a_stranger_is_not_allowed(target: ShellTarget) -> None:
    """A name that does not exist is refused once; a real account is not used, because it might be locked."""
    stranger = replace(target.endpoint, username="callwright-nobody", password=SecretStr("wrong"))
    with target.connector(stranger) as shell, pytest.raises(NotAllowed):
        shell.cmdlet("Get-Command", {"Name": "Get-Command"}, deadline_s=60)


def test_commands_are_named_and_missing_ones_are_unsupported(shell: PowerShell) -> None:
    """What is there can be asked for; what is not is told as such."""
    (found,) = shell.cmdlet("Get-Command", {"Name": "Select-Object"}, deadline_s=60)
    assert found["Name"] == "Select-Object"
    with pytest.raises(Unsupported):
        shell.cmdlet("Get-CallwrightNothing", {}, deadline_s=60)


def test_a_late_pipeline_is_stopped(shell: PowerShell) -> None:
    """The deadline is ours: a cmdlet that sleeps longer is stopped, and the session still works."""
    need(shell, "Start-Sleep", "Write-Output")
    with pytest.raises(Busy):
        shell.cmdlet("Start-Sleep", {"Seconds": 60}, deadline_s=1)
    assert shell.cmdlet("Write-Output", {"InputObject": "alive"}, deadline_s=60) == [{"Value": "alive"}]


def test_secrets_travel_encrypted(shell: PowerShell) -> None:
    """A key is exchanged, and a secret comes back as a secure string only."""
    need(shell, "Write-Output")
    answer = shell.cmdlet("Write-Output", {"InputObject": SecretStr("canary-4711")}, deadline_s=60)
    assert "canary-4711" not in str(answer)


def test_the_directory_can_be_read(shell: PowerShell) -> None:
    """The ActiveDirectory module is there, knows our attributes, and tells who does not exist."""
    need(shell, "Get-ADUser")
    assert Directory(shell).user("callwright-nobody") is None
    with pytest.raises(NotFound):
        shell.cmdlet("Get-ADUser", {"Identity": "callwright-nobody"}, deadline_s=60)


def test_the_servers_can_be_read(shell: PowerShell) -> None:
    """Skype for Business Server tells its pools and its version, and who does not exist."""
    need(shell, "Get-CsPool", "Get-CsServerVersion", "Get-CsUser")
    assert shell.cmdlet("Get-CsPool", {}, deadline_s=60)
    (version,) = shell.cmdlet("Get-CsServerVersion", {}, deadline_s=60)
    assert "Server" in str(version)
    with pytest.raises(NotFound):
        shell.cmdlet("Get-CsUser", {"Identity": "sip:callwright-nobody@invalid.example"}, deadline_s=60)


# Writing, only with a test user


def test_an_attribute_of_the_test_user_is_written_and_put_back(shell: PowerShell, target: ShellTarget) -> None:
    """What was written is read back exactly, then the old value is written again."""
    if target.test_user is None:
        pytest.skip("nothing is written without TEST_USER")
    need(shell, "Set-ADUser")
    directory = Directory(shell)
    before = directory.user(target.test_user)
    assert before is not None, f"TEST_USER {target.test_user} does not exist"
    written = f"{secrets.randbelow(10**4):04} {HOSTILE[0].strip()}"
    try:
        directory.write_phone_attributes(target.test_user, {"ipPhone": written})
        after = directory.user(target.test_user)
    finally:
        directory.write_phone_attributes(target.test_user, {"ipPhone": before.ip_phone})
    assert after is not None
    assert after.ip_phone == written
    assert directory.user(target.test_user) == before


def test_a_row_that_fails_does_not_stop_the_others(shell: PowerShell, target: ShellTarget) -> None:
    """A chunk with one wrong row writes the rest and says which row failed."""
    if target.test_user is None:
        pytest.skip("nothing is written without TEST_USER")
    need(shell, "Set-ADUser")
    directory = Directory(shell)
    before = directory.user(target.test_user)
    assert before is not None
    names = (target.test_user, "callwright-nobody")
    rows = [PhoneAttributes(sam_account_name=name, attributes={"ipPhone": before.ip_phone}) for name in names]
    good, bad = directory.set_phone_attributes(rows)
    assert good.ok
    assert type(bad.error) is NotFound
    assert directory.user(target.test_user) == before
