"""A day on which the tenant asks everybody to wait, seen from the command line."""

from __future__ import annotations

import pytest

from tests.fakes.onboarding_site import Site, hire

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("operations", ["users.*", "userConfigurations.*|numberAssignments.*"])
def test_a_storm_of_throttling_is_waited_out(site: Site, operations: str) -> None:
    """Where the tenant asks to wait, directory or Teams, nobody calls meanwhile, and everybody is onboarded."""
    people = site.some(3)
    # Calls that were on their way when the tenant said so may be slow on a busy machine.
    with site.fault("throttle", operations, rate_per_s=5, burst=4, retry_after_s=1, grace_s=0.6) as storm:
        ran = site.onboard(site.feed(*map(hire, people)), "--json")
        (seen,) = [each for each in site.lab.faults.listed() if each["id"] == storm]
    assert (ran.code, ran.json["counts"]) == (0, {"onboarded": 3})
    assert seen["played"]
    assert seen["early"] == 0
