"""A stand-in tenant and our inventory with one planted difference of each class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.database import Database
from datasets.inventory import Pool, Span
from datasets.numbering import PhoneNumber
from engine import inventory, pool_changes
from lab import objects
from lab.records import CALLING_PLAN, Number, User
from lab.server import Lab
from tests.fakes.lab_control import LabControl

VIENNA = 431934600000
NEW, STRAY, LOCAL = "+4989555000100", "+43316900100", "+43316800100"


@dataclass(frozen=True)
class Planted:
    """What was planted: the class of each number."""

    causes: dict[str, str]


def put(lab: Lab, number: str, **values: Any) -> None:
    """Change a number of the tenant by its control port."""
    lab.control("PATCH", f"/state/numbers/{number}", values)


def plant(lab: Lab, control: LabControl, database: Database, now: datetime) -> Planted:
    """Plant one case of each class; the inventory is in step with the tenant but for these."""
    people = [user for user in lab.tenant.users.values() if user.account_type == "user"]
    held = [user for user in people if lab.tenant.numbers_held_by(user.id) and user.text("onPremisesSamAccountName")]
    online = [user for user in held if lab.tenant.numbers_held_by(user.id)[0].source == "online"]
    resource = next(user for user in lab.tenant.users.values() if user.account_type == "resourceAccount")
    deleted = next(iter(lab.tenant.deleted))
    number = {name: f"+{VIENNA + 5000 + place}" for place, name in enumerate(_NAMES)}
    put(lab, number["ghost"], assignmentTargetId="00000000-1111-4222-a333-444444444444")
    put(lab, number["soft_deleted_holder"], assignmentTargetId=deleted)
    put(lab, number["resource_account"], assignmentTargetId=resource.id)
    put(lab, number["wrong_type"], numberType="operatorConnect")
    put(lab, number["extension_clash"], assignmentTargetId=online[0].id)
    put(lab, f"{number['extension_clash']};ext=12", assignmentTargetId=online[1].id)
    put(lab, "+4930999000001")
    put(lab, number["ad_owned"], assignmentTargetId=people[0].id, numberSource="onPremises")
    lab.control("PATCH", f"/state/users/{online[2].id}", {"ad": {"msRTCSIP-Line": f"tel:{number['stuck_line_uri']}"}})
    with database.write() as connection:
        e164 = PhoneNumber.from_e164
        inventory.claim_named(
            connection,
            e164(number["dead_claim"]),
            plan_id="p-gone",
            owner="user:x",
            until=now,
            now=now - timedelta(days=9),
        )
        inventory.record_assigned(connection, e164(number["not_held"]), owner="user:left", now=now - timedelta(days=9))
    _in_teams(lab, database, number, online, now)
    causes = {value: name for name, value in number.items()} | {"+4930999000001": "unknown_number"}
    return Planted(causes | _elsewhere(lab, database, online, now))


def _in_teams(lab: Lab, database: Database, number: dict[str, str], online: list[User], now: datetime) -> None:
    """Plant a holder that the inventory does not know, a block that is missing and one too many."""
    e164, long_ago = PhoneNumber.from_e164, now - timedelta(days=9)
    put(lab, number["other_holder"], assignmentTargetId=online[3].id)
    put(lab, number["block_missing"])
    put(lab, number["blocked_in_teams"])
    blocked = lab.tenant.numbers[number["blocked_in_teams"]]
    lab.tenant.put_number(replace(blocked, blocked_forever=True))
    with database.write() as connection:
        inventory.reserve(
            connection, e164(number["other_holder"]), owner="person:7", reason="VIP", until=None, now=long_ago
        )
        inventory.record_assigned(connection, e164(number["block_missing"]), owner="user:left", now=long_ago)
        inventory.release(connection, e164(number["block_missing"]), long_ago, now + timedelta(days=10, hours=1))


def _elsewhere(lab: Lab, database: Database, online: list[User], now: datetime) -> dict[str, str]:
    """Plant what has no number of the Vienna pool: delivered numbers, an attribute, and ranges of the local servers."""
    tenant = lab.tenant
    delivered = next(n for n in tenant.numbers.values() if n.number_type == CALLING_PLAN and not n.target_id)
    tenant.put_number(replace(delivered, target_id=online[4].id, location_id=None))
    tenant.put_number(Number(NEW, CALLING_PLAN, country="DE"))
    shown = f"+{VIENNA + 4999}"
    lab.control("PATCH", f"/state/users/{online[5].id}", {"ad": {"telephoneNumber": shown}})
    unassigned = {"NumberRangeStart": f"tel:{STRAY}", "NumberRangeEnd": f"tel:{STRAY[:-1]}9"}
    objects.store(tenant, "UnassignedNumber", "Graz", {**unassigned, "ExUmAutoAttendantPhoneNumber": "tel:+43316900"})
    with database.write() as connection:
        owner, number = f"user:{online[4].id}", PhoneNumber.from_e164(delivered.telephone_number)
        inventory.record_assigned(connection, number, owner=owner, now=now - timedelta(days=9))
        span = Span.read(LOCAL, f"{LOCAL[:-1]}9")
        pool_changes.create(connection, Pool(name="local", country="AT", kind="onPremises", spans=(span,)))
    return {
        delivered.telephone_number: "location_missing",
        NEW: "new_numbers",
        shown: "directory_differs",
        STRAY: "unassigned_range_unknown",
        LOCAL: "unassigned_range_missing",
    }


_NAMES = (
    "ghost",
    "soft_deleted_holder",
    "resource_account",
    "wrong_type",
    "extension_clash",
    "ad_owned",
    "stuck_line_uri",
    "dead_claim",
    "not_held",
    "other_holder",
    "block_missing",
    "blocked_in_teams",
)
