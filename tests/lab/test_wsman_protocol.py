"""The lab's remoting end under unmodified pypsrp over a real socket."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pypsrp.complex_objects import GenericComplexObject, PSInvocationState
from pypsrp.exceptions import AuthenticationError, WinRMTransportError, WSManFaultError
from pypsrp.powershell import PowerShell, RunspacePool

from lab.clock import Clock
from lab.posh_values import SecureString
from tests.fakes.powershell_end import PowerShellEnd, invoke, script

HOSTILE = [
    "",
    " leading and trailing ",
    "\\^$.|?*+()[]{}",
    "'\"`;$(throw 'x')#<>&",
    "_x0041_ _X0041_ _x005F_ _x",
    "tab\tline\r\nnul\x00bell\x07del\x7fc1\x85",
    "Ångström Παπαδόπουλος Иванов 山田 שלום مرحبا नमस्ते",
    "😀👩\u200d👩\u200d👧 𝔘𝔫𝔦",
    "e\u0301 \u00e9 \u202e \ufeff \u2028",
    "']]>&amp;&#65;<!--",
    "x" * 5000,
]


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PowerShellEnd]:
    """Serve one end for all tests of the file."""
    with PowerShellEnd(tmp_path_factory.mktemp("wsman")) as served:
        yield served


@pytest.fixture
def pool(end: PowerShellEnd) -> Iterator[RunspacePool]:
    """Open a pool."""
    with end.pool() as opened:
        yield opened


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[PowerShellEnd]:
    """Serve an end whose clock stands still."""
    with PowerShellEnd(tmp_path, users=4, clock=Clock(runs=False)) as served:
        yield served


def props(item: GenericComplexObject) -> dict[str, Any]:
    """Read an object whichever way its properties travelled."""
    return {**item.adapted_properties, **item.extended_properties}


def test_pool_opens_runs_and_closes(end: PowerShellEnd) -> None:
    """A pool opens, runs a script and is gone after closing."""
    with end.pool() as pool:
        assert script(pool, "$a = 20; $a * 2 + 2").output == [42]
        assert pool.is_alive(timeout=5)
        pool.shell.close()
        with pytest.raises(WSManFaultError) as caught:
            script(pool, "1")
        assert not pool.is_alive(timeout=5)
    assert caught.value.code == 2150858843


def test_wrong_password_is_an_authentication_error(end: PowerShellEnd) -> None:
    """A wrong password is answered with a challenge."""
    with pytest.raises(AuthenticationError), end.pool(password="wrong"):
        pass


def test_values_keep_their_types(pool: RunspacePool) -> None:
    """Text, numbers, booleans, null, identifiers and lists come back as what they were."""
    given = ["text", 7, 2**40, 1.5, True, None, [1, "two"], {"k": "v"}, uuid.UUID(int=5)]
    shell = script(pool, "param($V) foreach ($x in $V) { [pscustomobject]@{ V = $x } }", given)
    assert [props(item)["V"] for item in shell.output] == given


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_survives_both_ways(pool: RunspacePool, text: str) -> None:
    """M98: any text survives as argument, output, property, error message and warning."""
    shell = script(
        pool, 'param($V) $V; [pscustomobject]@{ P = $V }; Write-Warning "w$V"; Write-Error "e$V"; throw "t$V"', text
    )
    assert shell.output[0] == text
    assert props(shell.output[1])["P"] == text
    assert str(shell.streams.warning[0].message) == f"w{text}"
    messages = [record.exception.adapted_properties["Message"] for record in shell.streams.error]
    assert messages == [f"e{text}", f"t{text}"]


def test_hostile_parameter_names_survive(pool: RunspacePool) -> None:
    """Property names are data too."""
    shell = script(pool, "param($N) [pscustomobject]@{ $N = 1 }", "a<b>\"&'é")
    assert props(shell.output[0]) == {"a<b>\"&'é": 1}


def test_non_terminating_error_completes(pool: RunspacePool) -> None:
    """An error record on the stream leaves the pipeline completed: had_errors stays false."""
    shell = script(pool, "Write-Error 'no' -ErrorId Mine -Category ObjectNotFound -TargetObject 'ada'; 'on'")
    record = shell.streams.error[0]
    assert (shell.state, shell.had_errors, shell.output) == (PSInvocationState.COMPLETED, False, ["on"])
    assert record.fq_error == "Mine,Microsoft.PowerShell.Commands.WriteErrorCommand"
    assert (record.category, record.target_object, record.target_name) == (13, "ada", "ada")


def test_terminating_error_fails_the_pipeline(pool: RunspacePool) -> None:
    """A throw ends the pipeline as failed, with its record."""
    shell = script(pool, "'before'; throw 'over'; 'never'")
    assert (shell.state, shell.had_errors, shell.output) == (PSInvocationState.FAILED, True, ["before"])
    assert shell.streams.error[0].fq_error == "over"


def test_unknown_command_fails_as_cmdlet_and_goes_on_in_script(pool: RunspacePool) -> None:
    """An unknown command is the end of a cmdlet call, but only of a statement in a script."""
    direct, scripted = invoke(pool, "No-SuchThing"), script(pool, "No-SuchThing; 'on'")
    assert (direct.state, direct.streams.error[0].fq_error) == (PSInvocationState.FAILED, "CommandNotFoundException")
    assert (scripted.state, scripted.output) == (PSInvocationState.COMPLETED, ["on"])


def test_side_streams(pool: RunspacePool) -> None:
    """Warnings, verbose and debug lines arrive on their own streams."""
    streams = script(pool, "Write-Warning w; Write-Verbose v -Verbose; Write-Debug d -Debug").streams
    assert [str(item.message) for item in (streams.warning + streams.verbose + streams.debug)] == ["w", "v", "d"]


def test_pipeline_input_reaches_a_cmdlet(pool: RunspacePool) -> None:
    """Objects a client streams are bound one by one until the end of the input."""
    with PowerShell(pool) as shell:
        shell.add_cmdlet("Write-Warning")
        shell.invoke(text for text in ("one", "two", "three"))
    assert [str(item.message) for item in shell.streams.warning] == ["one", "two", "three"]


def test_input_is_for_the_first_statement(pool: RunspacePool) -> None:
    """A second statement does not wait for input that the first one has had."""
    with PowerShell(pool) as shell:
        shell.add_cmdlet("Write-Output").add_statement().add_cmdlet("Write-Output").add_argument("last")
        shell.invoke(text for text in ("one", "two"))
    assert shell.output == ["one", "two", "last"]


def test_pipelined_and_consecutive_commands(pool: RunspacePool) -> None:
    """Commands of one statement are piped, statements run one after the other."""
    with PowerShell(pool) as shell:
        shell.add_script("3, 1, 2").add_cmdlet("Sort-Object").add_parameter("Descending")
        shell.add_statement().add_cmdlet("Write-Output").add_argument("last")
        shell.invoke()
    assert shell.output == [3, 2, 1, "last"]


def test_secure_strings_travel_encrypted(pool: RunspacePool) -> None:
    """After a key exchange a secure text arrives and is never printed."""
    pool.exchange_keys()
    secret = pool.serialize("p4ss wörd", metadata=_secure())
    shell = script(pool, 'param($S) "$S"', secret)
    assert shell.output == ["System.Security.SecureString"]
    assert "p4ss" not in repr(SecureString("p4ss"))


def _secure() -> Any:
    from pypsrp.complex_objects import ObjectMeta

    return ObjectMeta("SS")


def test_cmdlets_only_end_refuses_scripts(end: PowerShellEnd) -> None:
    """At /OcsPowershell the server's cmdlets run and script text is refused."""
    with end.pool(path="OcsPowershell") as pool:
        assert "Skype for Business Server" in invoke(pool, "Get-CsServerVersion").output[0]
        shell = script(pool, "1")
    assert (shell.state, shell.streams.error[0].fq_error) == (PSInvocationState.FAILED, "ScriptsNotAllowed")


def test_skype_end_knows_its_own_cmdlets_only(end: PowerShellEnd) -> None:
    """Everything it offers is Skype's or belongs to remote management; cmdlets of other modules are not known."""
    with end.pool(path="OcsPowershell") as pool:
        found = [item.adapted_properties for item in invoke(pool, "Get-Command").output]
        strangers = [invoke(pool, name) for name in ("Get-ADUser", "Get-CsOnlineUser", "Start-Sleep", "Get-Module")]
    names = {row["Name"] for row in found if row["ModuleName"] != "SkypeForBusiness"}
    assert names == {"Get-Command", "Measure-Object", "Select-Object"}
    shown = {row["Name"] for row in found}
    assert {"Get-CsUser", "Move-CsUser", "Grant-CsVoicePolicy", "Grant-CsTeamsUpgradePolicy"} <= shown
    assert {shell.streams.error[0].fq_error for shell in strangers} == {"CommandNotFoundException"}


def test_one_shell_too_many_is_refused(end: PowerShellEnd) -> None:
    """The fourth shell of a user meets the quota; closing one makes room."""
    with end.pool(), end.pool():
        with end.pool(), pytest.raises(WSManFaultError) as caught, end.pool():
            pass
        with end.pool():
            pass
    assert caught.value.code == 2150859173
    assert "maximum number of concurrent shells" in str(caught.value.reason)


def test_runspaces_of_a_pool_run_side_by_side(end: PowerShellEnd) -> None:
    """Four pipelines in a pool of four are all under way before any of them ends."""
    with end.pool(max_runspaces=4) as pool:
        shells = [
            PowerShell(pool).add_script("param($N) $N; Start-Sleep -Seconds 3600").add_argument(n) for n in range(4)
        ]
        for shell in shells:
            shell.begin_invoke()
        assert pool.get_available_runspaces() == 0
        for shell in shells:
            while not shell.output:
                shell.poll_invoke()
        assert [shell.output for shell in shells] == [[0], [1], [2], [3]]
        for shell in shells:
            shell.stop()


def test_waiting_pipelines_start_when_a_runspace_is_free(pool: RunspacePool) -> None:
    """With one runspace pipelines queue and all finish."""
    shells = [PowerShell(pool).add_script("param($N) $N").add_argument(n) for n in range(3)]
    for shell in shells:
        shell.begin_invoke()
    assert [shell.end_invoke() for shell in shells] == [[0], [1], [2]]


def test_stop_in_mid_flight_leaves_the_pool_usable(pool: RunspacePool) -> None:
    """A sleeping pipeline stops at once and the next one runs."""
    shell = PowerShell(pool).add_script("Start-Sleep -Seconds 3600; 'never'")
    shell.begin_invoke()
    shell.stop()
    assert script(pool, "'next'").output == ["next"]


def test_stop_frees_a_producer_nobody_reads(pool: RunspacePool) -> None:
    """A pipeline blocked by an unread output stops too."""
    shell = PowerShell(pool).add_script("param($T) foreach ($x in $T) { $x }").add_argument(["y" * 1000] * 3000)
    shell.begin_invoke()
    time.sleep(0.3)
    shell.stop()
    assert script(pool, "'next'").output == ["next"]


def test_stop_ends_a_wait_for_input(pool: RunspacePool) -> None:
    """A pipeline that waits for input it never gets can be stopped."""
    shell = PowerShell(pool).add_cmdlet("Write-Warning")

    def slow() -> Iterator[str]:
        yield "first"
        shell.stop()
        yield "second"

    shell.begin_invoke(slow())
    assert script(pool, "'next'").output == ["next"]


def test_quiet_receive_times_out_with_the_known_fault(pool: RunspacePool) -> None:
    """A Receive with nothing to say ends with fault 2150858793."""
    shell = PowerShell(pool).add_script("Start-Sleep -Seconds 20")
    shell.begin_invoke()
    begun = time.monotonic()
    with pytest.raises(WSManFaultError) as caught:
        pool.shell.receive("stdout", command_id=shell._command_id, timeout=1)
    assert caught.value.code == 2150858793
    assert time.monotonic() - begun > 0.9
    shell.stop()


def test_idle_shell_dies_and_says_so(standing: PowerShellEnd) -> None:
    """A shell nobody used for its idle time-out is gone: is_alive is false, commands find no shell."""
    connection = standing.client()
    pool = RunspacePool(connection, idle_timeout=900)
    pool.open()
    standing.parts.clock.advance(899)
    assert pool.is_alive(timeout=5)
    standing.parts.clock.advance(901)
    with pytest.raises(WSManFaultError) as caught:
        PowerShell(pool).add_script("1").invoke()
    assert caught.value.code == 2150858843
    assert not pool.is_alive(timeout=5)
    connection.close()


def test_shells_of_a_pool_grow_and_report(pool: RunspacePool) -> None:
    """The size of a pool can be changed while it is open."""
    pool.max_runspaces = 3
    pool.min_runspaces = 2
    pool.reset_runspace_state()
    assert pool.get_available_runspaces() == 3


def test_reset_forgets_variables(pool: RunspacePool) -> None:
    """Variables last from pipeline to pipeline until the runspace is reset."""
    script(pool, "$kept = 1")
    assert script(pool, "$kept").output == [1]
    pool.reset_runspace_state()
    assert script(pool, "$kept").output == []


def test_server_configuration_is_readable(end: PowerShellEnd) -> None:
    """Get on the configuration tells the largest envelope."""
    with end.client() as connection:
        connection.update_max_payload_size()
        assert connection.max_envelope_size == 500 * 1024


def test_malformed_requests_are_faults_not_crashes(end: PowerShellEnd) -> None:
    """Rubbish is answered with a fault, an unknown action too."""
    address, auth = f"http://127.0.0.1:{end.port}/wsman", (end.parts.username, end.parts.password)
    for body in (b"not xml", b"<a/>"):
        answer = requests.post(address, data=body, auth=auth, timeout=60)
        assert (answer.status_code, b"SchemaValidationError" in answer.content) == (500, True)
    with end.client() as connection, pytest.raises(WSManFaultError):
        connection.enumerate("http://schemas.microsoft.com/wbem/wsman/1/wmi")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"name": "unavailable", "match": {"operation": "WSMan-Create"}, "times": 1}, WinRMTransportError),
        ({"name": "throttle", "match": {"operation": "WSMan-Create"}, "times": 1}, WinRMTransportError),
        ({"name": "drop_reply", "match": {"operation": "WSMan-Create"}, "times": 1}, requests.ConnectionError),
    ],
)
def test_transport_faults(tmp_path: Path, fault: dict[str, Any], expected: type[Exception]) -> None:
    """A fault named WSMan-… hits the protocol; a lost answer to Create leaves a shell behind."""
    with PowerShellEnd(tmp_path, users=1) as end:
        end.parts.faults.add(fault)
        with pytest.raises(expected), end.pool():
            pass
        with end.pool() as pool:
            assert script(pool, "1").output == [1]


def test_eight_clients_in_parallel(tmp_path: Path) -> None:
    """Eight clients with a pool each get their own answers."""
    with PowerShellEnd(tmp_path, users=4) as end:
        end.parts.settings.shells_per_user = 8
        found: dict[int, list[Any]] = {}

        def work(number: int) -> None:
            with end.pool() as pool:
                found[number] = [script(pool, "param($V) $V", f"{number}-{turn}").output[0] for turn in range(10)]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == {number: [f"{number}-{turn}" for turn in range(10)] for number in range(8)}


def test_no_path_answers_strangers(end: PowerShellEnd) -> None:
    """Without credentials every path answers with a challenge."""
    for path in ("wsman", "OcsPowershell"):
        answer = requests.post(f"http://127.0.0.1:{end.port}/{path}", data=b"", timeout=60)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Negotiate, Basic realm="WSMAN"'
