"""Rollback: what a run changed is planned back, change by change, as far as the world still is as the run left it.

A rollback is a plan like any other: stored, shown, approved, applied, recorded, and itself taken back by a rollback.
Where somebody changed a value later, that value is reported and left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from pydantic import JsonValue
from sqlalchemy import Connection

from config.errors import InputRefused
from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from engine import history, inventory, plan_store, requests
from engine.change import Change, Effect
from engine.converge import Key, NumberTerms, Target, converge
from engine.history import Done
from engine.invert import invert
from engine.moving import NOT_RESTORED, journey_of
from engine.overlay import recent_effects
from engine.plan import Line, LineState, Plan
from engine.readers import Observed, Reader
from engine.requests import new_id
from engine.runtime import Runtime

LICENCE, CARRIES = "licence:", "carries Teams Phone"
# Effects of these kinds may be taken back one by one; those of the others belong together.
_SEPARATE = ("policy:", "telephoneNumber", "ipPhone")
SEPARABLE = ("set_policies", "write_directory")


@dataclass(frozen=True)
class Choice:
    """What of a run to take back: all of it, or only these lines, changes and attributes.

    Changes are named `line.change`, or `plan:line.change` where a run has several plans.
    """

    run: str
    lines: tuple[int, ...] = ()
    changes: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()

    def picks(self, done: Done) -> bool:
        """Tell whether a change is chosen."""
        return (not self.lines or done.line in self.lines) and (
            not self.changes or done.name in self.changes or done.full_name in self.changes
        )

    def narrowed(self, done: Done) -> Done | None:
        """Leave of a change what is chosen; None when nothing is."""
        if not self.picks(done):
            return None
        wanted = tuple(e for e in done.effects if not self.attributes or _short(e.attribute) in self.attributes)
        if not wanted:
            return None
        return replace(done, effects=wanted) if done.kind in SEPARABLE else done


def _short(attribute: str) -> str:
    return attribute.removeprefix("policy:")


@dataclass(frozen=True)
class Terms:
    """How long claims of the plan last, and how long a number rests that is taken back."""

    claim: timedelta = timedelta(hours=48)
    grace: timedelta = timedelta(days=30)


@dataclass
class _Sum:
    """What taking back comes to for one object: the values it would have, and what stands in the way."""

    label: str
    state: Observed
    back: Collection[Key]  # values that are what they were before: taken back by an earlier plan
    problems: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def plan_rollback(runtime: Runtime, request_id: str, choice: Choice, terms: Terms) -> str:
    """Plan to take back what is chosen and store the plan; gives its id. Raises InputRefused."""
    with runtime.database.read() as connection:
        chosen = _chosen(connection, choice)
    live = observe_done(runtime, chosen)
    with runtime.database.write() as connection:
        builder = PlanBuilder(connection, runtime, request_id, terms)
        take_back(builder, chosen, live)
        return builder.save()


def take_back(builder: PlanBuilder, chosen: Iterable[Done], live: Observed) -> None:
    """Add the lines that take these changes back, object by object; they are given in the order of their making."""
    by_object: dict[str, list[Done]] = {}
    for done in chosen:
        by_object.setdefault(done.object, []).append(done)
    for obj, mine in by_object.items():
        found = _taken_back(builder.connection, mine, live)
        source: dict[str, JsonValue] = {"undoes": list[JsonValue](found.names), "named": True}
        goal = Goal(obj, found.label, found.state, live, "undone", source)
        builder.add(goal, history.terms_of(mine, live), found.problems)


def observe_done(runtime: Runtime, chosen: Iterable[Done]) -> Observed:
    """Read the present values of what these changes touched."""
    users = {done.object for done in chosen if done.object.startswith("user:")}
    of_users = [Effect(object=user, attribute="number") for user in sorted(users)]
    return observe(runtime, [*(effect for done in chosen for effect in done.effects), *of_users])


def _chosen(connection: Connection, choice: Choice) -> list[Done]:
    done = history.done_in(connection, history.plans_of(connection, choice.run))
    chosen = [each for one in done if (each := choice.narrowed(one)) is not None]
    if not chosen:
        what = "changed nothing that is chosen here, or its record was erased"
        raise InputRefused(f"run {choice.run} {what}", remedy=f"see ./callwright audit run {choice.run}")
    return chosen


def observe(runtime: Runtime, effects: Iterable[Effect]) -> Observed:
    """Read the present values of these effects and every user's number; our own recent writes outweigh a read.

    Where licences are concerned, also which products a number hangs on, and who has them.
    """
    wanted = [each for each in effects if each.attribute != "reserved_for"]
    licensed = dict.fromkeys(each.object for each in wanted if each.attribute.startswith(LICENCE))
    skus = runtime.systems.graph.subscribed_skus() if licensed else []
    phone = [f"{LICENCE}{sku.sku_id}" for sku in skus if sku.has_phone_system]
    wanted += [Effect(object=user, attribute=name) for user in licensed for name in phone]
    users = dict.fromkeys(each.object for each in wanted if each.object.startswith("user:"))
    wanted += [Effect(object=user, attribute=name) for user in users for name in ("number", "enterprise_voice")]
    seen = Reader(runtime.systems).observe(wanted)
    with runtime.database.read() as connection:
        objects = {obj for obj, _ in seen}
        ours = recent_effects(connection, objects, now=runtime.now(), limits=runtime.limits)
    products: Observed = {(name, CARRIES): True for name in phone}
    return seen | {key: value for key, value in ours.items() if key in seen} | products


def _taken_back(connection: Connection, chosen: Sequence[Done], live: Observed) -> _Sum:
    """Take the changes of one object back in thought, the last one first."""
    first = {effect.key_pair: effect.before for done in reversed(chosen) for effect in done.effects}
    found = _Sum(chosen[-1].label, {}, {key for key, value in first.items() if key in live and live[key] == value})
    for done in reversed(chosen):
        try:
            inverse = invert(_change(done))
        except InputRefused as error:
            found.problems.append(f"{done.kind} ({done.name}): {error.remedy or error}")
            continue
        found.names.append(done.full_name)
        _step(connection, found, done, inverse.effects, live)
    return found


def _change(done: Done) -> Change:
    target = done.object
    return Change(kind=done.kind, target=target, parameters=done.parameters, effects=done.effects)


def _step(connection: Connection, found: _Sum, done: Done, effects: Sequence[Effect], live: Observed) -> None:
    state = live | found.state
    # Whose a number is now is asked when it is claimed, where others can be offered in its place.
    own = [each for each in effects if each.attribute == "location" or not each.object.startswith("number:")]
    moved = [
        effect
        for effect in own
        if state.get(effect.key_pair) not in (effect.before, effect.after) and effect.key_pair not in found.back
    ]
    for effect in moved:
        whose = history.last_change(connection, effect.key_pair, done.at)
        value = state.get(effect.key_pair)
        found.problems.append(f"{effect.attribute} is {value!r} now, changed {whose} ; it stays ({done.name})")
    if moved and done.kind not in SEPARABLE:
        return
    found.state |= {effect.key_pair: effect.after for effect in own if effect not in moved}


@dataclass(frozen=True)
class Goal:
    """Where one object shall be, and what the line that leads there is called."""

    object: str
    label: str
    wanted: Observed
    live: Observed
    success: str
    source: dict[str, JsonValue]


class PlanBuilder:
    """Collects lines for goals, claims the numbers they need, and stores the plan; all in one transaction."""

    def __init__(self, connection: Connection, runtime: Runtime, request_id: str, terms: Terms) -> None:
        self.connection, self._now = connection, runtime.now()
        self._terms, self._request_id = terms, request_id
        self.plan_id, self.lines = new_id("p"), list[Line]()
        self._phone: frozenset[str] | None = None

    def add(self, goal: Goal, numbers: dict[str, NumberTerms], problems: Iterable[str]) -> None:
        """Add the line that leads to a goal, and one that names what cannot be done."""
        told = [*problems]
        wanted = dict(goal.wanted)
        if busy := self._busy(goal.object):
            self._refuse(goal, [f"plan {busy} is still working on this user ; wait for it"])
            return
        told += self._claim(goal.object, wanted, goal.live)
        if (why_not := _immovable(goal, told)) is not None:
            self._refuse(goal, [why_not])
            return
        until = self._now + self._terms.grace
        reason = f"{goal.success} by plan {self.plan_id}"
        user_id = goal.object.removeprefix("user:")
        if self._phone is None:  # all goals of a plan share what was observed
            self._phone = frozenset(name.removeprefix(LICENCE) for name, fact in goal.live if fact == CARRIES)
        way = converge(Target(user_id, wanted, goal.live, reason, until, numbers, self._phone or None))
        if way.changes:
            warned = {"warnings": NOT_RESTORED} if any(each.kind == "move_to_pool" for each in way.changes) else {}
            source = goal.source | warned
            values = {"object": goal.object, "label": goal.label, "success": goal.success, "source": source}
            self.lines.append(Line.model_validate(values | {"changes": way.changes}))
        if told or way.problems:
            self._refuse(goal, [*told, *way.problems])

    def save(self) -> str:
        """Store the plan and give its id."""
        plan = Plan(id=self.plan_id, request_id=self._request_id, lines=tuple(self.lines))
        plan_store.save(self.connection, plan, self._now)
        requests.warn(self.connection, self._request_id, warnings_of(self.lines))
        return self.plan_id

    def _refuse(self, goal: Goal, problems: Sequence[str]) -> None:
        reason = "; ".join(dict.fromkeys(problems))
        values = {"object": goal.object, "label": goal.label, "success": goal.success, "source": goal.source}
        self.lines.append(Line.model_validate(values | {"state": LineState.REFUSED, "reason": reason}))

    def _busy(self, obj: str) -> str | None:
        """Give a plan that sent something for this object and has not come to its end."""
        lines = plan_store.open_lines(self.connection, [obj])
        return next((line.plan_id for line in lines if plan_store.has_sent(line)), None)

    def _claim(self, obj: str, wanted: Observed, live: Observed) -> list[str]:
        """Claim the number that is to be given back; when somebody has it, name them and leave the number alone."""
        number = wanted.get((obj, "number"))
        if number is None or live.get((obj, "number")) == number:
            return []
        phone = PhoneNumber.from_e164(str(number))
        refusal = self._refusal(obj, phone, live.get((f"number:{number}", "owner")))
        if refusal:
            for key in _of_number(obj, str(number), wanted):
                del wanted[key]
            return [f"{refusal}{self._alternatives(phone)}"]
        return []

    def _refusal(self, obj: str, number: PhoneNumber, holder: JsonValue) -> str:
        """Claim a number, or say why it cannot be had."""
        known = inventory.find(self.connection, number)
        is_claimed = known is not None and known.state == NumberState.CLAIMED
        if holder is not None and f"user:{holder}" != obj and not is_claimed:
            inventory.record_assigned(self.connection, number, owner=f"user:{holder}", now=self._now)
        until = self._now + self._terms.claim
        try:
            inventory.claim_held(self.connection, number, plan_id=self.plan_id, owner=obj, until=until, now=self._now)
        except InputRefused as error:
            return str(error)
        return ""

    def _alternatives(self, number: PhoneNumber) -> str:
        pool = inventory.pool_of(self.connection, number)
        free = inventory.free_page(self.connection, pool, None, 3) if pool else []
        return f" ; free in pool {pool}: {', '.join(each.e164 for each in free)}" if free else ""


def warnings_of(lines: Iterable[Line]) -> list[str]:
    """Give what lines have to say beside what they do, each sentence once."""
    return list(dict.fromkeys(str(line.source["warnings"]) for line in lines if line.source.get("warnings")))


def _immovable(goal: Goal, told: Sequence[str]) -> str | None:
    """Say why a move cannot be taken back: half of it would leave the user without a number, or with two."""
    if journey_of(goal.object.removeprefix("user:"), goal.wanted, goal.live, "") is None:
        return None
    serious = [each for each in told if not each.startswith(_SEPARATE)]
    return f"the user stays where they are: {'; '.join(serious)}" if serious else None


def _of_number(obj: str, number: str, wanted: Observed) -> list[Key]:
    """List the wanted values that make no sense without the number."""
    with_it = [(obj, "number"), (obj, "enterprise_voice"), (f"number:{number}", "owner")]
    return [key for key, value in wanted.items() if key in with_it or value == number]
