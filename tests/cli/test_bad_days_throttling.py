"""A day on which the tenant asks everybody to wait, seen from the command line."""

from __future__ import annotations

import pytest

from tests.fakes.onboarding_site import Site, hire

pytestmark = pytest.mark.slow


def test_a_storm_of_throttling_is_waited_out(site: Site) -> None:
    """A tenant that asks to wait is waited for; nobody calls meanwhile, and everybody is onboarded."""
    people = site.some(3)
    with site.fault("throttle", "u*", rate_per_s=5, burst=4, retry_after_s=0.4) as storm:
        ran = site.onboard(site.feed(*map(hire, people)), "--json")
        (seen,) = [each for each in site.lab.faults.listed() if each["id"] == storm]
    assert (ran.code, ran.json["counts"]) == (0, {"onboarded": 3})
    assert seen["played"]
    assert seen["early"] == 0
    assert len(site.numbers()) == 3
    site.check_books()
