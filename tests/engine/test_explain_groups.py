"""Why a user has a template or a licence: the groups behind it, and the way the user is in them."""

from __future__ import annotations

import pytest

from config.site_templates import LifecycleTemplate, Match, NumberSource
from connectors.database import Database
from engine.explain import Explained, explain
from engine.explain_groups import Membership, memberships
from engine.runtime import Runtime
from tests.fakes.plans import fresh, runtime_on
from tests.fakes.sites import PHONES, site
from tests.fakes.tenant import SKU, FakeTenant

BY_GROUP = LifecycleTemplate(
    name="members", match=Match(groups=("Phones",)), number_source=NumberSource.NONE, enterprise_voice=False
)


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant where Phones holds Sales, which holds Vienna, which holds the first user."""
    made = fresh(3)
    made.groups = {name: {"id-1"} for name in ("Phones", "Sales", "Vienna", "Chess club")}
    made.groups["Phones"].add("id-2")
    made.nested = {"Phones": {"Sales"}, "Sales": {"Vienna"}}
    return made


@pytest.fixture
def runtime(sqlite: Database, tenant: FakeTenant) -> Runtime:
    """Give what explaining needs."""
    return runtime_on(sqlite, tenant)


def told(runtime: Runtime, name: str) -> Explained:
    """Explain a user of a site with a template for members of Phones."""
    return explain(runtime, site(BY_GROUP, PHONES), name, {})


def test_a_template_s_group_is_told_with_its_nesting(runtime: Runtime) -> None:
    """The way from the user up to the group is named, the user's own group first; clubs that decide nothing are not."""
    (group,) = told(runtime, "id-1").groups
    assert group == Membership("Phones", ("Vienna", "Sales"), ("members",))
    assert group.told == "in group 'Phones' through 'Vienna' → 'Sales'"
    assert group.decides == "matches template members"
    assert [each.told for each in told(runtime, "id-2").groups] == ["in group 'Phones' directly"]
    assert told(runtime, "id-3").groups == ()


def test_a_licence_of_a_group_says_so(runtime: Runtime, tenant: FakeTenant) -> None:
    """A licence that a group gives is no mystery; one group may give it and match a template."""
    tenant.users["id-2"].skus = (SKU,)
    tenant.licence_groups = {"id-2": {SKU: ("Phones",)}}
    found = told(runtime, "id-2")
    assert found.groups == (Membership("Phones", (), ("members",), ("MCOEV",)),)
    (licence,) = [each for each in found.values if each.attribute == "licence:MCOEV"]
    assert licence.comes_from == "given by group: in group 'Phones' directly"


def test_groups_in_a_circle_end_and_an_unknown_way_is_said(runtime: Runtime, tenant: FakeTenant) -> None:
    """Groups that hold each other are looked at once; a group that is not found above the user has no way."""
    tenant.nested = {"Phones": {"Sales"}, "Sales": {"Phones", "Chess club"}}
    graph = runtime.systems.graph
    found = memberships(graph, "id-1", {"Phones": ["members"], "Ghosts": ["ghosts"]}, {})
    assert [(each.group, each.through) for each in found] == [("Ghosts", None), ("Phones", ("Chess club", "Sales"))]
    assert found[0].told == "in group 'Ghosts', how is not known"


def test_nothing_is_asked_where_no_group_decides(runtime: Runtime, tenant: FakeTenant) -> None:
    """Without groups in templates and licences nobody looks for the user's groups."""
    assert explain(runtime, site(), "id-1", {}).groups == ()
