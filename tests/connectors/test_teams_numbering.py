"""Teams' number inventory through PowerShell, on the stand-in tenant: blocks, orders and their end, older modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.errors import Ambiguous, Invalid
from connectors.teams_numbering import TeamsNumbering
from connectors.teams_shell import TeamsShell
from connectors.tokens import Tokens
from datasets.treatments import Treatment
from lab.server import Lab
from tests.fakes.graph_site import app_of
from tests.fakes.set_clock import SetClock
from tests.fakes.shell_site import endpoint_of, shell_of

NEW = [f"+43193460{n}" for n in range(7000, 7004)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start a tenant."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=12, seed=2) as running:
        yield running


@pytest.fixture
def numbering(lab: Lab) -> Iterator[TeamsNumbering]:
    """Give the inventory of the tenant over signed-in sessions, with the newest module."""
    lab.parts.settings.module_version, lab.parts.settings.order_delay_s = "8.0.0", 0.0
    endpoints = dict(lab.endpoints)
    shell = shell_of(endpoint_of(endpoints))
    with TeamsShell(shell, Tokens(app_of(endpoints)).token):
        yield TeamsNumbering(shell, clock=SetClock().clock)


def test_a_block_is_written_and_read_back(numbering: TeamsNumbering) -> None:
    """M58: a block shows with its state, and is lifted again."""
    number = next(iter(dict(numbering.blocks())))
    assert numbering.has_blocks()
    numbering.block_number(number, 30)
    assert (numbering.block_of(number), dict(numbering.blocks())[number]) == ("BlockedUntil", "BlockedUntil")
    numbering.lift_block(number)
    assert numbering.block_of(number) == "NotBlocked"


def test_an_older_module_has_no_blocks(lab: Lab, numbering: TeamsNumbering) -> None:
    """Before 7.5.0 the cmdlets are not there, which is said and not guessed."""
    lab.parts.settings.module_version = "7.4.0"
    assert not numbering.has_blocks()
    assert numbering.block_of("+499999") is None


def test_an_announcement_is_made_for_one_number_and_removed(numbering: TeamsNumbering) -> None:
    """Exactly one number matches, it is read back by its name, and it is gone when it ends."""
    treatment = Treatment(number=NEW[0], target_type="Announcement", target="sound-1", priority=7)
    assert (numbering.treatment_of(NEW[0]), list(numbering.treatments())) == (None, [])
    numbering.make_announcement(treatment)
    assert list(numbering.treatments()) == [(treatment.name, treatment)]
    assert (numbering.treatment_of(NEW[0]), numbering.treatment_of(NEW[1])) == ("Announcement sound-1", None)
    with pytest.raises(Invalid, match="TreatmentPriority"):
        numbering.make_announcement(treatment.model_copy(update={"number": NEW[1]}))
    numbering.end_announcement(NEW[0])
    assert list(numbering.treatments()) == []


def test_orders_are_placed_and_followed_to_their_end(numbering: TeamsNumbering) -> None:
    """An upload lists the numbers, a release takes them out; a number that is there already fails by name."""
    numbering.wait_for_order("upload", numbering.place_order("upload", NEW[:2]), 60)
    assert set(NEW[:2]) <= set(dict(numbering.blocks()))
    with pytest.raises(Invalid, match=rf"1 of 2 numbers failed: \{NEW[1]}"):
        numbering.wait_for_order("upload", numbering.place_order("upload", NEW[1:3]), 60)
    numbering.wait_for_order("release", numbering.place_order("release", NEW[:3]), 60)
    assert not set(NEW) & set(dict(numbering.blocks()))


def test_an_order_that_does_not_end_is_left_open(lab: Lab, numbering: TeamsNumbering) -> None:
    """After the deadline the outcome is not known: it is asked for less and less often, and never guessed."""
    lab.parts.settings.order_delay_s = 3600.0
    with pytest.raises(Ambiguous, match="had not ended after 60 s"):
        numbering.wait_for_order("upload", numbering.place_order("upload", NEW[3:]), 60)
