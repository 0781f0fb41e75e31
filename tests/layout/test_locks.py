"""The locks: hashed, without addresses, and each one contained in the next."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.fakes.checkout import ROOT, text_of

LOCKS = ("run", "demo", "test")
PINNED = re.compile(r"^(?P<name>[a-zA-Z0-9._-]+)==(?P<version>[^\s;]+)", re.MULTILINE)


@cache
def pins(lock: str) -> dict[str, str]:
    """Give name → version of a lock."""
    return {found["name"]: found["version"] for found in PINNED.finditer(text_of(f"requirements/{lock}.lock"))}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_is_hashed_and_holds_no_address(lock: str) -> None:
    """Every requirement is pinned with hashes, and no line names a place to get it from."""
    text = text_of(f"requirements/{lock}.lock")
    assert "://" not in text
    entries = re.split(r"\n(?=[a-zA-Z0-9])", text.strip())
    assert not [entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]


@pytest.mark.parametrize(("smaller", "larger"), [("run", "demo"), ("demo", "test")])
def test_locks_agree(smaller: str, larger: str) -> None:
    """What the product runs with is what the demo and the tests run with, version by version."""
    assert pins(smaller).items() <= pins(larger).items()


def test_prefect_is_the_tested_one() -> None:
    """The pins of design §7 hold in the lock."""
    assert pins("run")["prefect"].startswith("3.8.")
    assert int(pins("run")["prefect"].split(".")[2]) >= 8
    assert 139 <= int(pins("run")["fastapi"].split(".")[1]) < 151


def test_no_other_lock_exists() -> None:
    """There is one way to install: no second lock lies around."""
    assert not (ROOT / "uv.lock").exists()
    assert {path.name for path in (ROOT / "requirements").iterdir()} == {f"{lock}.lock" for lock in LOCKS}
