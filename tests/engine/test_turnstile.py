"""The turnstile: how many lines of a wave are on their way at once, and what happens to those that wait before it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from connectors.database import Database
from datasets.batches import BatchOptions
from engine import batches
from engine.apply import Chunk, apply_chunk, start
from engine.batches import Member
from engine.change import Effect
from engine.plan import LineState
from engine.readers import Reader
from engine.turnstile import Turnstile
from tests.fakes.migration_site import LINE, Deployment, deployment


class Queue:
    """So many calls wait for a session; each look at them has one served."""

    def __init__(self, waiting: int) -> None:
        self.waiting, self.looks = waiting, 0

    def length(self) -> int:
        """Give how many wait."""
        return self.waiting

    def sleep(self, _seconds: float) -> None:
        """Let one be served."""
        self.waiting, self.looks = self.waiting - 1, self.looks + 1


def test_a_line_begins_when_fewer_wait_than_there_are_sessions() -> None:
    """Five wait for three sessions: three are served before the next line may begin."""
    queue = Queue(5)
    Turnstile(3, queue.length, sleep=queue.sleep).turn()
    assert (queue.waiting, queue.looks) == (2, 3)


def test_as_many_lines_look_around_at_once_as_there_are_sessions() -> None:
    """The third line begins when one of the first two has looked around, whether or not that one is done."""
    stile = Turnstile(2, lambda: 0)
    first, second = stile.turn(), stile.turn()
    with ThreadPoolExecutor(1) as pool:
        third = pool.submit(stile.turn)
        assert not third.done()
        first.end()
        third.result(timeout=60)
        first.end()  # twice is once: the fourth still waits
        fourth = pool.submit(stile.turn)
        assert not fourth.done()
        with second:
            pass
        fourth.result(timeout=60)


def moved(site: Deployment, stile: Turnstile) -> list[LineState]:
    """Move two users through a turnstile and give how their lines stand."""
    for number in (1, 2):
        site.skype.home(f"id-{number}", f"{LINE[:-1]}{number}")
    plan_id = site.plan(BatchOptions(), "id-1", "id-2")
    with site.runtime.database.write() as connection:
        members = [Member(row, f"id-{row}", f"id-{row}", f"id-{row}") for row in (1, 2)]
        now = site.runtime.now()
        batch = batches.create(connection, "b", {}, BatchOptions(canary_size=0), members, by="t", now=now)
        batches.note_plan(connection, batch, 1, plan_id)
    runtime = replace(site.runtime, systems=replace(site.runtime.systems, turnstile=stile))
    start(runtime, plan_id)
    apply_chunk(runtime, Chunk(plan_id, 1, 2))
    return [line.state for line in site.lines(plan_id)]


def test_every_line_comes_through_whatever_becomes_of_the_one_before(sqlite: Database) -> None:
    """One place in the turnstile and a user who cannot be moved: the next one is moved all the same."""
    site = deployment(sqlite)

    def refuse(name: str, target: str) -> None:
        if name == "move_user" and target == "id-1":
            raise OSError("the line is down")

    site.tenant.before = refuse
    states = moved(site, Turnstile(1, lambda: 0))
    assert states[1] is LineState.VERIFIED
    assert states[0] is not LineState.VERIFIED


def test_a_batch_paused_while_a_line_waits_for_its_turn_does_not_begin_it(sqlite: Database) -> None:
    """The pause comes while both lines stand before the turnstile: nobody is moved."""
    site = deployment(sqlite)
    queue = Queue(1)

    def pause(seconds: float) -> None:
        queue.sleep(seconds)
        with site.runtime.database.write() as connection:
            found = batches.find(connection, "b")
            batches.set_control(connection, found.id, batches.PAUSED, "by hand", site.runtime.now())

    assert moved(site, Turnstile(1, queue.length, sleep=pause)) == [LineState.PLANNED, LineState.PLANNED]
    assert site.tenant.writes() == []


def test_a_line_that_has_begun_and_one_that_needs_no_session_go_on_at_once(sqlite: Database) -> None:
    """Nobody who was moved already waits for others who were not; users of the cloud do not wait at all."""
    site = deployment(sqlite, move_delay_s=20)
    moved(site, Turnstile(1, lambda: 0))
    site.tenant.clock.sleep(60)

    def never() -> int:
        raise AssertionError("the turnstile was asked")

    runtime = replace(site.runtime, systems=replace(site.runtime.systems, turnstile=Turnstile(1, never)))
    with runtime.database.read() as connection:
        batch = batches.find(connection, "b")
        plan_id = str(batches.standings(connection, batch.id, limit=1)[0].plan_id)
    apply_chunk(runtime, Chunk(plan_id, 1, 2))
    assert {line.state for line in site.lines(plan_id)} == {LineState.VERIFIED}


def test_different_objects_are_read_at_the_same_time_and_each_once(sqlite: Database) -> None:
    """The user of the cloud, the number and the user of the server meet at a barrier that needs all three."""
    site = deployment(sqlite)
    site.skype.home("id-1", LINE)
    effects = [
        Effect(object="user:id-1", attribute="number"),
        Effect(object="user:id-1", attribute="enterprise_voice"),
        Effect(object="number:+431234501", attribute="owner"),
        Effect(object="skype:user1@lab.test", attribute="home"),
        Effect(object="skype:user1@lab.test", attribute="line"),
    ]
    one_by_one = Reader(site.runtime.systems).observe(effects)
    alone = list(site.tenant.calls)
    site.tenant.calls.clear()
    together = threading.Barrier(3, timeout=60)

    def meet(_name: str, _target: str) -> None:
        together.wait()

    site.tenant.before = meet
    assert Reader(replace(site.runtime.systems, reads_at_once=4)).observe(effects) == one_by_one
    assert sorted(site.tenant.calls) == sorted(alone)
