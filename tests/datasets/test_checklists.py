"""Checklists: every check and every step of a move has its place, and the worst mark counts."""

from __future__ import annotations

from collections import Counter

import pytest

from datasets.checklists import CHECKS, STEPS, checked, stepped
from datasets.preflight import Check
from engine.kinds import KINDS


def test_every_check_is_on_the_list_once() -> None:
    """A new reason of the preflight has to be given its place (M50)."""
    assert Counter(check for checks in CHECKS.values() for check in checks) == Counter(Check)


def test_the_steps_name_kinds_that_exist() -> None:
    """A step whose kind was renamed would never be done."""
    assert [kind for kinds in STEPS.values() for kind in kinds if kind not in KINDS] == []


def test_what_blocks_outweighs_what_warns() -> None:
    """A missing licence and a missing mailbox: one is blocked, one is worth a look, the rest is ok."""
    marks = checked(["licence_teams"], ["mailbox"], is_on_premises=True)
    assert (marks["licence"], marks["mailbox"], marks["sync"]) == ("blocked", "look", "ok")


def test_a_user_of_the_cloud_needs_no_server() -> None:
    """What only a move needs does not matter for somebody who is in Teams."""
    marks = checked([], [], is_on_premises=False)
    assert {name for name, mark in marks.items() if mark == "–"} == {"server", "sync", "SIP", "voice"}


def test_somebody_without_an_account_was_not_looked_at_further() -> None:
    """Beside a missing account no other check says ok."""
    marks = checked(["no_account"], [], is_on_premises=False)
    assert set(marks.values()) == {"blocked", "not looked at"}


@pytest.mark.parametrize(
    ("states", "mark"),
    [
        (("verified", "verified"), "done"),
        (("verified", "planned"), "to do"),
        (("applied", "planned"), "under way"),
        (("verified", "failed"), "failed"),
        (("unknown", "planned"), "unknown"),
        ((), "–"),
    ],
)
def test_a_step_is_as_far_as_its_last_change(states: tuple[str, ...], mark: str) -> None:
    """A move that was sent and is not seen in Teams is not done."""
    kinds = ("move_to_teams", "await_teams_only")
    assert stepped([*zip(kinds, states, strict=False)])["moved"] == mark
