"""Ready-made plans on the fake tenant: each line makes one user a working phone user with a number of one pool."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from pydantic import JsonValue

from connectors.database import Database
from datasets.inventory import Pool, Span
from datasets.numbering import PhoneNumber
from datasets.tables.requests import requests
from engine import inventory, plan_store
from engine.apply import Chunk, apply_chunk, start
from engine.change import Change, Effect
from engine.conditions import PHONE_SYSTEM
from engine.plan import Line, Plan
from engine.runtime import Limits, Runtime
from tests.fakes.tenant import SKU, START, FakeClock, FakeTenant

POOL = "vienna"
QUICK = Limits(lag_window_s=30, poll_s=10, licence_give_up_s=3600, workers=1, lease_s=120, write_deadline_s=30)


def runtime_on(database: Database, tenant: FakeTenant, limits: Limits = QUICK) -> Runtime:
    """Give a runtime on the fake tenant, its clock and a database."""
    clock = tenant.clock
    return Runtime(database, tenant.systems(), limits, clock.now, clock.sleep)


def onboarding_line(tenant: FakeTenant, user_id: str, number: PhoneNumber, usage_location: str | None = None) -> Line:
    """Give the line that takes an untouched user to a working one."""
    user, obj, owner = tenant.users[user_id], f"user:{user_id}", f"number:{number.e164}"
    located = Effect(object=obj, attribute="usage_location", before=usage_location, after="AT")
    return Line(
        object=obj,
        label=user.upn,
        source={"employee_id": user.employee_id},
        changes=(
            change_of(
                "set_usage_location",
                obj,
                {"country": "AT"},
                located,
            ),
            change_of(
                "assign_licence",
                obj,
                {"sku_id": SKU},
                Effect(object=obj, attribute=f"licence:{SKU}", before=False, after=True),
            ),
            change_of(
                "assign_number",
                obj,
                {"number": number.e164, "number_type": "directRouting", "location_id": None},
                Effect(object=owner, attribute="owner", after=user_id),
                Effect(object=obj, attribute="number", after=number.e164),
                Effect(object=obj, attribute="enterprise_voice", before=False, after=True),
                waits_for=PHONE_SYSTEM,
            ),
            change_of(
                "set_policies",
                obj,
                {"policies": {"OnlineVoiceRoutingPolicy": "Vienna", "TenantDialPlan": "AT"}},
                Effect(object=obj, attribute="policy:OnlineVoiceRoutingPolicy", after="Vienna"),
                Effect(object=obj, attribute="policy:TenantDialPlan", after="AT"),
            ),
            change_of(
                "write_directory",
                obj,
                {"sam_account_name": user.sam, "attributes": {"telephoneNumber": number.e164}},
                Effect(object=f"ad:{user.sam}", attribute="telephoneNumber", after=number.e164),
            ),
        ),
    )


def change_of(
    kind: str, obj: str, parameters: dict[str, JsonValue], *effects: Effect, waits_for: str | None = None
) -> Change:
    """Give a change for one user."""
    user_id = obj.removeprefix("user:")
    return Change(
        kind=kind, target=obj, parameters={"user_id": user_id, **parameters}, effects=effects, waits_for=waits_for
    )


def define_pool(runtime: Runtime, start_at: str = "+431234500", end: str = "+431234599") -> None:
    """Make the pool that the plans draw from."""
    with runtime.database.write() as connection:
        inventory.define_pool(connection, Pool(name=POOL, spans=(Span.read(start_at, end),)))


def open_request(database: Database) -> None:
    """Make the request that plans of a test belong to."""
    row = {"kind": "tests", "actor_kind": "os_user", "actor_name": "tests", "actor_verified": False}
    with database.write() as connection:
        if not connection.execute(requests.select().where(requests.c.id == "r-1")).first():
            connection.execute(requests.insert().values(id="r-1", **row, parameters={}, state="open", created_at=START))


def store_plan(
    runtime: Runtime,
    tenant: FakeTenant,
    user_ids: Iterable[str],
    plan_id: str = "p-1",
    usage_location: str | None = None,
) -> Plan:
    """Claim numbers for these users and store the plan that onboards them."""
    ids, now = list(user_ids), runtime.now()
    open_request(runtime.database)
    with runtime.database.write() as connection:
        claimed = inventory.claim(
            connection, POOL, len(ids), plan_id=plan_id, owner_ids=ids, until=now + timedelta(days=2), now=now
        )
        pairs = zip(ids, claimed, strict=True)
        lines = tuple(onboarding_line(tenant, user, number, usage_location) for user, number in pairs)
        plan = Plan(id=plan_id, request_id="r-1", lines=lines)
        plan_store.save(connection, plan, now)
    return plan


def apply_all(runtime: Runtime, plan_id: str = "p-1") -> None:
    """Apply every due line of a plan in one chunk."""
    start(runtime, plan_id)
    apply_chunk(runtime, Chunk(plan_id, 1, 10_000))


def continue_until_settled(runtime: Runtime, tenant: FakeTenant, plan_id: str = "p-1", visits: int = 60) -> str:
    """Let time pass and apply again until the plan is settled; gives the plan's state."""
    for _ in range(visits):
        with runtime.database.read() as connection:
            state = str(plan_store.header(connection, plan_id).state)
        if state == "settled":
            break
        tenant.clock.sleep(runtime.limits.poll_s)
        apply_all(runtime, plan_id)
    return state


def fresh(users: int = 3, **more: float) -> FakeTenant:
    """Give a new tenant with its own clock."""
    return FakeTenant(FakeClock(), users, **more)
