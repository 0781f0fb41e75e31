"""Shells of the lab under stock pypsrp: disconnecting and coming back, quotas, session configurations, limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
from pypsrp.complex_objects import PSInvocationState, RunspacePoolState
from pypsrp.exceptions import InvalidPSRPOperation, WinRMTransportError, WSManFaultError
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.shell import WinRS
from pypsrp.wsman import NAMESPACES, WSMan, WSManAction

from lab.clock import Clock
from tests.fakes.powershell_end import PowerShellEnd, invoke, script

SHELL_NOT_FOUND, SHELL_DISCONNECTED, STREAM_DISCONNECTED = 2150858843, 0x803381C4, 0x803381DE
INVALID_RESOURCE, QUOTA, ENVELOPE_TOO_SMALL = 0x8033803B, 2150859173, 0x8033807E


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PowerShellEnd]:
    """Serve one end for all tests of the file."""
    with PowerShellEnd(tmp_path_factory.mktemp("wsman"), users=4, operators=4) as served:
        yield served


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[PowerShellEnd]:
    """Serve an end whose clock stands still."""
    with PowerShellEnd(tmp_path, users=4, clock=Clock(runs=False), operators=4) as served:
        yield served


def test_disconnected_pool_comes_back_with_its_pipeline(end: PowerShellEnd) -> None:
    """A pipeline runs on while its client is away, and gives its output to the client that comes back."""
    with end.pool() as pool:
        shell = PowerShell(pool).add_script("$kept = 7; Start-Sleep -Milliseconds 50; 'made while away'")
        shell.begin_invoke()
        pool.disconnect()
        pool.connect()
        assert pool.state == RunspacePoolState.OPENED
        assert shell.connect() == ["made while away"]
        shell.close()
        assert script(pool, "$kept").output == [7]


def test_disconnected_shell_answers_no_command(end: PowerShellEnd) -> None:
    """While a shell is disconnected a command is refused, and Get tells its state."""
    with end.pool() as pool:
        pool.disconnect()
        with pytest.raises(WSManFaultError) as caught:
            pool.shell.command("", arguments=[])
        assert caught.value.code == SHELL_DISCONNECTED
        assert pool.shell._get_shell()["State"] == "Disconnected"
        pool.connect()


def test_waiting_receive_hears_of_the_disconnect(end: PowerShellEnd) -> None:
    """A Receive that waits ends with its own fault when the shell is disconnected."""
    codes: list[Any] = []
    with end.pool() as pool, end.client() as other:
        waiting = PowerShell(pool).add_script("Start-Sleep -Seconds 20")
        waiting.begin_invoke()

        def wait() -> None:
            with pytest.raises(WSManFaultError) as caught:
                pool.shell.receive("stdout", command_id=waiting._command_id, timeout=15)
            codes.append(caught.value.code)

        thread = threading.Thread(target=wait)
        fault = end.parts.faults.add({"name": "latency", "seconds": 0, "match": {"operation": "WSMan-Receive"}})
        thread.start()
        while not end.parts.faults.listed()[0]["seen"]:
            thread.join(0.01)
        other.disconnect(pool.shell.resource_uri, None, selector_set=pool.shell._selector_set)
        thread.join(10)
        end.parts.faults.remove(fault)
        pool.state = RunspacePoolState.DISCONNECTED
        pool.connect()
    assert codes == [STREAM_DISCONNECTED]


def test_another_client_takes_a_disconnected_pool_over(end: PowerShellEnd) -> None:
    """A new client finds the pool and its pipeline, connects, and reads on."""
    with end.client() as first, end.client() as second:
        pool = RunspacePool(first)
        pool.open()
        running = PowerShell(pool).add_script("Start-Sleep -Milliseconds 50; 'for whoever asks'")
        running.begin_invoke()
        pool.disconnect()
        (found,) = [item for item in RunspacePool.get_runspace_pools(second) if item.id == pool.id]
        found.connect()
        (shell,) = found.create_disconnected_power_shells()
        assert shell.connect() == ["for whoever asks"]
        assert script(found, "'and a new one'").output == ["and a new one"]
        found.exchange_keys()
        found.close()
        with pytest.raises(WSManFaultError) as caught:
            pool.connect()
    assert caught.value.code == SHELL_NOT_FOUND


def test_connected_pool_is_not_taken_over(end: PowerShellEnd) -> None:
    """A pool somebody is connected to can be seen, not taken."""
    with end.pool() as pool, end.client() as second:
        (found,) = [item for item in RunspacePool.get_runspace_pools(second) if item.id == pool.id]
        with pytest.raises(WSManFaultError):
            found.connect()


def test_shells_are_their_owners_alone(end: PowerShellEnd) -> None:
    """Another operator neither sees nor reaches a shell."""
    name, word = next(iter(end.parts.operators.items()))
    with end.pool() as pool, end.client(username=name, password=word) as other:
        assert RunspacePool.get_runspace_pools(other) == []
        with pytest.raises(WSManFaultError) as caught:
            other.delete(pool.shell.resource_uri, selector_set=pool.shell._selector_set)
        assert caught.value.code == SHELL_NOT_FOUND
        assert script(pool, "1").output == [1]


def test_disconnected_shell_dies_of_idleness_even_while_it_works(standing: PowerShellEnd) -> None:
    """The idle time of a disconnected shell runs although its pipeline does."""
    with standing.client() as connection:
        pool = RunspacePool(connection, idle_timeout=900)
        pool.open()
        PowerShell(pool).add_script("Start-Sleep -Seconds 60").begin_invoke()
        pool.disconnect()
        standing.parts.clock.advance(901)
        with pytest.raises(WSManFaultError) as caught:
            pool.connect()
    assert caught.value.code == SHELL_NOT_FOUND


def test_tenant_has_a_quota_of_its_own(standing: PowerShellEnd) -> None:
    """Nine shells of three operators fill the tenant; the tenth is refused although its owner has none."""
    people = [(standing.parts.username, standing.parts.password), *standing.parts.operators.items()]
    with ExitStack() as stack:
        for name, word in people[:3]:
            for _ in range(3):
                stack.enter_context(standing.pool(username=name, password=word))
        with (
            pytest.raises(WSManFaultError) as caught,
            standing.pool(username=people[3][0], password=people[3][1], path="OcsPowershell"),
        ):
            pass
    assert caught.value.code == QUOTA
    assert "maximum number of concurrent shells for this tenant has been exceeded" in str(caught.value.reason)


def test_winrs_is_refused(end: PowerShellEnd) -> None:
    """A command shell is no resource of this service."""
    with end.client() as connection, pytest.raises(WSManFaultError) as caught:
        WinRS(connection).open()
    assert caught.value.code == INVALID_RESOURCE


def configured(end: PowerShellEnd, name: str, **given: Any) -> RunspacePool:
    """Make a pool of a session configuration."""
    return RunspacePool(end.client(**given), configuration_name=name)


def test_unknown_configuration_is_refused(end: PowerShellEnd) -> None:
    """A session configuration that nobody registered cannot be opened."""
    with pytest.raises(WSManFaultError) as caught:
        configured(end, "Nobody.Knows").open()
    assert caught.value.code == INVALID_RESOURCE


def test_restricted_configuration_knows_its_commands_only(end: PowerShellEnd) -> None:
    """In `VoiceOperators` listed cmdlets run, others do not exist, and scripts are refused."""
    with configured(end, "VoiceOperators") as pool:
        invoke(pool, "Connect-MicrosoftTeams", AccessTokens=end.tokens())
        assert len(invoke(pool, "Get-CsOnlineUser", ResultSize=2).output) == 2
        hidden, scripted = invoke(pool, "Get-ADUser", Filter="*"), script(pool, "1")
        names = {item.adapted_properties["Name"] for item in invoke(pool, "Get-Command").output}
    assert hidden.streams.error[0].fq_error == "CommandNotFoundException"
    assert scripted.streams.error[0].fq_error == "ScriptsNotAllowed"
    assert {hidden.state, scripted.state} == {PSInvocationState.FAILED}
    assert "Get-CsOnlineUser" in names
    assert not names & {"Get-ADUser", "ForEach-Object", "Start-Sleep"}


def test_restricted_configuration_is_a_setting(standing: PowerShellEnd) -> None:
    """The list of commands can be changed; it holds for shells opened afterwards."""
    standing.parts.settings.change({"jea_commands": ["Get-AD*"]})
    with configured(standing, "VoiceOperators") as pool:
        assert invoke(pool, "Get-ADDomain").state == PSInvocationState.COMPLETED
        assert invoke(pool, "Get-CsTenant").state == PSInvocationState.FAILED


def test_metadata_of_commands(end: PowerShellEnd) -> None:
    """A client can ask which commands there are, with their parameters, before it uses any."""
    with end.pool() as pool:
        found = {item.name: item for item in pool.get_command_metadata(["Get-Cs*", "Start-Sleep"])}
    assert {"Get-CsOnlineUser", "Start-Sleep"} <= set(found)
    parameter = found["Get-CsOnlineUser"].parameters["Identity"]
    assert (parameter.name, parameter.parameter_type, parameter.switch_parameter) == (
        "Identity",
        "System.String",
        False,
    )


@pytest.mark.parametrize("size", [8192, 40_000, 512_000])
def test_answers_fit_the_envelope_of_the_client(end: PowerShellEnd, size: int) -> None:
    """No answer is larger than the MaxEnvelopeSize of the client, large output comes in many of them."""
    with end.pool(max_envelope_size=size) as pool:
        sizes: list[int] = []
        session = pool.connection.transport.session
        session.hooks["response"].append(lambda answer, **_: sizes.append(len(answer.content)))
        shell = script(pool, "param($T) $T; $T; $T", "z" * 200_000)
    assert shell.output == ["z" * 200_000] * 3
    assert max(sizes) <= size


def test_envelope_nothing_fits_into_is_refused(end: PowerShellEnd) -> None:
    """A MaxEnvelopeSize too small for any answer is a fault."""
    with end.client() as connection:
        connection.max_envelope_size = 1000
        with pytest.raises(WSManFaultError) as caught:
            RunspacePool(connection).open()
    assert caught.value.code == ENVELOPE_TOO_SMALL


def test_request_above_the_limit_of_the_service_is_refused(end: PowerShellEnd) -> None:
    """A request larger than MaxEnvelopeSizekb is answered with HTTP 413."""
    with end.pool(max_envelope_size=900_000) as pool, pytest.raises(WinRMTransportError) as caught:
        PowerShell(pool).add_script("param($T) 1").add_argument("z" * 2_000_000).begin_invoke()
    assert caught.value.code == 413


def test_size_of_a_pool_has_bounds(end: PowerShellEnd) -> None:
    """The minimum of a pool cannot be above its maximum, nor the maximum below its minimum."""
    with end.pool(max_runspaces=3) as pool:
        pool.min_runspaces = 2
        with pytest.raises(InvalidPSRPOperation):
            pool.max_runspaces = 1
        with pytest.raises(InvalidPSRPOperation):
            pool.min_runspaces = 4
        assert pool.get_available_runspaces() == 3


def test_client_that_left_takes_no_output_with_it(end: PowerShellEnd) -> None:
    """What arrives after a Receive was given up waits for the next Receive."""
    with end.pool() as pool, end.client() as other:
        shell = PowerShell(pool).add_script("Start-Sleep -Milliseconds 1200; 'late'")
        shell.begin_invoke()
        other.transport.read_timeout = 0.3
        with pytest.raises(requests.ReadTimeout):
            _receive_once(other, pool, shell)
        other.transport.session.close()
        assert shell.end_invoke() == ["late"]
        shell.close()


def _receive_once(other: WSMan, pool: RunspacePool, shell: PowerShell) -> None:
    """Send one Receive without the retries of the client."""
    space = NAMESPACES["rsp"]
    body = ElementTree.Element(f"{{{space}}}Receive")
    stream = ElementTree.SubElement(body, f"{{{space}}}DesiredStream", CommandId=shell._command_id or "")
    stream.text = "stdout"
    other.invoke(WSManAction.RECEIVE, pool.shell.resource_uri, body, selector_set=pool.shell._selector_set)
