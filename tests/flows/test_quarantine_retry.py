"""The flow that tries quarantined rows again, on a tenant in memory."""

from __future__ import annotations

import pytest

from config.errors import InputRefused
from connectors.errors import Invalid
from tests.fakes.flow_site import FlowSite


def test_a_row_is_onboarded_once_its_mapping_is_right(at_site: FlowSite) -> None:
    """A row that the mapping did not understand is read again as it is now, and the person gets a phone."""
    assert at_site.onboard("00001", "00002?")["counts"] == {"onboarded": 1, "quarantined": 1}
    at_site.correct_mapping()
    assert at_site.retry(*at_site.quarantined())["counts"] == {"onboarded": 1}
    assert set(at_site.phones()) == {"id-1", "id-2"}
    assert at_site.quarantined() == []


def test_a_refused_retry_writes_nothing(at_site: FlowSite) -> None:
    """When one of the rows is not in quarantine none is touched: not in the tenant, not in quarantine."""
    at_site.onboard("00001", "00002?")
    at_site.correct_mapping()
    rows, before = at_site.quarantined(), at_site.tenant.writes()
    with pytest.raises(InputRefused, match="row 999 is not in quarantine"):
        at_site.retry(*rows, 999)
    assert at_site.quarantined() == rows
    assert at_site.tenant.writes() == before


def test_a_second_retry_changes_nothing(at_site: FlowSite) -> None:
    """A row is tried again once; the second time it is refused by name."""
    at_site.onboard("00001", "00002?")
    at_site.correct_mapping()
    rows = at_site.quarantined()
    at_site.retry(*rows)
    before = at_site.tenant.writes()
    with pytest.raises(InputRefused, match="is already retried"):
        at_site.retry(*rows)
    assert at_site.tenant.writes() == before


def test_a_row_that_is_still_wrong_does_not_stop_the_rest(at_site: FlowSite) -> None:
    """Without a new mapping both rows come back; with one, a person whom the tenant refuses stops nobody."""
    at_site.onboard("00001", "00002?", "00003?")
    assert at_site.retry(*at_site.quarantined())["counts"] == {"quarantined": 2}
    at_site.correct_mapping()

    def refuse(name: str, target: str) -> None:
        if (name, target) == ("assign_licence", "id-2"):
            raise Invalid("this user is broken ; look at it")

    at_site.tenant.before = refuse
    assert at_site.retry(*at_site.quarantined())["counts"] == {"failed": 1, "onboarded": 1}
    assert set(at_site.phones()) == {"id-1", "id-3"}
