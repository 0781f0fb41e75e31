"""Accounts, policies, groups and lagging views of the stand-in tenant."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from lab.catalogue import E3, E5
from lab.clock import Clock
from lab.records import DIRECT_ROUTING, Group, Number, User, opaque_id
from lab.rules import Refusal
from lab.tenant import Tenant
from tests.fakes.lab_people import FREE_NUMBER, ready, with_number, without_licence


def test_people_are_found_by_every_name(tenant: Tenant) -> None:
    """Object id, UPN and SIP address find a person in any case."""
    user = with_number(tenant)[0]
    for name in (user.id.upper(), user.upn.title(), f"sip:{user.upn}", f"SIP:{user.upn.upper()}"):
        assert tenant.find_user(name) == user


def test_units_run_out(tenant: Tenant) -> None:
    """The last licence unit goes to the first who asks; a returned unit can be given again."""
    first, second = without_licence(tenant)[:2]
    tenant.skus[E5] = replace(tenant.skus[E5], enabled=tenant.consumed[E5] + 1)
    tenant.assign_licence(first.id, E5)
    with pytest.raises(Refusal, match="does not have any available licenses"):
        tenant.assign_licence(second.id, E5)
    tenant.remove_licence(first.id, E5)
    assert tenant.assign_licence(second.id, E5)


def test_a_licence_needs_a_usage_location(tenant: Tenant) -> None:
    """Without a usage location no licence is given."""
    user = without_licence(tenant)[0]
    tenant.patch_user(user.id, {"usageLocation": None})
    with pytest.raises(Refusal, match="invalid usage location"):
        tenant.assign_licence(user.id, E5)


def test_giving_a_licence_again_keeps_its_age(tenant: Tenant, clock: Clock) -> None:
    """A second assignment of the same product does not start the delay anew."""
    user = without_licence(tenant)[0]
    tenant.settings.licence_delay_s = 60
    tenant.assign_licence(user.id, E5)
    clock.advance(60)
    tenant.assign_licence(user.id, E5)
    assert "PhoneSystem" in tenant.features(tenant.users[user.id])


def test_a_disabled_plan_brings_no_feature(tenant: Tenant) -> None:
    """Switching a service off inside a product takes its feature."""
    user = without_licence(tenant)[0]
    phone = next(plan for plan in tenant.skus[E5].plans if plan.feature == "PhoneSystem")
    tenant.change_licences(user.id, add={E5: [phone.plan_id]})
    assert tenant.features(tenant.users[user.id]) == {"Teams", "AudioConferencing"}


def test_removing_what_one_does_not_have_is_refused(tenant: Tenant) -> None:
    """A product the user never had cannot be taken."""
    with pytest.raises(Refusal, match="does not have a corresponding license"):
        tenant.remove_licence(without_licence(tenant)[0].id, E3)


def test_synchronised_accounts_keep_their_properties(tenant: Tenant) -> None:
    """The cloud may set a usage location, but not the department of a synchronised account."""
    user = without_licence(tenant)[0]
    assert tenant.patch_user(user.id, {"usageLocation": "SE"})
    with pytest.raises(Refusal, match="on-premises mastered"):
        tenant.patch_user(user.id, {"department": "Sales"})


@pytest.mark.parametrize("changes", [{"id": "x"}, {"usageLocation": "Austria"}, {"nonsense": 1}], ids=str)
def test_unfit_properties_are_refused(tenant: Tenant, changes: dict[str, str]) -> None:
    """Read-only, unknown and malformed properties are refused and change nothing."""
    user = without_licence(tenant)[0]
    with pytest.raises(Refusal):
        tenant.patch_user(user.id, changes)
    assert tenant.users[user.id] == user


def test_a_deleted_account_comes_back_whole(tenant: Tenant) -> None:
    """Restoring brings the account with its number back."""
    user = with_number(tenant)[0]
    held = tenant.numbers_held_by(user.id)
    tenant.delete_user(user.id)
    assert tenant.find_user(user.upn) is None
    tenant.restore_user(user.id)
    assert tenant.find_user(user.upn) == user
    assert tenant.numbers_held_by(user.id) == held


def test_direct_policies_win_over_group_policies(tenant: Tenant) -> None:
    """A direct grant is rank zero; without it the group's policy works."""
    (user,) = ready(tenant, 1)
    _leave_groups(tenant, user)
    group = Group(opaque_id("g"), "Callers", (user.id,))
    tenant.put_group(group)
    tenant.grant_policy_to_group(group.id, "TeamsCallingPolicy", "Frontline")
    tenant.grant_policy(user.id, "teamscallingpolicy", "Tag:AllowCalling")
    assert _calling(tenant, user) == ("AllowCalling", None)
    tenant.grant_policy(user.id, "TeamsCallingPolicy", None)
    assert _calling(tenant, user) == ("Frontline", group.id)


def test_group_policies_reach_direct_members_only(tenant: Tenant) -> None:
    """Somebody in a nested group does not get the outer group's policy."""
    (user,) = ready(tenant, 1)
    _leave_groups(tenant, user)
    inner, outer = Group(opaque_id("in"), "Inner", (user.id,)), Group(opaque_id("out"), "Outer", (opaque_id("in"),))
    tenant.put_group(inner)
    tenant.put_group(outer)
    tenant.grant_policy_to_group(outer.id, "TeamsCallingPolicy", "Frontline")
    assert _calling(tenant, user) is None


def test_upgrade_is_refused_for_people_homed_on_premises(tenant: Tenant) -> None:
    """Teams-only has to wait until the person has moved."""
    (user,) = ready(tenant, 1)
    tenant.change_voice(tenant.voice(user.id), homed_on_premises=True)
    with pytest.raises(Refusal, match="homed on-premises"):
        tenant.grant_policy(user.id, "TeamsUpgradePolicy", "UpgradeToTeams")


def test_unknown_policies_are_refused(tenant: Tenant) -> None:
    """A name or a type that does not exist is refused, not ignored."""
    (user,) = ready(tenant, 1)
    for kind, name in (("TenantDialPlan", "Nowhere"), ("NoSuchPolicy", "Global")):
        with pytest.raises(Refusal):
            tenant.grant_policy(user.id, kind, name)


def test_enterprise_voice_works_without_a_number(tenant: Tenant) -> None:
    """Enterprise Voice can be on without a number, but not without a licence."""
    (user,) = ready(tenant, 1)
    assert tenant.set_enterprise_voice(user.id, enabled=True)
    with pytest.raises(Refusal, match="lacks appropriate licenses"):
        tenant.set_enterprise_voice(without_licence(tenant)[0].id, enabled=True)


def test_a_cycle_of_groups_is_expanded_once(tenant: Tenant) -> None:
    """Ring A holds Ring B and Ring B holds Ring A; everybody below appears once (M103)."""
    members = list(tenant.transitive_members(opaque_id("group", "Ring A")))
    assert len(members) == len(set(members)) > 2
    assert opaque_id("group", "Ring B") in members


def test_a_view_lags_behind(tenant: Tenant, clock: Clock) -> None:
    """A lagging view shows users, numbers and directory accounts as they were, and catches up."""
    (user,) = ready(tenant, 1)
    sam = str(user.text("onPremisesSamAccountName"))
    clock.advance(100)
    tenant.assign_number(user.id, FREE_NUMBER, DIRECT_ROUTING)
    tenant.set_ad_user(sam, {"ipPhone": "1234"})
    tenant.patch_user(user.id, {"usageLocation": "SE"})
    clock.advance(29)
    past, now = tenant.view(30), tenant.view()
    assert (past.number(FREE_NUMBER), past.voice(user.id).enterprise_voice) == (None, False)
    assert past.numbers_held_by(user.id) == []
    assert past.user(user.upn) == user
    assert "ipPhone" not in past.ad_user(sam).attributes  # type: ignore[union-attr]  # the account exists
    assert now.voice(user.id).enterprise_voice
    clock.advance(1)
    assert tenant.view(30).number(FREE_NUMBER) == tenant.numbers[FREE_NUMBER]


def test_a_lagging_view_still_shows_what_is_gone(tenant: Tenant, clock: Clock) -> None:
    """A deleted account and a vanished number are still there for a lagging reader."""
    user = with_number(tenant)[0]
    (held,) = tenant.numbers_held_by(user.id)
    clock.advance(10)
    tenant.unassign_number(held.telephone_number, DIRECT_ROUTING)
    tenant.delete_user(user.id)
    past = tenant.view(5)
    assert past.number(held.telephone_number) == held
    assert held in list(past.numbers())
    assert past.user(user.upn) == user == past.user_by_id(user.id)
    assert user in list(past.users())


@pytest.mark.parametrize("seed", range(3))
def test_indexes_always_agree_with_the_objects(tenant: Tenant, seed: int) -> None:
    """After random changes every index agrees with a scan; no number has two owners."""
    dice, people = random.Random(seed), ready(tenant, 8)
    for _ in range(400):
        user, number = dice.choice(people).id, f"+4319346012{dice.randint(10, 19)}"
        actions = (
            lambda u=user, n=number: tenant.assign_number(u, n, DIRECT_ROUTING),
            lambda n=number: tenant.unassign_number(n, DIRECT_ROUTING),
            lambda u=user: tenant.remove_licence(u, E5),
            lambda u=user: tenant.assign_licence(u, E5),
            lambda u=user: tenant.delete_user(u),
            lambda u=user: tenant.restore_user(u),
        )
        try:
            dice.choice(actions)()
        except Refusal:
            continue
    held = [(n.target_id, key) for key, n in tenant.numbers.items() if n.target_id]
    assert sorted(held) == sorted((target, key) for target, keys in tenant.numbers_of.items() for key in keys)
    assert tenant.sorted_numbers == sorted(tenant.numbers)
    assert tenant.by_upn == {user.upn.casefold(): user.id for user in tenant.users.values()}
    assert tenant.consumed[E5] == sum(lic.sku_id == E5 for u in tenant.users.values() for lic in u.licences)


def _leave_groups(tenant: Tenant, user: User) -> None:
    for group_id in list(tenant.groups_of[user.id]):
        tenant.change_members(group_id, remove=[user.id])


def _calling(tenant: Tenant, user: User) -> tuple[str, str | None] | None:
    for found in tenant.effective_policies(user.id):
        if found.policy.policy_type == "TeamsCallingPolicy":
            return found.policy.name, found.group_id
    return None


def test_a_history_that_was_cut_says_so(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old versions are forgotten in slices, and a reader of old ones can tell."""
    monkeypatch.setattr("lab.history.KEPT", 20)
    start = tenant.history.last
    for index in range(30):
        tenant.put_number(Number(f"+43193460{index:04d}", DIRECT_ROUTING))
    assert not tenant.history.reaches(start)
    assert tenant.history.reaches(tenant.history.last - 3)
    assert len(list(tenant.history.since(tenant.history.last - 3))) == 3
