"""What a preview says of groups that lie in each other, and of what only the directory shows."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import InputRefused
from config.site_policy import SitePolicy
from config.site_templates import LifecycleTemplate, Match, NumberSource
from connectors.database import Database
from engine.group_members import Join, as_joined, members_of
from engine.template_preview import preview
from tests.fakes.company import Company, company, company_site
from tests.fakes.plans import runtime_on
from tests.fakes.tenant import FakeClock, FakeTenant

PHONES = LifecycleTemplate(
    name="phones",
    priority=1,
    match=Match(groups=("Phones",)),
    number_source=NumberSource.NONE,
    policies={"OnlineVoiceRoutingPolicy": "Berlin"},
)


def with_groups(database: Database) -> Company:
    """Give a company whose template matches Phones, in which Sales lies through Everybody; Berlin lies in nothing."""
    site = company_site()
    firm = company(database, site.model_copy(update={"templates": (PHONES, *site.templates)}))
    firm.tenant.groups = {
        "Phones": {"id-3"},
        "Everybody": {"id-3"},
        "Sales": set(),
        "Berlin": {"id-1"},
        "Graz": {"id-2"},
    }
    firm.tenant.nested = {"Phones": {"Everybody"}, "Everybody": {"Sales"}, "Sales": {"Everybody"}}
    firm.feed(*map(firm.person, (1, 2, 3)))
    firm.days(1)
    return firm


def changed(firm: Company, *joins: tuple[str, str], after: SitePolicy | None = None) -> set[str]:
    """Name the users whom a preview sees changed."""
    found = preview(firm.runtime, firm.site, after or firm.site, [Join(*pair) for pair in joins])
    return {each.user for each in found.rows}


def test_m103_whoever_joins_a_group_joins_those_that_it_lies_in(sqlite: Database) -> None:
    """M103: the template matches Phones, Sales lies in it through another group, and Berlin would be put into Sales."""
    firm = with_groups(sqlite)
    assert changed(firm, ("Berlin", "Sales")) == {"id-1"}
    assert changed(firm, ("Berlin", "Graz")) == set()


def test_m103_joins_may_be_named_in_any_order(sqlite: Database) -> None:
    """M103: what one join adds is passed on by another, whichever is named first."""
    firm = with_groups(sqlite)
    for joins in permutations([("Berlin", "Graz"), ("Graz", "Sales")]):
        assert changed(firm, *joins) == {"id-1", "id-2"}


def test_a_group_that_does_not_exist_is_refused(sqlite: Database) -> None:
    """A name that no group has is told in one line."""
    with pytest.raises(InputRefused, match="no group Nowhere in the tenant"):
        changed(with_groups(sqlite), ("Nowhere", "Sales"))


def test_a_preview_reads_the_directory_that_new_templates_look_at(sqlite: Database) -> None:
    """A file to come that writes the number back is previewed by what the directory shows; today's never looks."""
    site = company_site()
    silent = tuple(each.model_copy(update={"write_back": ()}) for each in site.templates)
    firm = company(sqlite, site.model_copy(update={"templates": silent}))
    firm.feed(firm.person(1))
    firm.days(1)
    found = preview(firm.runtime, firm.site, site)
    assert [(each.attribute, each.live, each.wanted) for each in found.rows] == [
        ("telephoneNumber", None, firm.number_of(1))
    ]


NAMES = ("a", "b", "c", "d")
graphs = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)))
pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=4)


def expanded(nested: dict[str, set[str]]) -> dict[str, set[str]]:
    """Expand by brute force: each group has a user of its name, and those of all groups in it."""
    found = {name: {name} for name in NAMES}
    for _ in NAMES:
        for name in NAMES:
            for inner in nested.get(name, ()):
                found[name] = found[name] | found[inner]
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs, pairs)
def test_m103_random_joins_are_as_if_they_had_been_made(
    sqlite: Database, nested: dict[str, set[str]], joins: list[tuple[str, str]]
) -> None:
    """M103: for any nesting, cycles among them, the members are those of the tenant in which the joins were made."""
    tenant = FakeTenant(FakeClock())
    tenant.groups, tenant.nested = expanded(nested), nested
    runtime = runtime_on(sqlite, tenant)
    found = as_joined(runtime, members_of(runtime, NAMES), [Join(*pair) for pair in joins])
    made = {name: set(nested.get(name, ())) | {group for group, into in joins if into == name} for name in NAMES}
    assert found == {name: frozenset(members) for name, members in expanded(made).items()}
