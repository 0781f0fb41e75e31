"""The number rules of the stand-in tenant: ownership, inventory, licences, locations, blocks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lab.catalogue import CALLING_ADD_ON, CALLING_PLAN_FIRST, E5, OPERATOR_CONNECT_FIRST
from lab.clock import Clock
from lab.records import CALLING_PLAN, DIRECT_ROUTING, OPERATOR_CONNECT, Effect, opaque_id
from lab.rules import Refusal
from lab.tenant import Tenant
from tests.fakes.lab_people import FREE_NUMBER, OTHER_NUMBER, ready, with_number, without_licence

LONDON, SEATTLE = opaque_id("location", "London"), opaque_id("location", "Seattle")
IN_USE = "has already been assigned to another user"


def assign(tenant: Tenant, user_id: str, number: str = FREE_NUMBER) -> list[Effect]:
    """Assign a Direct Routing number."""
    return tenant.assign_number(user_id, number, DIRECT_ROUTING)


def test_assigning_switches_enterprise_voice_on(tenant: Tenant) -> None:
    """An assignment has two effects: the number's owner and the user's Enterprise Voice."""
    (user,) = ready(tenant, 1)
    effects = assign(tenant, user.id)
    assert effects == [
        Effect(f"number:{FREE_NUMBER}", "assignmentTargetId", None, user.id),
        Effect(f"user:{user.id}", "isEnterpriseVoiceEnabled", before=False, after=True),
    ]


def test_assigning_twice_changes_nothing(tenant: Tenant) -> None:
    """The same assignment again succeeds and has no effect."""
    (user,) = ready(tenant, 1)
    assign(tenant, user.id)
    assert assign(tenant, user.id) == []


def test_a_plus_sign_may_be_omitted(tenant: Tenant) -> None:
    """A number input without `+` means the same number."""
    (user,) = ready(tenant, 1)
    assign(tenant, user.upn, FREE_NUMBER[1:])
    assert [n.telephone_number for n in tenant.numbers_held_by(user.id)] == [FREE_NUMBER]


@pytest.mark.parametrize(
    "text", ["tel:+43193460", "+0123456", "", "+43 1 934", "+431;ext=", "+431;ext=12345678901", "abc"]
)
def test_a_malformed_number_is_refused(tenant: Tenant, text: str) -> None:
    """`tel:`, spaces, an empty extension and leading zeros are no E.164."""
    (user,) = ready(tenant, 1)
    with pytest.raises(Refusal, match=r"not in a valid E\.164 format"):
        assign(tenant, user.id, text)


def test_a_held_number_is_refused_with_the_documented_text(tenant: Tenant) -> None:
    """The text is the one administrators search for."""
    first, second = ready(tenant, 2)
    assign(tenant, first.id)
    with pytest.raises(Refusal) as refused:
        assign(tenant, second.id)
    assert refused.value.message == f"Telephone Number '{FREE_NUMBER}' {IN_USE}"
    assert refused.value.code == "BadRequest"


@pytest.mark.parametrize("fate", ["deleted", "purged"])
def test_a_number_of_somebody_who_left_is_not_free(tenant: Tenant, fate: str) -> None:
    """A soft-deleted account and a ghost keep their number; nobody else gets it."""
    holder, (user,) = with_number(tenant)[0], ready(tenant, 1)
    (number,) = tenant.numbers_held_by(holder.id)
    if fate == "deleted":
        tenant.delete_user(holder.id)
    else:
        tenant.purge_user(holder.id)
    with pytest.raises(Refusal, match=IN_USE):
        assign(tenant, user.id, number.telephone_number)
    assert (tenant.find_holder(holder.id) is None) == (fate == "purged")


def test_a_resource_account_holds_a_number(tenant: Tenant) -> None:
    """Numbers of auto attendants are taken, too."""
    (user,) = ready(tenant, 1)
    tenant.assign_licence(user.id, CALLING_ADD_ON)
    with pytest.raises(Refusal, match=IN_USE):
        tenant.assign_number(user.id, f"+{CALLING_PLAN_FIRST}", CALLING_PLAN)


def test_extensions_are_numbers_of_their_own(tenant: Tenant) -> None:
    """Two people may share a base number when their extensions differ (M54)."""
    first, second, third = ready(tenant, 3)
    assign(tenant, first.id, f"{FREE_NUMBER};ext=101")
    assign(tenant, second.id, f"{FREE_NUMBER};ext=102")
    assign(tenant, third.id)
    with pytest.raises(Refusal, match=IN_USE):
        assign(tenant, first.id, f"{FREE_NUMBER};ext=102")


def test_a_tenant_may_refuse_base_beside_extension(tenant: Tenant) -> None:
    """Whether base and extension clash is a setting, because both have been reported (M54)."""
    first, second = ready(tenant, 2)
    tenant.settings.extension_clashes = True
    assign(tenant, first.id)
    with pytest.raises(Refusal, match=IN_USE):
        assign(tenant, second.id, f"{FREE_NUMBER};ext=101")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(FREE_NUMBER, OPERATOR_CONNECT), (f"+{OPERATOR_CONNECT_FIRST}", DIRECT_ROUTING)],
    ids=["not delivered", "wrong type"],
)
def test_inventory_and_type_must_fit(tenant: Tenant, number: str, kind: str) -> None:
    """Delivered numbers must be in the inventory with the type named (M60)."""
    (user,) = ready(tenant, 1)
    with pytest.raises(Refusal, match=f"is not found from tenant '{tenant.tenant_id}'"):
        tenant.assign_number(user.id, number, kind, location_id=LONDON)


def test_an_operator_number_needs_a_location_of_its_country(tenant: Tenant) -> None:
    """Operator Connect wants an emergency location; one abroad is refused."""
    (user,) = ready(tenant, 1)
    number = f"+{OPERATOR_CONNECT_FIRST}"
    with pytest.raises(Refusal, match="requires an emergency location"):
        tenant.assign_number(user.id, number, OPERATOR_CONNECT)
    with pytest.raises(Refusal, match="is not in the country"):
        tenant.assign_number(user.id, number, OPERATOR_CONNECT, location_id=SEATTLE)
    tenant.assign_number(user.id, number, OPERATOR_CONNECT, location_id=LONDON)
    assert tenant.numbers[number].location_id == LONDON


def test_a_calling_plan_number_needs_the_calling_licence(tenant: Tenant) -> None:
    """A telephony licence alone does not allow a Calling Plan number (M60)."""
    (user,) = ready(tenant, 1)
    number = f"+{CALLING_PLAN_FIRST + 20}"
    with pytest.raises(Refusal, match="lacks appropriate licenses to assign a 'CallingPlan' number"):
        tenant.assign_number(user.id, number, CALLING_PLAN)
    tenant.assign_licence(user.id, CALLING_ADD_ON)
    tenant.assign_number(user.id, number, CALLING_PLAN)


def test_a_licence_works_only_after_its_delay(tenant: Tenant, clock: Clock) -> None:
    """Until the licence has replicated, the user "lacks" it; at the very second it is there."""
    user = without_licence(tenant)[0]
    tenant.settings.licence_delay_s = 600
    tenant.assign_licence(user.id, E5)
    clock.advance(599)
    with pytest.raises(Refusal, match=f"User '{user.upn}' lacks appropriate licenses"):
        assign(tenant, user.id)
    clock.advance(1)
    assert assign(tenant, user.id)


def test_losing_the_licence_frees_the_number(tenant: Tenant) -> None:
    """Taking the licence silently takes the number and Enterprise Voice."""
    (user,) = ready(tenant, 1)
    assign(tenant, user.id)
    effects = tenant.remove_licence(user.id, E5)
    assert {effect.attribute for effect in effects} == {
        "assignedLicenses",
        "assignmentTargetId",
        "isEnterpriseVoiceEnabled",
    }
    assert FREE_NUMBER not in tenant.numbers
    assert not tenant.voice(user.id).enterprise_voice


def test_exchanging_licences_keeps_the_number(tenant: Tenant) -> None:
    """Adding and removing in one call is judged by what remains."""
    (user,) = ready(tenant, 1)
    assign(tenant, user.id)
    from lab.catalogue import E3, PHONE_ADD_ON

    tenant.change_licences(user.id, add={E3: (), PHONE_ADD_ON: ()}, remove=[E5])
    assert tenant.numbers[FREE_NUMBER].target_id == user.id


def test_a_number_from_on_premises_blocks_the_cloud(tenant: Tenant, clock: Clock) -> None:
    """The local directory's line blocks an assignment until its removal is synchronised."""
    (user,) = ready(tenant, 1)
    sam = str(user.text("onPremisesSamAccountName"))
    tenant.settings.directory_sync_delay_s = 1800
    tenant.set_ad_user(sam, {"msRTCSIP-Line": "tel:+431934605555"})
    clock.advance(1800)
    tenant.settle()
    with pytest.raises(Refusal, match="already has a telephone number set in the on-premises Active Directory"):
        assign(tenant, user.id)
    tenant.set_ad_user(sam, {"msRTCSIP-Line": None})
    clock.advance(1800)
    tenant.settle()
    assert assign(tenant, user.id)


def test_a_local_line_is_in_the_inventory(tenant: Tenant) -> None:
    """A synchronised line is a number nobody else gets and no call of the cloud removes."""
    first, second = ready(tenant, 2)
    tenant.set_ad_user(str(first.text("onPremisesSamAccountName")), {"msRTCSIP-Line": f"tel:{FREE_NUMBER}"})
    assert (tenant.numbers[FREE_NUMBER].source, tenant.numbers[FREE_NUMBER].target_id) == ("onPremises", first.id)
    with pytest.raises(Refusal, match=IN_USE):
        assign(tenant, second.id)
    with pytest.raises(Refusal, match="on-premises Active Directory"):
        tenant.unassign_number(FREE_NUMBER, DIRECT_ROUTING)
    assert tenant.unassign_all(first.id) == []


def test_another_number_replaces_the_first(tenant: Tenant) -> None:
    """A user has one primary number: the old one becomes free."""
    first, second = ready(tenant, 2)
    assign(tenant, first.id)
    assign(tenant, first.id, OTHER_NUMBER)
    assert [n.telephone_number for n in tenant.numbers_held_by(first.id)] == [OTHER_NUMBER]
    assert assign(tenant, second.id)


def test_a_private_line_comes_second(tenant: Tenant) -> None:
    """A private line leaves the primary number alone and is listed after it."""
    (user,) = ready(tenant, 1)
    tenant.assign_number(user.id, OTHER_NUMBER, DIRECT_ROUTING, category="private")
    assign(tenant, user.id)
    assert [n.telephone_number for n in tenant.numbers_held_by(user.id)] == [FREE_NUMBER, OTHER_NUMBER]


def test_unassigning_switches_enterprise_voice_off(tenant: Tenant) -> None:
    """The number goes and Enterprise Voice with it."""
    (user,) = ready(tenant, 1)
    assign(tenant, user.id)
    tenant.unassign_number(FREE_NUMBER, DIRECT_ROUTING)
    assert not tenant.voice(user.id).enterprise_voice
    assert tenant.numbers_held_by(user.id) == []


def test_unassigning_a_free_number_is_refused(tenant: Tenant) -> None:
    """What nobody holds cannot be taken."""
    free = next(n for n in tenant.numbers.values() if n.target_id is None and n.number_type == DIRECT_ROUTING)
    with pytest.raises(Refusal, match="is not assigned"):
        tenant.unassign_number(free.telephone_number, DIRECT_ROUTING)


def test_only_uploaded_direct_routing_rows_stay(tenant: Tenant) -> None:
    """A row that was never uploaded vanishes with its owner; an uploaded one stays."""
    (user,) = ready(tenant, 1)
    uploaded = next(n for n in tenant.numbers.values() if n.target_id is None and n.number_type == DIRECT_ROUTING)
    for number in (FREE_NUMBER, uploaded.telephone_number):
        assign(tenant, user.id, number)
        tenant.unassign_number(number, DIRECT_ROUTING)
    assert FREE_NUMBER not in tenant.numbers
    assert tenant.numbers[uploaded.telephone_number].target_id is None


def test_a_block_ends_at_its_moment(tenant: Tenant, clock: Clock) -> None:
    """A number blocked for thirty days is refused just before and given at the moment (M58)."""
    first, second = ready(tenant, 2)
    assign(tenant, first.id)
    tenant.unassign_number(FREE_NUMBER, DIRECT_ROUTING, identity=first.id, block_days=30)
    clock.advance(timedelta(days=30).total_seconds() - 1)
    with pytest.raises(Refusal, match="is blocked"):
        assign(tenant, second.id)
    clock.advance(1)
    assert assign(tenant, second.id)


def test_update_clears_with_an_empty_text_and_keeps_with_none(tenant: Tenant) -> None:
    """An empty string clears the network site, None keeps it."""
    (user,) = ready(tenant, 1)
    assign(tenant, user.id)
    tenant.update_number(FREE_NUMBER, network_site_id="HQ", location_id=LONDON)
    tenant.update_number(FREE_NUMBER, location_id="")
    assert (tenant.numbers[FREE_NUMBER].network_site_id, tenant.numbers[FREE_NUMBER].location_id) == ("HQ", None)


def test_an_unknown_user_is_not_found(tenant: Tenant) -> None:
    """The telephony service answers NotFound for who it does not know."""
    with pytest.raises(Refusal) as refused:
        assign(tenant, "nobody@contoso.example")
    assert (refused.value.code, refused.value.status) == ("NotFound", 404)
