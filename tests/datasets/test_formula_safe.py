"""Text for spreadsheets: formulas become text, telephone numbers stay."""

from __future__ import annotations

import pytest

from datasets.feeds import formula_safe


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "-2+3", "+1+1", "\t=1", "\r=1", "+cmd|x"])
def test_formulas_become_text(text: str) -> None:
    """What a spreadsheet would evaluate begins with a quote."""
    assert formula_safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Ada", "+431234567", "+431234567;ext=12", "a=b", "1-2"])
def test_everything_else_stays(text: str) -> None:
    """A name or a telephone number is as it was."""
    assert formula_safe(text) == text
