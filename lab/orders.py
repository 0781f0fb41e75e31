"""Bulk orders of numbers: accepted at once, carried out after the order delay, a report per number."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from lab.records import Effect, Order
from lab.rules import Refusal, bad_request, not_found
from lab.tenant import Tenant

SEARCH = "Search"
RELEASE = "Release"
CREATION = "DirectRoutingNumberCreation"
UPDATE = "NumberUpdate"
EXPORT = "Export"
STARTS_AFTER = 0.4  # share of the delay during which an order has not started

Work = Callable[[str], list[Effect]]
Finish = Callable[[list[Effect]], None]


def place(tenant: Tenant, kind: str, numbers: Sequence[str], work: Work, finish: Finish) -> Order:
    """Accept an order; `finish` gets all effects once it was carried out."""
    with tenant.lock:
        now, known = tenant.clock.now(), str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        tenant.orders[known] = Order(known, kind, now, now, len(numbers))
        delay = tenant.settings.order_delay_s
        due = tenant.schedule(delay, lambda: _carry_out(tenant, known, numbers, work, finish))
        tenant.orders[known] = replace(tenant.orders[known], due_at=due)
        return tenant.orders[known]


def find(tenant: Tenant, order_id: str, kind: str) -> Order:
    """Find an order of a kind or refuse; the kind must be the one it was placed as."""
    order = tenant.orders.get(order_id.lower())
    if order is None or order.kind != kind:
        raise not_found(f"The order '{order_id}' of type '{kind}' is not found")
    return order


def status(order: Order, now: datetime) -> str:
    """Tell how far an order is; the words before the end are a guess, those after it are documented."""
    if not order.done:
        total = (order.due_at - order.created_at).total_seconds()
        passed = (now - order.created_at).total_seconds()
        return "NotStarted" if passed < total * STARTS_AFTER else "InProgress"
    if order.kind == RELEASE:
        return "Complete"
    if not order.failed:
        return "Success"
    return "PartialSuccess" if order.succeeded else "Failed"


def spelled_out(first: str, last: str, limit: int) -> list[str]:
    """Give every number of a range; refuses one that runs backwards or is over the limit."""
    start, end = first.lstrip("+"), last.lstrip("+")
    if not (start.isdigit() and end.isdigit() and len(start) == len(end) and int(start) <= int(end)):
        raise bad_request(f"The range from '{first}' to '{last}' is not a valid range of telephone numbers.")
    check_limit(int(end) - int(start) + 1, limit)
    return [f"+{number}" for number in range(int(start), int(end) + 1)]


def check_limit(count: int, limit: int) -> None:
    """Refuse an empty order and one over its limit."""
    if not count:
        raise bad_request("At least one telephone number is required.")
    if count > limit:
        raise bad_request(f"The number of telephone numbers {count} exceeds the maximum of {limit} per order.")


def _carry_out(tenant: Tenant, order_id: str, numbers: Sequence[str], work: Work, finish: Finish) -> None:
    effects: list[Effect] = []
    succeeded: list[str] = []
    failed: list[tuple[str, str]] = []
    for number in numbers:
        try:
            effects += work(number)
            succeeded.append(number)
        except Refusal as refusal:
            failed.append((number, refusal.message))
    done = replace(tenant.orders[order_id], done=True, succeeded=tuple(succeeded), failed=tuple(failed))
    tenant.orders[order_id] = done
    finish(effects)
