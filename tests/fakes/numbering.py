"""The part of a fake tenant's number inventory that only PowerShell reaches: assignment blocks and orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from connectors.errors import Invalid, Unsupported
from datasets.number_orders import LARGEST, OrderKind
from datasets.treatments import Treatment
from datasets.users import NumberAssignment
from tests.fakes.tenant import FakeTenant


class FakeNumbering:
    """Blocks that end by the tenant's clock, and orders that are carried out when somebody waits for them."""

    def __init__(self, tenant: FakeTenant, *, has_blocks: bool = True) -> None:
        self._tenant, self._knows_blocks = tenant, has_blocks
        self.until: dict[str, datetime] = {}
        self.announced: dict[str, Treatment] = {}
        self.offers_treatments = True
        self.refused: set[str] = set()
        self.before_wait: list[Exception] = []
        self._orders: dict[str, tuple[OrderKind, list[str]]] = {}
        tenant.numbering = self

    def has_blocks(self) -> bool:
        """Tell whether the module is new enough."""
        return self._knows_blocks

    def block_of(self, number: str) -> str | None:
        """Read the block of a number that is listed, held or blocked."""
        if number in self.until:
            return "BlockedUntil" if self.until[number] > self._tenant.clock.now() else "NotBlocked"
        return "NotBlocked" if number in self._tenant.listed or number in self._tenant.owners() else None

    def blocks(self) -> Iterator[tuple[str, str]]:
        """Read every block."""
        for number in sorted({*self._tenant.listed, *self._tenant.owners(), *self.until}):
            yield number, self.block_of(number) or "NotBlocked"

    def block_number(self, number: str, days: int) -> None:
        """Block a number."""
        until = self._tenant.clock.now() + timedelta(days=days)
        self._tenant.call("block_number", number, lambda: self.until.update({number: until}))

    def lift_block(self, number: str) -> None:
        """Lift a block."""
        self._tenant.call("lift_block", number, lambda: self.until.update({number: self._tenant.clock.now()}))

    def treatments(self) -> Iterator[tuple[str, Treatment]]:
        """Read every treatment."""
        if not self.offers_treatments:
            raise Unsupported("Get-CsTeamsUnassignedNumberTreatment is not offered")
        yield from ((each.name, each) for each in self.announced.values())

    def treatment_of(self, number: str) -> str | None:
        """Say where callers of a number go."""
        return self.announced[number].said if number in self.announced else None

    def make_announcement(self, treatment: Treatment) -> None:
        """Make a treatment."""
        if treatment.priority in {each.priority for each in self.announced.values()}:
            raise Invalid(f"TreatmentPriority {treatment.priority} is already used")
        self._tenant.call(
            "announce_number", treatment.number, lambda: self.announced.update({treatment.number: treatment})
        )

    def end_announcement(self, number: str) -> None:
        """Remove a treatment."""
        self._tenant.call("end_announcement", number, lambda: self.announced.pop(number))

    def place_order(self, kind: OrderKind, numbers: Sequence[str]) -> str:
        """Accept an order."""
        if len(numbers) > LARGEST[kind]:
            raise Invalid(f"The number of telephone numbers {len(numbers)} exceeds the maximum of {LARGEST[kind]}")
        order_id = f"order-{len(self._orders) + 1}"
        self._tenant.call(f"place_{kind}", order_id, lambda: self._orders.update({order_id: (kind, list(numbers))}))
        return order_id

    def wait_for_order(self, kind: OrderKind, order_id: str, deadline_s: float) -> None:
        """Carry an order out."""
        if self.before_wait:
            raise self.before_wait.pop()
        _, numbers = self._orders[order_id]
        done = [number for number in numbers if number not in self.refused]
        if kind == "upload":
            rows = {n: NumberAssignment(telephone_number=n, number_type="directRouting") for n in done}
            self._tenant.listed.update(rows)
        else:
            for number in done:
                self._tenant.listed.pop(number, None)
        if len(done) < len(numbers):
            raise Invalid(f"{kind} order {order_id}: {len(numbers) - len(done)} of {len(numbers)} numbers failed")
