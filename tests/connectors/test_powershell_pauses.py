"""Pauses that an endpoint asks for while a session is opened or made ready: on a fake host."""

from __future__ import annotations

import pytest

from connectors.errors import Throttled
from connectors.shell_places import OwnQuota, Place
from connectors.shell_sessions import Call
from connectors.throttle import Pause
from tests.fakes.shell_host import Answer, FakeHost


def test_a_sign_in_told_to_wait_is_repeated_after_the_pause() -> None:
    """What is refused while a session is made ready is no failure of the call: it goes out after the pause."""
    host = FakeHost([Answer(error=Throttled("slow down", retry_after_s=7), breaks=True)])
    shell = host.shell()
    shell.prepare_with(lambda _state, session, deadline: list(session.stream(Call("Connect-X", {}), deadline)))
    shell.cmdlet("Set-X", {}, deadline_s=60, writes=True)
    assert [call.name for _, call in host.calls] == ["Connect-X", "Connect-X", "Set-X"]
    assert sum(host.time.slept) == 7


def test_a_sign_in_told_to_wait_for_too_long_is_told() -> None:
    """A pause beyond the deadline goes to the caller, and everybody else keeps to it."""
    host = FakeHost([Answer(error=Throttled("slow down", retry_after_s=90), breaks=True)])
    pause = Pause(host.time.clock)
    shell = host.shell(pause=pause)
    shell.prepare_with(lambda _state, session, deadline: list(session.stream(Call("Connect-X", {}), deadline)))
    with pytest.raises(Throttled):
        shell.cmdlet("Set-X", {}, deadline_s=60, writes=True)
    assert pause.remaining_s() == 90


class SlowQuota(OwnQuota):
    """A quota for whose places one waits, while somebody else is told to wait."""

    def __init__(self, pause: Pause) -> None:
        self._pause = pause

    def take(self, within_s: float) -> Place:
        """Give a place, after which nobody may call for a while."""
        self._pause.hold(9)
        return super().take(within_s)


def test_a_pause_that_begins_while_a_session_is_waited_for_is_kept() -> None:
    """Between the first look and the place others were told to wait: no session is opened before that is over."""
    host = FakeHost()
    pause, opened = Pause(host.time.clock), list[float]()
    shell = host.shell(pause=pause, quota=SlowQuota(pause))
    before = host.time.now
    shell.prepare_with(lambda _state, _session, _deadline: opened.append(host.time.now - before))
    shell.cmdlet("Get-X", {}, deadline_s=60)
    assert opened == [9]
