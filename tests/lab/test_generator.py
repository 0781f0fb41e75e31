"""The sample tenant: deterministic, of many alphabets, with every oddity the product must survive."""

from __future__ import annotations

import tracemalloc
import unicodedata

import phonenumbers
import pytest

from lab.clock import Clock
from lab.generator import fill
from lab.settings import Settings
from lab.tenant import Tenant
from tests.fakes.lab_people import with_number


def made(users: int, seed: int) -> Tenant:
    """Make a sample tenant."""
    tenant = Tenant("t", Clock(runs=False), Settings())
    fill(tenant, users=users, seed=seed)
    return tenant


def test_the_same_seed_makes_the_same_tenant() -> None:
    """Users, numbers, policies and groups are equal for equal seeds and differ for others."""
    first, again, other = made(60, 5), made(60, 5), made(60, 6)
    assert (first.users, first.numbers, first.groups, first.ad_users) == (
        again.users,
        again.numbers,
        again.groups,
        again.ad_users,
    )
    assert first.voices == again.voices
    assert first.users != other.users


def test_sign_in_names_are_plain_and_unique() -> None:
    """UPNs are ASCII and unique although the names are not; employee ids keep leading zeros."""
    users = list(made(300, 1).users.values())
    upns = [user.upn for user in users]
    assert all(upn.isascii() for upn in upns)
    assert len({upn.casefold() for upn in upns}) == len(upns)
    assert all(len(str(u.fields["employeeId"])) == 8 for u in users if u.fields.get("employeeId"))


def test_names_come_from_many_alphabets() -> None:
    """Latin with diacritics, Cyrillic, Greek, Arabic, CJK and Hebrew names are all there."""
    letters = {
        char for user in made(200, 1).users.values() for char in user.text("displayName") or "" if char.isalpha()
    }
    scripts = {unicodedata.name(char).split()[0] for char in letters}
    assert {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "CJK", "HEBREW", "HANGUL"} <= scripts
    assert any("WITH" in unicodedata.name(char) for char in letters)


def test_every_number_is_valid_in_its_country() -> None:
    """The sample numbers pass the strictest library we know."""
    numbers = made(400, 1).numbers
    assert [n for n in numbers if not phonenumbers.is_valid_number(phonenumbers.parse(n))] == []


def test_holders_are_consistent() -> None:
    """Who holds a number has Enterprise Voice, a licence and the number in Active Directory."""
    tenant = made(200, 1)
    holders = with_number(tenant)
    assert 50 < len(holders) < 120
    for user in holders:
        number = tenant.numbers_held_by(user.id)[0]
        account = tenant.find_ad_user(str(user.text("onPremisesSamAccountName")))
        assert tenant.voice(user.id).enterprise_voice
        assert tenant.may_hold(user, number.number_type)
        assert account is not None
        assert account.attributes["telephoneNumber"] == number.telephone_number


@pytest.mark.parametrize("users", [0, 1, 9, 5000])
def test_any_size_works(users: int) -> None:
    """From nobody to thousands: one number per holder, none doubled."""
    tenant = made(users, 2)
    held = [number for keys in tenant.numbers_of.values() for number in keys]
    assert len(held) == len(set(held)) == sum(n.target_id is not None for n in tenant.numbers.values())


def test_oddities_are_there() -> None:
    """There is a leaver with a number, one number owned on-premises, and a guest."""
    tenant = made(200, 1)
    (leaver,) = tenant.deleted.values()
    kinds = {user.account_type for user in tenant.users.values()}
    assert tenant.numbers_held_by(leaver.id)
    assert any(voice.on_prem_line_uri for voice in tenant.voices.values())
    assert kinds == {"user", "resourceAccount", "guest"}
    assert any(not user.text("usageLocation") for user in tenant.users.values() if user.account_type == "user")


def test_people_cost_little_memory() -> None:
    """A person of the sample costs less than ten kilobytes, indexes, numbers and the servers' part included."""
    tracemalloc.start()
    made = Tenant("11111111-2222-4333-a444-555555555555", Clock(runs=False), Settings())
    fill(made, users=2000, seed=1, hybrid=0.3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / 2000 < 10_000
    assert made.history.last == 0
