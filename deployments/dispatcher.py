"""Starts a run for every event that was stored, and tells senders that wait what came of theirs.

The table of events is the memory: what a crash interrupted is found again, and the idempotency key of a run comes from
the event, so that starting it again is safe. Without a Prefect server the run goes on in this process. Events about one
person are carried out one after the other, as they came: each says a part, and the rest is as the one before left it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event
from typing import Any, Protocol

from sqlalchemy.engine import Row

from config.errors import InputRefused
from connectors.errors import ConnectorError
from deployments.watcher import Outage, Outcome, Standing
from engine import events
from engine.requests import Actor
from engine.runtime import utc_now
from tasks.hr_event import naming
from tasks.work import Work

POLL_S = 5.0
log = logging.getLogger("callwright.dispatcher")


class EventRuns(Protocol):
    """Where events are carried out; both raise Outage while that cannot be."""

    def start(self, event: Row[Any]) -> str:
        """Start the run of an event, or find the one started earlier; gives its id."""

    def standing(self, run_id: str) -> Standing:
        """Tell how a run stands."""


class OnServer:
    """Runs of the deployment on a Prefect server."""

    def start(self, event: Row[Any]) -> str:
        """Start the run, or find the one of this attempt. Raises Outage."""
        from deployments.runs import start_run

        request = {"event": event.id, "requested_by": event.sender}
        return start_run("hr-event/hr-event", {"request": request}, key=f"event:{event.id}:{event.attempts}")

    def standing(self, run_id: str) -> Standing:
        """Tell how a run stands. Raises Outage."""
        from deployments.runs import standing_of

        return standing_of(run_id)


class InThisProcess:
    """Runs without a server, one after the other."""

    def start(self, event: Row[Any]) -> str:
        """Carry the event out; the event's row says what came of it."""
        from flows.hr_event import HrEventRequest, story
        from tasks.stage import InProcess

        try:
            actor = Actor(kind="hr_feed", name=event.sender, verified=event.is_verified)
            story(HrEventRequest(event=event.id, requested_by=event.sender), InProcess(), actor)
        except (InputRefused, ConnectorError) as error:
            log.warning("event %s: %s", event.id, error)
        return ""

    def standing(self, run_id: str) -> Standing:  # noqa: ARG002 - there is no run that could be asked
        """Tell that a run that was begun here and has no end died with its process."""
        return Standing(Outcome.CRASHED, "the process ended before the event was carried out")


class Dispatcher:
    """Looks at the table of events, when woken and every few seconds."""

    def __init__(self, work: Work, runs: EventRuns, answer: Callable[[], int], *, poll_s: float = POLL_S) -> None:
        self._work, self._runs, self._answer, self._poll_s = work, runs, answer, poll_s
        self._woken, self._is_away = Event(), False

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    def work_until(self, stop: Event) -> None:
        """Look until told to stop; whatever goes wrong is told once and tried again."""
        while not stop.is_set():
            self._woken.clear()
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - the thread must outlive every error: events wait for it
                log.error("events wait: %s", type(error).__name__)  # noqa: TRY400 - a trace may hold names
            self._woken.wait(self._poll_s)

    def look(self) -> None:
        """Settle what died, start what waits, tell those who wait for word."""
        try:
            self._settle()
            self._start()
            self._is_away = False
        except Outage as error:
            if not self._is_away:
                log.warning("runs cannot be started now (%s); events wait", error)
            self._is_away = True
        self._call_back()

    def _settle(self) -> None:
        with self._work.database.read() as connection:
            running = events.running(connection)
        for event in running:
            standing = self._runs.standing(event.run_id)
            if standing.outcome in (Outcome.OPEN, Outcome.DONE):
                continue  # a run that is done settles its event itself
            with self._work.database.write() as connection:
                if events.load(connection, event.id).state == "started":
                    events.try_again(connection, event.id, standing.message, utc_now(), is_outage=False)

    def _start(self) -> None:
        with self._work.database.read() as connection:
            unfinished = events.unfinished(connection)
        people_of, earlier = naming(self._work), set[str]()
        for event in unfinished:
            people = people_of(event)
            if events.may_start(event, utc_now()) and earlier.isdisjoint(people) and self._is_carried_out(event):
                continue
            earlier |= people

    def _is_carried_out(self, event: Row[Any]) -> bool:
        """Start the run of an event, and tell whether it is over already."""
        if not isinstance(self._runs, InThisProcess):
            self._note(event.id, self._runs.start(event))
            return False
        self._note(event.id, "")
        self._runs.start(event)
        with self._work.database.read() as connection:
            return events.load(connection, event.id).state not in ("received", "started")

    def _note(self, event_id: str, run_id: str) -> None:
        with self._work.database.write() as connection:
            events.started(connection, event_id, run_id)

    def _call_back(self) -> None:
        try:
            self._answer()
        except (InputRefused, ConnectorError) as error:
            log.warning("senders cannot be told now: %s", error)
