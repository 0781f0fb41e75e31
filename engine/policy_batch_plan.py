"""Plan policies that many users of a wave get alike (pure): one line for all, carried out by operations of Teams.

Each user keeps a change of their own with the values before and after. It is last in the user's line and waits until
the policies show, or until the line for all says that this user gets them by a call of their own. What becomes of the
line for all is left to `engine/policy_batch_work.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from datasets.policy_operations import TYPES
from engine.change import Change
from engine.digests import canonical
from engine.plan import Line, LineState

SMALLEST = 20
"""Users who get the same policies: below it an operation and its polls save too little for the wait."""
KIND, OWN = "assign_policy_batch", "set_policies"
OBJECT = "policy-batch:"
POLICY_BATCH = "policy_batch"
"""The condition of a user who gets policies together with others."""
POLICY_DIRECT = "policy_direct"
"""The condition of a user who was to, and gets them by a call of their own."""
SUCCESS = "policies_given"

Changes = tuple[Change, ...]


def given_together(plan_id: str, lines: Sequence[Line]) -> tuple[Line, ...]:
    """Give the lines of a wave, and after them a line for each group of users who get the same policies."""
    made, extra = list(lines), list[Line]()
    for places in _groups([line.changes if line.state == LineState.PLANNED else () for line in lines]):
        obj = f"{OBJECT}{plan_id}:{len(extra) + 1}"
        for place in places:
            changes = _waiting(made[place].changes, obj)
            made[place] = made[place].model_copy(update={"changes": changes})
        own = _own(lines[places[0]].changes)
        assert own is not None
        extra.append(_line(obj, own, [place + 1 for place in places]))
    return (*made, *extra)


def is_for_many(obj: str) -> bool:
    """Tell whether a line's object says that it gives policies to many users."""
    return obj.startswith(OBJECT)


def is_of_users(obj: str, changes: Sequence[Change], last: Mapping[int, Change]) -> bool:
    """Tell whether a line for many gives its users nothing but what their own last changes in `last` give them."""
    for change in changes:
        numbers, given = change.parameters["lines"], change.parameters["policy_name"]
        assert isinstance(numbers, list)
        own = [last[number] for number in numbers if isinstance(number, int) and number in last]
        if change.kind != KIND or change.target != obj or len(own) != len(numbers):
            return False
        kind = str(change.parameters["policy_type"])
        wants = [each for each in own if each.kind == OWN and each.parameters.get("given_by") == obj]
        if len(wants) != len(own) or any((kind, given) not in _policies(each).items() for each in wants):
            return False
    return True


def calls_of(users: Sequence[Changes]) -> list[Changes]:
    """Give the changes of a wave's users that are calls, and those of the operations as if of one more user."""
    left, extra = [tuple(each) for each in users], list[Changes]()
    for places in _groups(users):
        own = _own(users[places[0]])
        assert own is not None
        for place in places:
            left[place] = tuple(change for change in left[place] if change.kind != OWN)
        extra.append(_line(OBJECT, own, []).changes)
    return [*left, *extra]


def _groups(users: Sequence[Changes]) -> Iterator[list[int]]:
    """Give the places of users who get the same policies, where they are enough and all types can be given to many."""
    by_policies: dict[str, list[int]] = {}
    for place, changes in enumerate(users):
        own = _own(changes)
        if own is not None and _policies(own).keys() <= TYPES:
            by_policies.setdefault(canonical(own.parameters["policies"]), []).append(place)
    return (places for places in by_policies.values() if len(places) >= SMALLEST)


def _own(changes: Changes) -> Change | None:
    return next((change for change in changes if change.kind == OWN), None)


def _policies(own: Change) -> dict[str, JsonValue]:
    policies = own.parameters["policies"]
    assert isinstance(policies, dict)
    return policies


def _waiting(changes: Changes, obj: str) -> Changes:
    """Put the policies last, so that nothing else of the user waits for them."""
    own = _own(changes)
    assert own is not None
    waiting = own.model_copy(update={"waits_for": POLICY_BATCH, "parameters": {**own.parameters, "given_by": obj}})
    return (*(change for change in changes if change is not own), waiting)


def _line(obj: str, own: Change, lines: list[int]) -> Line:
    """Make the line for all; its users are named by their lines in the plan, once for each policy type."""
    told = ", ".join(f"{kind} {name or 'Global'}" for kind, name in sorted(_policies(own).items()))
    numbers: list[JsonValue] = list(lines)
    return Line(
        object=obj,
        label=f"{len(lines)} users: {told}",
        success=SUCCESS,
        source={"named": True},
        changes=tuple(
            Change(
                kind=KIND,
                target=obj,
                parameters={"policy_type": kind, "policy_name": name, "lines": numbers},
                reason=own.reason,
            )
            for kind, name in sorted(_policies(own).items())
        ),
    )
