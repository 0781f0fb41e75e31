"""Random lives: whatever HR says, in whatever order and however late, ends where a plain model ends.

One model and one set of histories, on two tenants: the fake one, and the lab over Graph, Teams PowerShell and the local
directory. A seed makes a history; a failure prints it up to the day on which tenant and model parted.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from connectors.database import Database
from tests.fakes.company import company
from tests.fakes.firm import Firm
from tests.fakes.lab_firm import LabGround, lab_firm
from tests.fakes.life_histories import history
from tests.fakes.life_model import GRACE, Model
from tests.fakes.life_player import Player
from tests.fakes.life_site import POLICIES, life_site

pytestmark = pytest.mark.slow

SEED = 20260302
PEOPLE = 4
CLOUD_ONLY = 2
SLOW = {"licence_delay_s": 90.0, "replication_lag_s": 10.0}  # what the lab is made to be for every other history
# Short histories that meet much: a change of how they are made must not leave them without it.
IN_THE_LAB = {
    20260308: {"somebody was hired again", "an account was deleted", "one feed told of now and of later"},
    20260315: {"a move changed the number", "words were too old", "news of a later day came due"},
    20260323: {"a number was given while a lower one rested", "the number came back", "an account was deleted"},
}


def lived(firm: Firm, seed: int, events: int, *, cloud_only: int = 0) -> Player:
    """Play a history with the model beside it; then HR says everything again, and nothing is written."""
    employees = [f"{number:05}" for number in range(1, PEOPLE + 1)]
    player = Player(firm, Model(firm.site, employees, cloud_only=employees[PEOPLE - cloud_only :]))
    player.play(history(seed, people=PEOPLE, events=events))
    assert player.repeat() == []
    player.compare()
    return player


def on_a_fake(database: Database) -> Firm:
    """Give a company on the fake tenant."""
    firm = company(database, life_site(), users=PEOPLE)
    named = [(kind, name) for kind, names in POLICIES.items() for name in names]
    firm.tenant.policy_ids = {pair: f"p-{pair[1]}" for pair in named}
    return firm


def lived_in_the_lab(folder: Path, database: Database, seed: int, events: int) -> Player:
    """Play a history on the lab; its own call log has to show that every number rested, too."""
    settings = SLOW if seed % 2 else {}
    with lab_firm(folder, database, life_site(), people=PEOPLE, cloud_only=CLOUD_ONLY, **settings) as firm:
        player = lived(firm, seed, events, cloud_only=CLOUD_ONLY)
        assert isinstance(firm.ground, LabGround)
        check_rests(firm.ground)
        return player


def check_rests(ground: LabGround) -> None:
    """Read in the call log who had each number until when: nobody else gets it before its days are over."""
    taken: dict[str, tuple[str, datetime]] = {}
    for call in ground.control.calls():
        for effect in call["effects"]:
            if effect["attribute"] != "assignmentTargetId":
                continue
            at, number = datetime.fromisoformat(call["at"]), effect["object"]
            if effect["before"] is not None:
                taken[number] = (ground.made[effect["before"]], at)
            elif number in taken and effect["after"] is not None:
                former, since = taken[number]
                new = ground.made[effect["after"]]
                assert new == former or at >= since + GRACE, f"{number} of {former} was {new}'s after {at - since}"


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_random_lives_end_where_the_model_ends(database: Database, seed: int) -> None:
    """Rank 5, rank 14: hire, move, leave, withdraw, rehire, late, repeated, out of order; twice writes once."""
    lived(on_a_fake(database), seed, events=20)


@pytest.mark.parametrize("seed", IN_THE_LAB)
def test_random_lives_in_the_lab_end_where_the_model_ends(sqlite: Database, tmp_path: Path, seed: int) -> None:
    """The same over the real protocols, two people of four from the local directory."""
    player = lived_in_the_lab(tmp_path, sqlite, seed, events=14)
    assert IN_THE_LAB[seed] <= set(+player.model.met)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(SEED + 100, SEED + 160))
def test_many_random_lives_end_where_the_model_ends(sqlite: Database, seed: int) -> None:
    """The same with sixty longer lives on the fake tenant."""
    lived(on_a_fake(sqlite), seed, events=60)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(SEED + 200, SEED + 240))
def test_many_random_lives_in_the_lab_end_where_the_model_ends(sqlite: Database, tmp_path: Path, seed: int) -> None:
    """The same with forty longer lives in the lab."""
    lived_in_the_lab(tmp_path, sqlite, seed, events=40)
