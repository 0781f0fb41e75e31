"""Read and remember people's lives: what HR said before, departures, our own traces; and count who begins to leave.

What follows for one person is decided by `engine/departing.py` and `engine/movers.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from pydantic import JsonValue
from sqlalchemy import Connection

from config.site_lifecycle import LifecycleRules
from config.site_policy import SitePolicy
from datasets.numbering import InvalidNumber, PhoneNumber
from datasets.people import Person, Status
from datasets.users import DirectoryUser
from engine import departures, inventory, movers
from engine.announcements import Announcements
from engine.claims import person as person_owner
from engine.departures import OPEN, Departure, Known
from engine.life import Life, Trace, dates, is_ahead, is_gone, last_day, older_than_known
from engine.observe import Row
from engine.onboarding import Situation
from engine.plan import Line, LineState
from engine.runtime import Runtime
from engine.traces import last_changes


class Lives:
    """The lives of the people of one planning; used once. `says_parts`: a sender says of them only what is news."""

    def __init__(self, runtime: Runtime, site: SitePolicy, *, grace_days: int, says_parts: bool = False) -> None:
        self._runtime, self._rules, self._grace_days = runtime, site.lifecycle, grace_days
        self._says_parts = says_parts
        self._today = runtime.now().date()
        self._announcements = Announcements(runtime.systems, site.lifecycle.leaver.announce)

    def look(self, seen: Sequence[Situation]) -> list[Situation]:
        """Give the situations with what is known of each life. Raises what the connectors raise."""
        ids = [each.person.employee_id for each in seen]
        objects = [name for each in seen if each.account for name in _objects(each.account)]
        with self._runtime.database.read() as connection:
            known = departures.known(connection, ids)
            leaving = departures.latest(connection, map(person_owner, ids))
            traces = last_changes(connection, objects)
            pools = {each.number: _pool(connection, each.number) for each in seen if each.number}
        skus = {sku.sku_id: sku for sku in self._runtime.systems.graph.subscribed_skus()}
        has_blocks = self._has_blocks()
        by_object: dict[str, dict[tuple[str, str], Trace]] = {}
        for key, trace in traces.items():
            by_object.setdefault(key[0], {})[key] = trace
        made = []
        for each in seen:
            mine = [by_object.get(name, {}) for name in _objects(each.account)] if each.account else []
            employee = each.person.employee_id
            life = Life(
                rules=self._rules,
                today=self._today,
                grace_days=self._grace_days,
                known=known.get(employee),
                departure=leaving.get(person_owner(employee)),
                traces={key: trace for part in mine for key, trace in part.items()},
                skus=skus,
                has_blocks=has_blocks,
                pool=pools.get(each.number) if each.number else None,
                says_parts=self._says_parts,
            )
            seen_now = replace(each, person=_at_work_until(each.person, life.departure, self._today))
            made.append(replace(seen_now, life=self._observed(seen_now, self._moved(seen_now, life))))
        return made

    def _has_blocks(self) -> bool:
        numbering = self._runtime.systems.numbering
        return numbering is not None and numbering.has_blocks()

    @staticmethod
    def _moved(situation: Situation, life: Life) -> Life:
        """Note a move to another country or site; it stays noted until the number fits the template's pool."""
        known, person = life.known, situation.person
        if known is None:
            return life
        is_settled = situation.template is not None and situation.template.pool == life.pool
        country = known.changed_country or known.person.usage_location != person.usage_location
        place = known.changed_site or known.person.location != person.location
        return replace(life, changed_country=country and not is_settled, changed_site=place and not is_settled)

    def _observed(self, situation: Situation, life: Life) -> Life:
        """Read what only somebody who leaves, moves or comes back needs."""
        account, systems = situation.account, self._runtime.systems
        if account is None or not self._is_special(situation, life):
            return life
        number, obj = situation.number, f"user:{account.id}"
        sam = account.on_premises_sam_account_name
        if sam and systems.directory is not None and (account.is_synced or movers.written(life, sam)):
            life = replace(life, ad=systems.directory.user(sam))
        if number is not None:
            numbering = systems.numbering
            block = numbering.block_of(number) if numbering is not None and life.has_blocks else None
            life = replace(life, number_row=systems.teams.number(number), block=block)
            if is_gone(situation.person, life.departure, self._today):
                life = replace(life, announcement=self._announcements.of(number))
        if systems.calling is not None and not situation.unreadable:
            settings = systems.calling.settings(account.id)
            seen = settings["forwarding"] if settings else None
            life = replace(life, forwarding=situation.recent.get((obj, movers.FORWARDING), seen))
        return self._forwarded(situation, life)

    def _is_special(self, situation: Situation, life: Life) -> bool:
        person, account = situation.person, situation.account
        assert account is not None
        was_forwarded = (f"user:{account.id}", movers.FORWARDING) in life.traces
        is_away = person.status != Status.ACTIVE or is_gone(person, life.departure, self._today)
        was_disabled = any(name == "enabled" and trace.after is False for (_, name), trace in life.traces.items())
        return is_away or was_forwarded or was_disabled or life.changed_country or life.changed_site

    def _forwarded(self, situation: Situation, life: Life) -> Life:
        """Find where the calls of somebody who is away shall go."""
        gone = is_gone(situation.person, life.departure, self._today)
        wanted = self._rules.leaver.forward_to if gone else self._rules.leave.forward_to
        if wanted == "none" or (not gone and situation.person.status != Status.LEAVE):
            return life
        if self._runtime.systems.calling is None:
            remedy = "set powershell.server, or forward_to = none in lifecycle.toml"
            return replace(life, refusal=f"forwarding calls needs Teams PowerShell ; {remedy}")
        if wanted == "voicemail":
            return replace(life, forward_to=_forwarding("Voicemail"))
        target = self._manager(situation) if wanted == "manager" else wanted
        if target is None:
            return replace(life, forward_to=_forwarding("Voicemail"))
        is_address = "@" in target and not target.startswith("sip:")
        address = f"sip:{target}" if is_address else target
        return replace(life, forward_to=_forwarding("SingleTarget") | {"ForwardingTarget": address})

    def _manager(self, situation: Situation) -> str | None:
        """Give the SIP address of the manager; None for somebody without one, whose calls go to voicemail."""
        manager = situation.person.manager_employee_id
        found = self._runtime.systems.graph.users_by_employee_ids([manager]).get(manager, []) if manager else []
        calling = self._runtime.systems.calling
        return calling.sip_address(found[0].id) if calling is not None and len(found) == 1 else None

    def leavers(self, seen: Sequence[Situation]) -> int:
        """Count who begins to leave, or whose last day is brought forward, by what was known before."""
        return sum(map(self._begins_to_leave, seen))

    def _begins_to_leave(self, situation: Situation) -> bool:
        life, person = situation.life, situation.person
        if life is None or not self._is_news(situation):
            return False
        last, left = last_day(person, life.departure, self._today), life.departure
        if last is None or left is None:
            return last is not None
        is_sooner = last < left.last_day  # steps come at once
        return is_sooner if left.state == OPEN else left.state != departures.DONE or left.last_day != last

    def _is_news(self, situation: Situation) -> bool:
        life, now = situation.life, self._runtime.now()
        is_older = life is not None and older_than_known(situation.person, life.known)
        return not (is_older or (life is not None and is_ahead(situation.person, life.known, now)))

    # ---- in the transaction that stores the plan

    def remember(
        self, connection: Connection, seen: Sequence[Situation], rows: Sequence[Row], request_id: str
    ) -> list[Situation]:
        """Keep what HR says now and who leaves; gives the situations with their departures."""
        now = self._runtime.now()
        return [self._kept(connection, *pair, request_id, now) for pair in zip(seen, rows, strict=True)]

    def _kept(
        self, connection: Connection, situation: Situation, row: Row, request_id: str, now: datetime
    ) -> Situation:
        life, person = situation.life, situation.person
        if life is None or not self._is_news(situation):
            return situation
        what = Known(person, row.feed_id, row.line, life.changed_country, life.changed_site)
        departures.remember(connection, what, now)
        last = last_day(person, life.departure, self._today)
        is_open = life.departure is not None and life.departure.state == OPEN
        if last is None:
            if life.departure is not None:
                departures.take_back(connection, life.departure, now)
            return situation
        if life.departure is not None and is_open:
            departures.postpone(connection, life.departure.id, last)
            return situation
        if not self._begins_to_leave(situation):
            return situation  # the feed only says again what is done
        label = person.upn or person.display_name or person.employee_id
        subject = person_owner(person.employee_id)
        departures.begin(connection, (subject, label), last, request_id, now)
        self._release_reservation(connection, situation, last, now)
        return replace(situation, life=replace(life, departure=departures.latest(connection, [subject])[subject]))

    def _release_reservation(self, connection: Connection, situation: Situation, last: date, now: datetime) -> None:
        """Free the number that was kept for somebody who was hired and does not come."""
        owner = person_owner(situation.person.employee_id)
        row = inventory.reservation_of(connection, owner, now)
        if row is not None and last <= self._today:
            inventory.unreserve(connection, row.number, owner=owner, now=now, reason=f"leaves on {last}")

    def finish(self, connection: Connection, seen: Sequence[Situation], lines: Sequence[Line]) -> None:
        """Close the departures of those for whom every step was seen to be done."""
        now = self._runtime.now()
        for situation, line in zip(seen, lines, strict=True):
            life, person = situation.life, situation.person
            if life is None or life.departure is None or line.state != LineState.UNCHANGED or situation.deletion:
                continue
            last = last_day(person, life.departure, self._today)
            if last is None or not is_gone(person, life.departure, self._today):
                continue
            is_due = all(day <= self._today for _, day in dates(self._rules.leaver, last))
            if is_due and not _waits_for_deletion(situation, self._rules):
                departures.close(connection, life.departure.id, departures.DONE, now)


def _at_work_until(person: Person, departure: Departure | None, today: date) -> Person:
    """Take somebody whom HR calls terminated for one who works until the last day, while that is to come."""
    last = last_day(person, departure, today)
    if person.status != Status.TERMINATED or last is None or last <= today:
        return person
    return person.model_copy(update={"status": Status.ACTIVE, "termination_date": last})


def _forwarding(kind: str) -> dict[str, JsonValue]:
    return {"IsForwardingEnabled": True, "ForwardingType": "Immediate", "ForwardingTargetType": kind}


def _waits_for_deletion(situation: Situation, rules: LifecycleRules) -> bool:
    return rules.leaver.delete_after_days is not None and situation.account is not None


def _objects(account: DirectoryUser) -> list[str]:
    sam = account.on_premises_sam_account_name
    return [f"user:{account.id}", *([f"ad:{sam}"] if sam else [])]


def _pool(connection: Connection, number: str) -> str | None:
    try:
        return inventory.pool_of(connection, PhoneNumber.from_e164(number))
    except InvalidNumber:
        return None
