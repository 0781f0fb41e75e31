"""Pseudonyms: nothing real is left, and what belonged together still does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.pseudonyms import Pseudonyms
from datasets.snapshot import Account, AdAccount, Group, Members, Policy, Voice

NAMES = Pseudonyms(b"key of this test")


def test_one_person_has_one_pseudonym_everywhere() -> None:
    """Account, voice, group and directory lines of one person still belong to one person, whatever the case."""
    account = NAMES(Account(id="AB-1", user_principal_name="Ada@contoso.example", sam_account_name="ada"))
    voice = NAMES(Voice(user_id="ab-1"))
    members = NAMES(Members(group_id="g", member_ids=("ab-1",)))
    directory = NAMES(AdAccount(sam_account_name="ADA", user_principal_name="ada@Contoso.example"))
    assert isinstance(account, Account)
    assert isinstance(directory, AdAccount)
    assert isinstance(voice, Voice)
    assert isinstance(members, Members)
    assert account.id == voice.user_id == members.member_ids[0]
    assert account.user_principal_name == directory.user_principal_name
    assert account.sam_account_name == directory.sam_account_name
    assert account.user_principal_name.startswith(f"{account.sam_account_name}@d")


@given(st.lists(st.integers(10**6, 10**8 - 1), min_size=2, max_size=20, unique=True))
def test_different_numbers_stay_different_and_keep_country_and_last_digits(nationals: list[int]) -> None:
    """Two numbers never fall together; Austria stays Austria and the last four digits stay."""
    texts = [f"+43{national}" for national in nationals]
    moved = [NAMES.number(text) for text in texts]
    assert len(set(moved)) == len(texts)
    assert [text[-4:] for text in moved] == [text[-4:] for text in texts]
    assert all(text.startswith("+43") and len(text) == len(old) for text, old in zip(moved, texts, strict=True))


def test_numbers_of_one_range_stay_in_one_range() -> None:
    """Consecutive numbers of a block are consecutive afterwards, in another block."""
    moved = [int(NAMES.number(f"+4319346{n:04}")) for n in range(9990, 10000)]
    assert moved == list(range(moved[0], moved[0] + 10))
    assert moved[0] // 10**4 != 4319346


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("tel:+431934600012;ext=12", r"tel:\+43\d{10};ext=12"),
        ("0012", "0012"),
        ("01 934 600", r"\d{8}"),
        ("ask Ada", r"[0-9a-f]{8}"),
    ],
)
def test_other_forms_of_numbers_are_replaced_too(text: str, shape: str) -> None:
    """Lines, extensions and free text in telephone attributes keep their shape at most."""
    import re

    assert re.fullmatch(shape, NAMES.number(text).replace(" ", ""))
    assert text == "0012" or NAMES.number(text) != text


def test_personal_numbers_keep_their_country_only() -> None:
    """The last digits of a private number are not kept."""
    moved = [NAMES.personal_number(f"+4366412345{n:02}") for n in range(20)]
    assert len(set(moved)) == 20
    assert {text[-2:] for text in moved} != {f"{n:02}" for n in range(20)}


def test_kept_names_stay_and_descriptions_go() -> None:
    """Names that were asked to be kept stay; descriptions and rules, which hold anything, do not."""
    keeping = Pseudonyms(b"k", keep=["policies", "groups"])
    policy = Policy(policy_type="TenantDialPlan", name="DP-Vienna", description="of Ada", usages=("Vienna",))
    assert keeping(policy) == Policy(policy_type="TenantDialPlan", name="DP-Vienna", usages=("Vienna",))
    assert keeping(Group(id="g", display_name="Voice pilots", description="of Ada")).model_dump(
        include={"display_name", "description"}
    ) == {"display_name": "Voice pilots", "description": None}
    assert NAMES(Policy(policy_type="TeamsCallingPolicy", name="Global")).model_dump()["name"] == "Global"
