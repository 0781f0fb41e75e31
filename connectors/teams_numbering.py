"""Teams' number inventory through PowerShell: blocks, announcements, and orders that upload or release many numbers.

Who holds a number, its type and location are in `connectors/teams.py`: Graph has those, and not these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from pydantic import JsonValue

from connectors.bags import text_or_none, value_of
from connectors.clixml import Bag
from connectors.errors import Ambiguous, ConnectorError, Invalid, NotFound, Unsupported
from connectors.powershell import PowerShell
from connectors.shell_errors import SYSTEM
from connectors.throttle import Clock
from connectors.writes import writes
from datasets.number_orders import NumberOrder, OrderKind
from datasets.treatments import TargetType, Treatment, name_of, number_of

_PAGE = 1000
_FIRST_POLL_S, _LONGEST_POLL_S = 2.0, 30.0
NOT_BLOCKED = "NotBlocked"
_TREATMENT = "{}-CsTeamsUnassignedNumberTreatment"
_ORDER_TYPES: dict[OrderKind, str] = {"upload": "DirectRoutingNumberCreation", "release": "Release"}
_CMDLETS: dict[OrderKind, str] = {
    "upload": "New-CsOnlineDirectRoutingTelephoneNumberUploadOrder",
    "release": "New-CsOnlineTelephoneNumberReleaseOrder",
}


class TeamsNumbering:
    """The number inventory of one tenant, over sessions that are signed in to Teams; safe to share between threads."""

    def __init__(self, shell: PowerShell, *, clock: Clock | None = None, deadline_s: float = 120.0) -> None:
        self._shell, self._clock, self._deadline_s = shell, clock or Clock(), deadline_s

    def has_blocks(self) -> bool:
        """Tell whether the module knows assignment blocks (7.5.0 and later)."""
        try:
            self._read("Get-CsPhoneNumberTenantConfiguration", {})
        except Unsupported:
            return False
        return True

    def block_of(self, number: str) -> str | None:
        """Read a number's assignment block: NotBlocked, BlockedUntil or BlockedForever; None when it is not listed."""
        try:
            rows = self._read("Get-CsPhoneNumberAssignment", {"TelephoneNumber": number})
        except NotFound:
            return None
        return next((_block(row) for row in rows if text_or_none(row, "TelephoneNumber") == number), None)

    def blocks(self) -> Iterator[tuple[str, str]]:
        """Read every listed number with its assignment block, page by page; a page that is not full is the last."""
        skip = 0
        while True:
            asked: dict[str, JsonValue] = {"Top": _PAGE, "Skip": skip}
            page = self._read("Get-CsPhoneNumberAssignment", asked)
            yield from ((text_or_none(row, "TelephoneNumber") or "", _block(row)) for row in page)
            if len(page) < _PAGE:
                return
            skip += len(page)

    @writes
    def block_number(self, number: str, days: int) -> None:
        """Have Teams refuse to assign a number for some days (1 to 365)."""
        asked: dict[str, JsonValue] = {"TelephoneNumber": number, "AssignmentBlockedDays": days}
        self._write("Set-CsPhoneNumberAssignmentBlock", asked)

    @writes
    def lift_block(self, number: str) -> None:
        """Have Teams assign a number again."""
        self._write("Remove-CsPhoneNumberAssignmentBlock", {"TelephoneNumber": number})

    def treatments(self) -> Iterator[tuple[str, Treatment]]:
        """Read by name the treatments of unassigned numbers; a pattern of many numbers has an empty number."""
        for row in self._read(_TREATMENT.format("Get"), {}):
            name = text_or_none(row, "Identity") or ""
            yield (
                name,
                Treatment(
                    number=number_of(name) or "",
                    target_type=_target_type(row),
                    target=text_or_none(row, "Target") or "",
                    priority=int(text_or_none(row, "TreatmentPriority") or 0),
                ),
            )

    def treatment_of(self, number: str) -> str | None:
        """Say where our treatment sends callers of a number; None when there is none."""
        wanted = name_of(number)  # read with all: how Teams says that one name is not there is not documented
        return next((each.said for name, each in self.treatments() if name == wanted), None)

    @writes
    def make_announcement(self, treatment: Treatment) -> None:
        """Have callers of a number that nobody has hear an announcement, or go to somebody."""
        asked: dict[str, JsonValue] = {
            "Identity": treatment.name,
            "Pattern": treatment.pattern,
            "TargetType": treatment.target_type,
            "Target": treatment.target,
            "TreatmentPriority": treatment.priority,
            "Description": "callwright: the number rests",
        }
        self._write(_TREATMENT.format("New"), asked)

    @writes
    def end_announcement(self, number: str) -> None:
        """Remove our treatment of a number."""
        self._write(_TREATMENT.format("Remove"), {"Identity": name_of(number)})

    @writes
    def place_order(self, kind: OrderKind, numbers: Sequence[str]) -> str:
        """Order that numbers be uploaded (10,000 at most) or released (1,000); gives the order's id."""
        answer = self._write(_CMDLETS[kind], {"TelephoneNumber": ",".join(numbers)})
        order_id = next((text for bag in answer if (text := _order_id(bag))), None)
        if order_id is None:
            message = f"the {kind} order was sent, but no order id came back ; read the numbers to see what happened"
            raise Ambiguous(message, system=SYSTEM, what=kind)
        return order_id

    def order(self, kind: OrderKind, order_id: str) -> NumberOrder:
        """Read how far an order is."""
        asked: dict[str, JsonValue] = {"OrderId": order_id, "OrderType": _ORDER_TYPES[kind]}
        rows = self._read("Get-CsOnlineTelephoneNumberOrder", asked)
        return _order(kind, order_id, rows)

    def wait_for_order(self, kind: OrderKind, order_id: str, deadline_s: float) -> None:
        """Wait until an order has ended; asks after 2 s, then ever less often.

        Raises Invalid naming the numbers that failed, or Ambiguous when the end is not seen within `deadline_s`.
        """
        give_up_at, pause_s = self._clock.now() + deadline_s, _FIRST_POLL_S
        while True:
            trouble: ConnectorError | None = None
            try:
                order = self.order(kind, order_id)
            except ConnectorError as error:
                trouble = error  # whatever it is, the order itself goes on
            else:
                if order.is_over:
                    return _judge(order)
            if self._clock.now() + pause_s > give_up_at:
                message = f"{kind} order {order_id} had not ended after {deadline_s:.0f} s ; it is settled by reading"
                raise Ambiguous(message, system=SYSTEM, what=order_id) from trouble
            self._clock.sleep(pause_s)
            pause_s = min(_LONGEST_POLL_S, pause_s * 2)

    def _read(self, cmdlet: str, parameters: dict[str, JsonValue]) -> list[Bag]:
        return self._shell.cmdlet(cmdlet, parameters, deadline_s=self._deadline_s)

    def _write(self, cmdlet: str, parameters: dict[str, JsonValue]) -> list[Bag]:
        return self._shell.cmdlet(cmdlet, parameters, deadline_s=self._deadline_s, writes=True)


def _block(row: Bag) -> str:
    """Give the state; modules before 7.5.0 have no such column, and the column may be empty."""
    return text_or_none(row, "AssignmentBlockedState") or NOT_BLOCKED


def _target_type(row: Bag) -> TargetType:
    return cast(TargetType, text_or_none(row, "TargetType") or "Announcement")


def _order_id(bag: Bag) -> str | None:
    return text_or_none(bag, "Value") or text_or_none(bag, "OrderId") or text_or_none(bag, "Id")


def _order(kind: OrderKind, order_id: str, rows: Sequence[Bag]) -> NumberOrder:
    """Read the report, which is a list of keys and values and arrives as one object or as one for each key."""
    facts: Bag = {}
    for row in rows:
        key = text_or_none(row, "Key")
        facts |= {key: value_of(row, "Value")} if key else row
    return NumberOrder(
        id=order_id,
        kind=kind,
        status=text_or_none(facts, "Status") or "",
        total=int(text_or_none(facts, "TotalCount") or 0),
        succeeded=int(text_or_none(facts, "SuccessCount") or 0),
        failed=tuple(_numbers(value_of(facts, "FailedPhoneNumbers"))),
    )


def _numbers(value: JsonValue) -> list[str]:
    listed = value if isinstance(value, list) else [] if value in (None, "") else str(value).split(",")
    return [str(item).strip() for item in listed if item]


def _judge(order: NumberOrder) -> None:
    if order.failed or order.status == "Failed":
        shown = ", ".join(order.failed[:5]) + (f" and {len(order.failed) - 5} more" if len(order.failed) > 5 else "")
        message = f"{order.kind} order {order.id}: {len(order.failed)} of {order.total} numbers failed: {shown}"
        raise Invalid(f"{message} ; see their state in Teams, then plan it again", system=SYSTEM, what=order.id)
