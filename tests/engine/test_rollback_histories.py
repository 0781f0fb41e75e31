"""Random histories: undo of any subset gives the values before it, undo of the undo those after it."""

from __future__ import annotations

import copy
import random

import pytest
from pydantic import JsonValue

from connectors.database import Database
from datasets.numbering import PhoneNumber
from engine import inventory, plan_store
from engine.change import Change, Effect
from engine.history import done_in, plans_of
from engine.plan import Line, Plan
from engine.proof import verify
from engine.rollback import Choice, Terms, plan_rollback
from engine.runtime import Runtime
from tests.fakes.databases import in_memory
from tests.fakes.plans import apply_all, change_of, define_pool, fresh, runtime_on, store_plan
from tests.fakes.tenant import SKU, FakeTenant

pytestmark = pytest.mark.slow

SEED = 20260306
USERS = ("id-1", "id-2", "id-3")
GROUPS = ("usage_location", "TenantDialPlan", "OnlineVoiceRoutingPolicy", "ipPhone", "voice")


class History:
    """A tenant with people, a journal, and what every group of attributes was before and after each change."""

    def __init__(self, seed: int, database: Database) -> None:
        self.rng = random.Random(seed)
        self.tenant: FakeTenant = fresh(licence_delay_s=0)
        self.tenant.policy_ids |= {(kind, n): f"{kind}-{n}" for kind in GROUPS[1:3] for n in "ABC"}
        for user in self.tenant.users.values():
            user.usage_location, user.skus, user.licensed_at = "DE", (SKU,), self.tenant.clock.now()
        self.runtime: Runtime = runtime_on(database, self.tenant)
        define_pool(self.runtime)
        store_plan(self.runtime, self.tenant, [], plan_id="p-none")
        self.steps: list[tuple[str, str, str, object]] = []  # user, group, name of the change, values before it

    def value(self, user_id: str, group: str) -> object:
        """Give what a group of attributes is in the tenant."""
        user = self.tenant.users[user_id]
        found: dict[str, object] = {"usage_location": user.usage_location, "ipPhone": user.ip_phone}
        found["voice"] = (user.number, user.enterprise_voice)
        return found.get(group, user.policies.get(group))

    def values(self) -> dict[tuple[str, str], object]:
        """Give everything."""
        return {(user, group): self.value(user, group) for user in USERS for group in GROUPS}

    def step(self, number: int) -> None:
        """Change one thing of one user by a plan of its own."""
        user_id, group = self.rng.choice(USERS), self.rng.choice(GROUPS)
        plan_id = f"p-{number}"
        before = self.value(user_id, group)
        with self.runtime.database.write() as connection:
            change = self._change(connection, user_id, group, plan_id)
            if change is None:
                return
            line = Line(object=f"user:{user_id}", label=user_id, changes=(change,))
            plan_store.save(connection, Plan(id=plan_id, request_id="r-1", lines=(line,)), self.runtime.now())
        apply_all(self.runtime, plan_id)
        self.runtime.sleep(300)
        assert self.value(user_id, group) != before
        self.steps.append((user_id, group, f"{plan_id}:1.1", before))

    def _change(self, connection, user_id: str, group: str, plan_id: str) -> Change | None:  # type: ignore[no-untyped-def] # SQLAlchemy's
        obj, old = f"user:{user_id}", self.value(user_id, group)
        if group == "voice":
            return self._voice(connection, user_id, plan_id)
        choices: list[JsonValue] = ["AT", "CH", "DE"] if group == "usage_location" else ["A", "B", "C", None]
        new = self.rng.choice([value for value in choices if value != old])
        if group == "usage_location":
            return change_of("set_usage_location", obj, {"country": new}, _effect(obj, group, old, new))
        if group == "ipPhone":
            sam = self.tenant.users[user_id].sam
            parameters: dict[str, JsonValue] = {"sam_account_name": sam, "attributes": {group: new}}
            return change_of("write_directory", obj, parameters, _effect(f"ad:{sam}", group, old, new))
        return change_of("set_policies", obj, {"policies": {group: new}}, _effect(obj, f"policy:{group}", old, new))

    def _voice(self, connection, user_id: str, plan_id: str) -> Change | None:  # type: ignore[no-untyped-def] # SQLAlchemy's
        user, obj, now = self.tenant.users[user_id], f"user:{user_id}", self.runtime.now()
        if user.number is None:
            # Numbers of their own: what others may take meanwhile is told in tests/engine/test_rollback.py.
            number = PhoneNumber.from_e164(f"+4312345{10 * USERS.index(user_id) + self.rng.randint(0, 9):02}")
            inventory.claim_named(connection, number, plan_id=plan_id, owner=obj, until=now.replace(year=2030), now=now)
            effects = [_effect(obj, "number", None, number.e164)]
            effects.append(_effect(f"number:{number.e164}", "owner", None, user_id))
            if not user.enterprise_voice:
                effects.append(_effect(obj, "enterprise_voice", False, True))
            return change_of("assign_number", obj, {"number": number.e164, "number_type": "directRouting"}, *effects)
        effects = [_effect(obj, "number", user.number, None)]
        effects.append(_effect(f"number:{user.number}", "owner", user_id, None))
        if user.enterprise_voice:
            effects.append(_effect(obj, "enterprise_voice", True, False))
        return change_of("unassign_number", obj, {"number": user.number, "number_type": "directRouting"}, *effects)

    def undo(self, choice: Choice) -> str:
        """Plan and apply a rollback."""
        plan_id = plan_rollback(self.runtime, "r-1", choice, Terms())
        apply_all(self.runtime, plan_id)
        self.runtime.sleep(300)
        return plan_id


def _effect(obj: str, attribute: str, before: object, after: object) -> Effect:
    return Effect.model_validate({"object": obj, "attribute": attribute, "before": before, "after": after})


def play(seed: int, database: Database | None = None) -> bool:
    """Play one history, undo a random subset, then undo that; tells whether anything was chosen to be undone."""
    history = History(seed, database or in_memory())
    for number in range(history.rng.randint(3, 10)):
        history.step(number)
    before = history.values()
    chosen, expected = _choose(history, before)
    if not chosen:
        return False
    undone = history.undo(Choice("r-1", changes=tuple(chosen)))
    assert history.values() == expected, f"seed {seed}"
    if expected != before:
        history.undo(Choice(undone))
        assert history.values() == before, f"seed {seed}"
    with history.runtime.database.read() as connection:
        assert verify(connection).faults == []
        assert inventory.violations(connection) == []
        assert done_in(connection, plans_of(connection, "r-1"))
    history.runtime.database.close()
    return True


def _choose(history: History, now: dict[tuple[str, str], object]) -> tuple[list[str], dict[tuple[str, str], object]]:
    """Choose changes; per group the latest few are expected back, and older ones under a kept change are not."""
    chosen: list[str] = []
    expected = copy.deepcopy(now)
    for key, value in now.items():
        mine = [step for step in history.steps if step[:2] == key]
        latest = mine[len(mine) - history.rng.randint(0, len(mine)) :]
        chosen += [step[2] for step in latest]
        if latest:
            expected[key] = latest[0][3]
        elif len(mine) > 1 and history.rng.random() < 0.5 and mine[0][3] != value != mine[1][3]:
            chosen.append(mine[0][2])  # a later change is kept: reported, not overwritten
    return chosen, expected


@pytest.mark.parametrize("part", range(4))
def test_undo_of_any_subset_gives_the_values_before(part: int) -> None:
    """Two dozen histories: undo of a subset = values before, undo of the undo = values after, later changes stay."""
    assert sum(play(SEED + 100 * part + number) for number in range(6)) >= 4


def test_histories_on_both_databases(database: Database) -> None:
    """A file and a server tell the same story as memory does."""
    assert play(SEED + 1, database)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(10))
def test_five_hundred_histories(part: int) -> None:
    """Five hundred random histories with something to undo, in ten parts."""
    played, seed = 0, SEED + 10_000 + 1000 * part
    while played < 50:
        played, seed = played + play(seed), seed + 1
