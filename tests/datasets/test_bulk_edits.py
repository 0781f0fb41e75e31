"""What a bulk edit sets: names in any case, values that mean something, and one line for what does not."""

from __future__ import annotations

import pytest

from config.errors import InputRefused
from datasets.bulk_edits import parse, read_rows


def test_assignments_are_read() -> None:
    """Names in any case, yes and no, countries in capitals, and a dash that clears."""
    texts = ["POLICY:tenantdialplan=AT", "usage_location=at", "licence:mcoev=Yes", "number=pool:graz", "ipphone=-"]
    wanted = {"policy:TenantDialPlan": "AT", "usage_location": "AT", "licence:MCOEV": True, "number": "pool:graz"}
    assert parse(texts) == wanted | {"ipPhone": None}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        pytest.param([], "nothing is to be set", id="nothing"),
        pytest.param(["TenantDialPlan"], "sets nothing", id="no value"),
        pytest.param(["number="], "sets nothing", id="empty value"),
        pytest.param(["policy:TenantDialPlam=AT"], "did you mean policy:TenantDialPlan?", id="near miss"),
        pytest.param(["colour=blue"], "known are usage_location", id="unknown"),
        pytest.param(["usage_location=Austria"], "no country", id="country"),
        pytest.param(["usage_location=-"], "cannot be emptied", id="empty country"),
        pytest.param(["number=+4312345"], "many users cannot get one number", id="one number"),
        pytest.param(["enterprise_voice=maybe"], "is yes or no", id="maybe"),
        pytest.param(["ipPhone=1", "IPPHONE=2"], "set twice", id="twice"),
    ],
)
def test_what_means_nothing_is_refused(texts: list[str], words: str) -> None:
    """One line with a remedy."""
    with pytest.raises(InputRefused) as caught:
        parse(texts)
    assert words in str(caught.value)
    assert " ; " in str(caught.value)


def test_a_sheet_says_who_gets_what() -> None:
    """Empty cells set nothing, short rows are filled up, rows without a user are left out."""
    rows = [(2, ["a@b.c", "AT", ""]), (3, ["b@b.c", "-"]), (4, ["", "AT", "yes"])]
    found = read_rows(["User", "policy:TenantDialPlan", "licence:MCOEV"], rows, "x.csv")
    assert found == {"a@b.c": {"policy:TenantDialPlan": "AT"}, "b@b.c": {"policy:TenantDialPlan": None}}


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        pytest.param(["name"], [], "no column user", id="no user"),
        pytest.param(["user", "colour"], [], "no attribute 'colour'", id="unknown"),
        pytest.param(["user", "ipPhone", "IPPHONE"], [], "twice", id="twice"),
        pytest.param(["user", "ipPhone"], [(2, ["A@b.c", "1"]), (3, ["a@B.c", "2"])], "line 3", id="user twice"),
        pytest.param(["user", "usage_location"], [(7, ["a@b.c", "Austria"])], "x.csv, line 7", id="bad value"),
    ],
)
def test_a_sheet_that_contradicts_itself_is_refused(
    header: list[str], rows: list[tuple[int, list[str]]], words: str
) -> None:
    """The line and what to do about it are named."""
    with pytest.raises(InputRefused) as caught:
        read_rows(header, rows, "x.csv")
    assert words in str(caught.value)
