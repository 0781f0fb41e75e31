"""M106: what a tenant holds in place of a number is told and left alone; it stops nobody's onboarding."""

from __future__ import annotations

import pytest

from connectors.database import Database
from datasets.numbering import PHONE_NUMBER
from engine.resolve import learn_assigned
from tests.fakes.bad_numbers import BAD_NUMBERS
from tests.fakes.plans import fresh, runtime_on

NOT_STORED = [text for text, _ in BAD_NUMBERS.values() if text and not PHONE_NUMBER.fullmatch(text)]


@pytest.mark.parametrize("text", NOT_STORED, ids=range(len(NOT_STORED)))
def test_an_observed_number_that_is_none_is_a_warning(sqlite: Database, text: str) -> None:
    """The warning says what is held, by whom, and what to do; the sound numbers of others are learned."""
    tenant = fresh(2)
    tenant.users["id-1"].number, tenant.users["id-2"].number = text, "+431234501"
    (warning,) = learn_assigned(runtime_on(sqlite, tenant))
    assert "is no phone number" in warning
    assert "; correct the number of id-1 in the tenant" in warning
    assert "\n" not in warning
