"""What the fault plan does to the remoting protocol, as a stock client sees it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from pypsrp.exceptions import WSManFaultError
from pypsrp.powershell import PowerShell, RunspacePool

from tests.fakes.powershell_end import PowerShellEnd, invoke, script
from tests.fakes.slow_clock import MOST_S, SlowClock
from tests.fakes.voice_rows import PER_ROW, people, rows

SHELL_NOT_FOUND = 2150858843


@pytest.fixture
def end(tmp_path: Path) -> Iterator[PowerShellEnd]:
    """Serve a tenant of twenty people."""
    with PowerShellEnd(tmp_path, users=20) as served:
        yield served


def play(end: PowerShellEnd, name: str, operation: str, **given: Any) -> None:
    """Put one fault into the plan."""
    end.parts.faults.add({"name": name, "times": 1, "match": {"operation": operation}, **given})


@pytest.mark.parametrize("name", ["kill_shell", "expire_idle"])
def test_shell_dies_under_its_client(end: PowerShellEnd, name: str) -> None:
    """A shell that was killed, or was idle for too long, is not found by the next command; a new one opens."""
    with end.client() as connection:
        pool = RunspacePool(connection)
        pool.open()
        play(end, name, "WSMan-Command")
        with pytest.raises(WSManFaultError) as caught:
            PowerShell(pool).add_script("1").invoke()
    assert caught.value.code == SHELL_NOT_FOUND
    with end.pool() as pool:
        assert script(pool, "2").output == [2]


def test_shell_starts_slowly(tmp_path: Path) -> None:
    """`latency` on Create holds back that shell alone: another one, asked for later, works meanwhile."""
    clock, order = SlowClock(), []
    with PowerShellEnd(tmp_path, users=2, clock=clock) as end, ThreadPoolExecutor(1) as other:

        def start() -> None:
            with end.pool():
                order.append("first")

        play(end, "latency", "WSMan-Create", seconds=90)
        slow = other.submit(start)
        assert clock.arrived.wait(MOST_S)
        with end.pool() as pool:
            order.append(script(pool, "'second'").output[0])
        clock.over.set()
        slow.result(MOST_S)
    assert (order, clock.waits) == (["second", "first"], [90.0])


def test_shell_dies_in_the_middle_of_a_batch(end: PowerShellEnd) -> None:
    """The second row's effect is done, then the shell dies: the third is never done, and the client knows neither."""
    ids = people(end, 3)
    play(end, "kill_shell", "Set-CsPhoneNumberAssignment", after=1)
    with end.client() as connection:
        pool = RunspacePool(connection)
        pool.open()
        invoke(pool, "Connect-MicrosoftTeams", AccessTokens=end.tokens())
        with pytest.raises(WSManFaultError) as caught:
            PowerShell(pool).add_script(PER_ROW).add_argument(rows(ids)).invoke()
    assert caught.value.code == SHELL_NOT_FOUND
    done = [line["target"] for line in end.parts.calls.since(0) if line["write"]]
    assert done == ids[:2]


def test_answer_ends_in_the_middle(end: PowerShellEnd) -> None:
    """Half of an answer and the end of the connection: the client hears of a broken connection, the shell lives."""
    with end.pool() as pool:
        play(end, "cut_reply", "WSMan-Receive")
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            PowerShell(pool).add_script("'x' * 1000").invoke()
        assert script(pool, "'alive'").output == ["alive"]


@pytest.mark.parametrize(("name", "status"), [("throttle", 429), ("unavailable", 503)])
def test_refusals_of_http_say_how_long_to_wait(end: PowerShellEnd, name: str, status: int) -> None:
    """429 and 503 come with Retry-After, before anything is done."""
    play(end, name, "WSMan-Command", retry_after_s=7)
    with end.pool() as pool:
        seen: list[requests.Response] = []
        pool.connection.transport.session.hooks["response"].append(lambda answer, **_: seen.append(answer))
        with pytest.raises(Exception, match=str(status)):
            PowerShell(pool).add_script("1").invoke()
        refused = next(answer for answer in seen if answer.status_code == status)
        assert refused.headers["Retry-After"] == "7"
        assert script(pool, "2").output == [2]


def test_micro_delay_is_a_warning(end: PowerShellEnd) -> None:
    """A throttled cmdlet warns of the delay and then does its work."""
    play(end, "throttle", "Get-CsTenant", retry_after_s=0.01)
    with end.teams() as pool:
        shell = invoke(pool, "Get-CsTenant")
    assert str(shell.streams.warning[0].message) == "Micro delay applied. Actual delayed: 10 msecs"
    assert len(shell.output) == 1
