"""Numbers that a template takes from the directory, where the feed has none."""

from __future__ import annotations

import pytest

from config.site_templates import NumberSource
from connectors.database import Database
from tests.fakes.company import AUSTRIA, STICKY, Company, company, company_site

NUMBER = "+431234517"
OTHER = "+431234518"


def taking_from(database: Database, source: NumberSource) -> Company:
    """Give a company whose template takes numbers from a field, and writes none back."""
    template = AUSTRIA.model_copy(update={"number_source": source, "write_back": ()})
    return company(database, company_site().model_copy(update={"templates": (template, STICKY)}))


@pytest.mark.parametrize(
    ("source", "in_directory", "in_feed"),
    [
        (NumberSource.HOME, "home_phone", "home_phone"),
        (NumberSource.MOBILE, "mobile", "mobile_phone"),
        (NumberSource.IP_PHONE, "ip_phone", "ip_phone"),
        (NumberSource.PHONE, "telephone_number", "work_phone"),
    ],
    ids=["homePhone", "mobile", "ipPhone", "telephoneNumber"],
)
def test_m46_a_number_is_taken_from_the_directory(
    sqlite: Database, source: NumberSource, in_directory: str, in_feed: str
) -> None:
    """M46: the attribute of the directory counts where the feed has none; the feed's own word comes first."""
    firm = taking_from(sqlite, source)
    setattr(firm.tenant.users["id-1"], in_directory, "+43 1 2345-17")
    setattr(firm.tenant.users["id-2"], in_directory, NUMBER)
    firm.feed(firm.person(1), firm.person(2, **{in_feed: OTHER}), firm.person(3))
    assert (firm.number_of(1), firm.number_of(2), firm.number_of(3)) == (NUMBER, OTHER, None)
    assert firm.troubles() == {"00003": f"refused: no {source} number for 00003"}
