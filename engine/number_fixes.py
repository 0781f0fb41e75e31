"""Plan lines that put right what number-sync found and what is safe to put right (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from pydantic import JsonValue

from datasets.number_audit import NOBODY, Difference, Fix
from engine.change import Change, Effect
from engine.number_lines import blocking, placing
from engine.plan import Line


def lines(found: Iterable[Difference], *, grace_days: int) -> tuple[Line, ...]:
    """Give a line for each difference that is fixed."""
    return tuple(
        _line(difference, _MAKERS[difference.fix](difference, grace_days)) for difference in found if difference.fix
    )


def _line(difference: Difference, change: Change) -> Line:
    label = f"{difference.number} ({difference.cause.replace('_', ' ')})"
    return Line(object=change.target, label=label, success="fixed", source={"named": True}, changes=(change,))


def _ours(difference: Difference, kind: str, after: str, **parameters: JsonValue) -> Change:
    """Change what the inventory believes; `before` is what it believed when the difference was found."""
    obj = f"number:{difference.number}"
    effect = Effect(object=obj, attribute="inventory", before=difference.details["before"], after=after)
    given: dict[str, JsonValue] = {"number": difference.number, **parameters}
    return Change(kind=kind, target=obj, parameters=given, effects=(effect,), reason=difference.found)


def _record_holder(difference: Difference, _grace_days: int) -> Change:
    owner = difference.details["owner"]
    return _ours(difference, "record_holder", f"assigned {owner}", owner=owner)


def _give_back_claim(difference: Difference, _grace_days: int) -> Change:
    return _ours(difference, "give_back_claim", NOBODY, plan_id=difference.details["plan_id"])


def _let_rest(difference: Difference, grace_days: int) -> Change:
    after = f"grace {difference.details['owner']}" if grace_days else NOBODY
    return _ours(difference, "let_rest", after, grace_days=grace_days)


def _learn_numbers(difference: Difference, _grace_days: int) -> Change:
    pool, numbers = cast(str, difference.details["pool"]), cast("list[str]", difference.details["numbers"])
    effects = tuple(Effect(object=f"number:{number}", attribute="pool", after=pool) for number in numbers)
    return Change(
        kind="learn_numbers",
        target=f"pool:{pool}",
        parameters=dict(difference.details),
        effects=effects,
        reason=difference.found,
    )


def _block_number(difference: Difference, _grace_days: int) -> Change:
    return blocking(difference.number, cast(int, difference.details["days"]), difference.found)


def _set_location(difference: Difference, _grace_days: int) -> Change:
    number, location = difference.number, difference.details["location_id"]
    return placing(f"number:{number}", number, None, location, difference.found)


def _write_directory(difference: Difference, _grace_days: int) -> Change:
    details = difference.details
    sam, attribute, after = cast(str, details["sam"]), cast(str, details["attribute"]), details["after"]
    effect = Effect(object=f"ad:{sam}", attribute=attribute, before=details["before"], after=after)
    return Change(
        kind="write_directory",
        target=f"user:{details['user_id']}",
        parameters={"sam_account_name": sam, "attributes": {attribute: after}},
        effects=(effect,),
        reason=difference.found,
    )


_MAKERS: dict[Fix, Callable[[Difference, int], Change]] = {
    "record_holder": _record_holder,
    "give_back_claim": _give_back_claim,
    "let_rest": _let_rest,
    "learn_numbers": _learn_numbers,
    "block_number": _block_number,
    "set_location": _set_location,
    "write_directory": _write_directory,
}
