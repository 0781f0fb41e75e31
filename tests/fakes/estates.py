"""A stand-in tenant and our inventory with one planted difference of each class."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.database import Database
from datasets.numbering import PhoneNumber
from engine import inventory
from lab.server import Lab
from tests.fakes.lab_control import LabControl

VIENNA = 431934600000


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
    return Planted({value: name for name, value in number.items()} | {"+4930999000001": "unknown_number"})


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
)
