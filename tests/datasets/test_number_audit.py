"""The comparison of numbers as values: one planted case of each class, and answers that are not believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datasets.inventory import NumberState, Position, Run, Taken
from datasets.number_audit import Difference, Estate, Owned, differences
from datasets.number_doubts import doubts
from datasets.number_remedies import REMEDIES
from datasets.numbering import PhoneNumber
from datasets.users import AdUser, NumberAssignment, VoiceUser

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
BASE = 431934600000


def text(offset: int) -> str:
    """Give the text of a number of the pool."""
    return f"+{BASE + offset}"


def row(offset: int, target: str | None = None, **more: Any) -> NumberAssignment:
    """Give a listed number."""
    values = {"telephone_number": text(offset), "number_type": "directRouting", "assignment_target_id": target, **more}
    return NumberAssignment.model_validate(values)


def taken(offset: int, state: str = "assigned", owner: str = "", **more: Any) -> Taken:
    """Give what the inventory believes."""
    number = PhoneNumber.from_e164(text(offset))
    values = {"number": number, "state": NumberState(state), "owner": owner, "since": NOW - timedelta(days=9), **more}
    return Taken.model_validate(values)


def user(n: int, *numbers: str, **more: Any) -> VoiceUser:
    """Give a user of Teams."""
    values = {"id": f"u{n}", "user_principal_name": f"u{n}@lab.test", "telephone_numbers": numbers, **more}
    return VoiceUser.model_validate(values)


def estate(**changes: Any) -> Estate:
    """Give an estate where everybody agrees about thirty users with a number each, changed."""
    users = {f"u{n}": user(n, text(n)) for n in range(30)}
    held = {row.number: row for row in (taken(n, owner=f"user:u{n}") for n in range(30))}
    whole = Estate(
        now=NOW,
        rows=tuple(row(n, f"u{n}") for n in range(30)),
        users=users,
        directory=tuple(AdUser(sam_account_name=f"u{n}", user_principal_name=f"U{n}@lab.test") for n in range(30)),
        blocks={text(n): "NotBlocked" for n in range(30)},
        taken=held,
        owned=(
            Owned(Run(0, 0, BASE, BASE + 999), "vienna", "directRouting"),
            Owned(Run(0, 0, BASE + 1000, BASE + 1099), "local", "onPremises"),
        ),
    )
    return replace(whole, **changes)


def with_row(*more: NumberAssignment, **changes: Any) -> Estate:
    """Add rows to what Teams lists."""
    whole = estate()
    rows = [each for each in whole.rows if each.telephone_number not in {m.telephone_number for m in more}]
    return replace(whole, rows=(*rows, *more), blocks=None, **changes)


def with_taken(*more: Taken, **changes: Any) -> Estate:
    """Change what the inventory believes."""
    whole = estate()
    return replace(whole, taken={**whole.taken, **{each.number: each for each in more}}, **changes)


def with_ad(n: int, **attributes: str) -> Estate:
    """Change the directory."""
    whole = estate()
    assert whole.directory is not None
    return replace(
        whole,
        directory=tuple(
            each.model_copy(update=attributes) if each.sam_account_name == f"u{n}" else each for each in whole.directory
        ),
    )


def found_in(whole: Estate) -> list[Difference]:
    """Compare."""
    return differences(whole)


def test_who_agrees_has_no_differences() -> None:
    """An estate where every side says the same has none, and nothing is doubted."""
    assert found_in(estate()) == []
    assert doubts(estate(), {"numbers": 30, "users": 30}, 20) == []


MOBILE: dict[str, Any] = {
    "number_type": "operatorConnect",
    "capabilities": ("teamsPhoneMobile",),
    "iso_country_code": "AT",
}
CASES: Mapping[str, tuple[Estate, str, str | None]] = {
    "ghost": (with_row(row(50, "nobody-knows")), "ghost", "record_holder"),
    "soft-deleted": (with_row(row(50, "gone"), deleted={"gone": "x@lab.test"}), "soft_deleted_holder", "record_holder"),
    "resource-account": (
        with_row(
            row(50, "ra"), users={**estate().users, "ra": user(99, text(50), account_type="resourceAccount", id="ra")}
        ),
        "resource_account",
        "record_holder",
    ),
    "other-holder": (with_taken(taken(3, "reserved", "person:7")), "other_holder", "record_holder"),
    "ad-owned": (with_row(row(5, "u5", number_source="onPremises")), "ad_owned", None),
    "stuck-line": (with_ad(4, msrtcsip_line=f"tel:{text(4)}"), "stuck_line_uri", None),
    "unknown": (with_row(row(5000)), "unknown_number", None),
    "new-numbers": (with_row(row(5000, **MOBILE)), "new_numbers", "learn_numbers"),
    "wrong-type": (with_row(row(6, "u6", number_type="callingPlan", location_id="l")), "wrong_type", None),
    "dead-claim": (
        with_taken(taken(60, "claimed", "user:u1", plan_id="p-old", until=NOW)),
        "dead_claim",
        "give_back_claim",
    ),
    "not-held": (with_taken(taken(70, owner="user:u1")), "not_held", "let_rest"),
    "block-missing": (
        with_taken(
            taken(80, "grace", "user:u1", until=NOW + timedelta(days=3, hours=1)),
            blocks={**(estate().blocks or {}), text(80): "NotBlocked"},
        ),
        "block_missing",
        "block_number",
    ),
    "blocked-in-teams": (
        estate(blocks={**(estate().blocks or {}), text(90): "BlockedForever"}),
        "blocked_in_teams",
        None,
    ),
    "directory": (with_ad(2, telephone_number=text(7)), "directory_differs", "write_directory"),
}


@pytest.mark.parametrize(("whole", "cause", "fix"), CASES.values(), ids=CASES)
def test_a_planted_case_is_its_class_and_no_other(whole: Estate, cause: str, fix: str | None) -> None:
    """Each class is found alone; what no fix covers comes with its remedy."""
    found = found_in(whole)
    assert [(each.cause, each.fix) for each in found] == [(cause, fix)]
    has_steps = fix is None or cause in ("ghost", "soft_deleted_holder")
    assert found[0].remedy == (REMEDIES[cause] if has_steps else ())


def test_an_extension_beside_its_base_is_a_clash() -> None:
    """A base and its extension with a holder each clash, unless their pool allows it."""
    extension = row(8, "u9").model_copy(update={"telephone_number": f"{text(8)};ext=12"})
    clash = with_row(extension)
    assert "extension_clash" in [each.cause for each in found_in(clash)]
    allowed = tuple(owned._replace(base_beside_extensions=True) for owned in clash.owned)
    assert "extension_clash" not in [each.cause for each in found_in(replace(clash, owned=allowed))]


def test_a_number_without_its_location_is_told() -> None:
    """A Calling Plan number that somebody has needs a location; the pool's is set, without one a person is asked."""
    pool = (Owned(Run(0, 0, BASE, BASE + 999), "vienna", "callingPlan"),)
    whole = Estate(now=NOW, rows=(row(1, "u1", number_type="callingPlan"),), users={"u1": user(1, text(1))}, owned=pool)
    whole = replace(whole, taken={PhoneNumber.from_e164(text(1)): taken(1, owner="user:u1")})
    assert [(d.cause, d.fix) for d in found_in(whole)] == [("location_missing", None)]
    assert [d.fix for d in found_in(replace(whole, locations={"vienna": "l-1"}))] == ["set_location"]


def test_what_a_plan_is_about_to_record_is_no_difference() -> None:
    """A number that Teams shows with the user a live plan claimed it for is left to that plan."""
    claim = taken(3, "claimed", "user:u3", plan_id="p-1", until=NOW)
    assert found_in(with_taken(claim, live_plans=frozenset({"p-1"}))) == []
    assert [d.cause for d in found_in(with_taken(claim))] == ["dead_claim"]


def test_our_own_fresh_write_is_no_difference() -> None:
    """What we recorded a moment ago a lagging list may not show yet."""
    assert found_in(with_taken(taken(70, owner="user:u1", since=NOW - timedelta(seconds=30)))) == []


def test_a_local_line_in_a_local_pool_is_in_order() -> None:
    """A user of the local server with a local number and none in Teams is no difference."""
    whole = with_ad(4, msrtcsip_line=f"tel:{text(1005)}")
    rows = tuple(each for each in whole.rows if each.assignment_target_id != "u4")
    held = {n: t for n, t in whole.taken.items() if t.owner != "user:u4"}
    users = {**whole.users, "u4": user(4)}
    assert found_in(replace(whole, rows=rows, taken=held, users=users, blocks=None)) == []


HALF = estate().rows[:15]


@pytest.mark.parametrize(
    ("whole", "last", "reason"),
    [
        (estate(rows=()), {}, "Teams lists no number"),
        (estate(rows=HALF, blocks=None), {}, "15 of 30 numbers that users have"),
        (
            estate(rows=HALF, users={n: u for n, u in estate().users.items() if int(n[1:]) < 15}),
            {"numbers": 30},
            "30 the last",
        ),
        (estate(rows=(*estate().rows, estate().rows[0])), {}, "listed twice"),
        (estate(users={}), {}, "Teams lists no user"),
        (estate(users={"u1": user(1, text(1))}), {}, "29 of 30 holders"),
        (estate(directory=()), {"directory": 30}, "0 directory were read"),
        (estate(blocks={text(1): "NotBlocked"}), {}, "in one list only"),
        (estate(ranges_read=0), {"unassigned ranges": 4}, "0 unassigned ranges were read"),
    ],
    ids=["no-rows", "half", "half-of-both", "twice", "no-users", "few-users", "no-directory", "two-lists", "no-ranges"],
)
def test_an_answer_that_cannot_be_whole_is_doubted(whole: Estate, last: dict[str, int], reason: str) -> None:
    """Empty, truncated and doubled answers are named, each by its proof."""
    assert any(reason in doubt for doubt in doubts(whole, last, 20))


def test_an_empty_tenant_is_believed() -> None:
    """A tenant of which nothing was ever known may be empty."""
    assert doubts(Estate(now=NOW, rows=(), users={}), {}, 20) == []


def test_pools_are_found_by_number() -> None:
    """The pool of a number is the range that holds it, extensions apart."""
    whole = estate()
    assert [getattr(whole.pool(PhoneNumber(BASE + n)), "pool", None) for n in (0, 999, 1000, 1099, 1100)] == [
        "vienna", "vienna", "local", "local", None,
    ]  # fmt: skip
    assert whole.pool(Position(BASE, 2, 12).number) is None
