"""Session quota and throttle pauses between processes: each `SessionQuota` here stands for one process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from connectors.database import Database
from connectors.errors import Throttled
from connectors.powershell import PowerShell
from connectors.shell_errors import NoPlace
from connectors.throttle import Clock, Pause
from engine import leases
from engine.session_quota import LEASE, PLACE, SessionQuota
from engine.shared_pauses import SharedPauses
from tests.fakes.shell_host import ENDPOINT, FakeHost, FakeSession

KEY = "svc@host.example:5986/wsman"
START = datetime(2026, 9, 1, 6, 0, tzinfo=UTC)


@dataclass
class Site:
    """A database and one time for all processes."""

    database: Database
    seconds: float = 0.0
    stack: ExitStack = field(default_factory=ExitStack)

    def now(self) -> datetime:
        """Give the moment."""
        return START + timedelta(seconds=self.seconds)

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    @property
    def clock(self) -> Clock:
        """Give a clock of that time."""
        return Clock(now=lambda: self.seconds, sleep=self.pass_by)

    def process(self, limit: int = 3) -> SessionQuota:
        """Start a process, without its thread."""
        made = SessionQuota(self.database, KEY, limit, now=self.now, clock=self.clock, ticks=False)
        return self.stack.enter_context(made)


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    """Give a site that is closed in the end."""
    made = Site(database)
    with made.stack:
        yield made


def test_processes_share_the_places(site: Site) -> None:
    """Three places are three for both processes together; the fourth session waits and is then told to."""
    one, other = site.process(), site.process()
    held = [one.take(0), other.take(0), one.take(0)]
    with pytest.raises(NoPlace, match="all 3 sessions of svc@host"):
        other.take(5)
    assert 4 <= site.seconds <= 5
    held[0].give_back()
    assert other.take(0).is_ours()


def test_a_waiting_process_gets_a_place_of_one_that_has_several(site: Site) -> None:
    """Who has several gives one back after its current pipeline, and only one; then nobody is asked again."""
    busy, waiting = site.process(), site.process()
    places = [busy.take(0) for _ in range(3)]
    busy.tick()
    assert not any(place.is_wanted() for place in places)
    with pytest.raises(NoPlace):
        waiting.take(0)
    busy.tick()
    busy.tick()
    assert [place.is_wanted() for place in places] == [True, False, False]
    places[0].give_back()
    waiting.take(0)
    site.pass_by(1)
    busy.tick()
    assert not any(place.is_wanted() for place in places[1:])


def test_the_only_place_is_kept_for_a_fair_time(site: Site) -> None:
    """With a single place a process gives it up after half a minute, not at once."""
    busy, waiting = site.process(1), site.process(1)
    place = busy.take(0)
    with pytest.raises(NoPlace):
        waiting.take(0)
    busy.tick()
    assert not place.is_wanted()
    with pytest.raises(NoPlace):
        waiting.take(31)
    busy.tick()
    assert place.is_wanted()


def test_a_living_process_keeps_its_place_and_a_frozen_one_loses_it(site: Site) -> None:
    """Ticks renew the lease for ever; without them it is over after the time the endpoint keeps a session."""
    living = site.process(1)
    place = living.take(0)
    for _ in range(20):
        site.pass_by(LEASE.total_seconds() / 3)
        living.tick()
        assert place.is_ours()
    site.pass_by(LEASE.total_seconds())
    assert not place.is_ours()
    successor = site.process(1).take(0)
    living.tick()
    assert not place.is_ours()
    assert successor.is_ours()


def test_the_place_of_a_dead_process_of_this_machine_is_free_at_once(site: Site) -> None:
    """A process killed on this machine leaves a lease that nobody waits for; one of another machine does."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for number, host in ((1, socket.gethostname()[:40]), (2, "elsewhere")):
        with site.database.write() as connection:
            leases.acquire(connection, PLACE, f"{KEY} {number}", f"{host}:{gone.pid}:x", now=site.now(), ttl=LEASE)
    quota = site.process(2)
    assert quota.take(0).is_ours()
    with pytest.raises(NoPlace):
        quota.take(0)
    assert os.getpid() != gone.pid


def test_sessions_take_a_place_and_give_it_back(site: Site) -> None:
    """A connector opens no session without a place; one it does not use is closed for whoever waits."""
    quota, other = site.process(1), site.process(1)
    host = FakeHost()
    with host.shell(endpoint=ENDPOINT, quota=quota) as shell:
        shell.cmdlet("Get-CsTenant", {}, deadline_s=10)
        with pytest.raises(NoPlace):
            other.take(0)
        quota.tick()
        assert host.sessions[0].closed
        theirs = other.take(0)
        with pytest.raises(Throttled):
            shell.cmdlet("Get-CsTenant", {}, deadline_s=0)
        theirs.give_back()
        shell.cmdlet("Get-CsTenant", {}, deadline_s=10)
    assert other.take(0).is_ours()


def test_a_session_that_cannot_be_opened_gives_its_place_back(site: Site) -> None:
    """A failed sign-in does not use up the quota."""
    quota = site.process(1)
    host = FakeHost(opening=[RuntimeError("no")])
    with host.shell(quota=quota) as shell, pytest.raises(RuntimeError):
        shell.cmdlet("Get-CsTenant", {}, deadline_s=10)
    assert quota.take(0).is_ours()


def test_two_connectors_of_a_process_make_room_for_each_other(site: Site) -> None:
    """An unused session of the directory is closed when Teams needs the place."""
    quota, first, second = site.process(1), FakeHost(), FakeHost()
    with first.shell(quota=quota) as directory, second.shell(quota=quota) as teams:
        directory.cmdlet("Get-ADUser", {}, deadline_s=10)
        teams.cmdlet("Get-CsTenant", {}, deadline_s=10)
        assert first.sessions[0].closed


def test_the_thread_renews_and_ends(database: Database) -> None:
    """The thread of a quota starts with its first place and ends when it is closed."""
    with SessionQuota(database, KEY, 1) as quota:
        assert quota._thread is None
        quota.take(0)
        thread = quota._thread
        assert thread is not None
        assert thread.is_alive()
    assert not thread.is_alive()
    with SessionQuota(database, KEY, 1) as successor:
        assert successor.take(0).is_ours()


def test_a_pause_told_to_one_process_is_kept_by_all(site: Site) -> None:
    """What one process was told, another keeps to; a shorter pause later does not shorten it."""
    one, other = (SharedPauses(site.database, clock=site.clock, now=site.now) for _ in range(2))
    other("tenant", "teams").wait(0)
    one("tenant", "teams").hold(20)
    one("tenant", "teams").hold(5)
    with pytest.raises(Throttled):
        other("tenant", "teams").wait(10)
    assert site.seconds == 0
    other("tenant", "directory").wait(0)
    other("tenant", "teams").wait(60)
    assert site.seconds == pytest.approx(20, abs=1)
    other("tenant", "teams").wait(5)


def test_a_pause_told_while_another_process_waits_is_kept_too(site: Site) -> None:
    """Who waits looks again before sending: the pause may have become longer."""
    one, other = (SharedPauses(site.database, clock=site.clock, now=site.now) for _ in range(2))
    one("tenant", "teams").hold(10)
    longer = iter([True])

    def sleep(seconds: float) -> None:
        site.pass_by(seconds)
        if site.seconds >= 5 and next(longer, False):
            one("tenant", "teams").hold(30)

    waiting = SharedPauses(site.database, clock=Clock(now=lambda: site.seconds, sleep=sleep), now=site.now)
    waiting("tenant", "teams").wait(120)
    assert site.seconds >= 35
    other("tenant", "teams").wait(0)


class CountingHost:
    """An endpoint that counts how many sessions are open at once."""

    def __init__(self) -> None:
        self.open_now = self.most = self.opened = 0
        self._lock = threading.Lock()

    def open(self, _deadline: float) -> FakeSession:
        """Open a session."""
        with self._lock:
            self.opened += 1
            self.open_now += 1
            self.most = max(self.most, self.open_now)
        return CountedSession(self)

    def closed(self) -> None:
        """Note that a session was closed."""
        with self._lock:
            self.open_now -= 1


class CountedSession(FakeSession):
    """A session of the counting endpoint."""

    def __init__(self, counter: CountingHost) -> None:
        super().__init__(FakeHost(), 0)
        self._counter = counter

    def close(self) -> None:
        """Tell the endpoint."""
        if not self.closed:
            self._counter.closed()
        super().close()


def test_many_processes_never_open_more_sessions_than_the_quota(database: Database) -> None:
    """Five processes with two threads each do all their work through two places; none is left out."""
    endpoint, done = CountingHost(), []

    def work(shell: PowerShell, name: int) -> None:
        for _ in range(5):
            shell.cmdlet("Get-CsTenant", {}, deadline_s=60)
            done.append(name)

    def process(name: int) -> None:
        with (
            SessionQuota(database, KEY, 2) as quota,
            PowerShell(ENDPOINT, sessions=2, hold=Pause(), open_session=endpoint.open, quota=quota) as shell,
            ThreadPoolExecutor(2) as threads,
        ):
            list(threads.map(lambda _: work(shell, name), range(2)))

    with ThreadPoolExecutor(5) as processes:
        list(processes.map(process, range(5)))
    assert Counter(done) == dict.fromkeys(range(5), 10)
    assert endpoint.most <= 2
    assert endpoint.open_now == 0
