"""Choosing a lifecycle template."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.site_mappings import FIELDS
from config.site_templates import LifecycleTemplate
from datasets.people import Person
from datasets.templates import choose_template


def template(name: str, priority: int = 100, **match: list[str]) -> LifecycleTemplate:
    """Make a template that gives no number."""
    return LifecycleTemplate.model_validate(
        {"name": name, "priority": priority, "match": match, "number_source": "none"}
    )


ADA = Person(employee_id="1", department="Sales", usage_location="AT", location="Wien", worker_type="employee")


def test_mapping_fields_are_those_of_a_person() -> None:
    """A feed mapping may name exactly the fields that a person has."""
    assert set(Person.model_fields) == FIELDS


def test_strongest_priority_wins_and_says_so() -> None:
    """M53: a person in two templates gets the one with the lower figure, and the reason names the other."""
    choice = choose_template(ADA, [], [template("all"), template("sales", 10, department=["Sales"])])
    assert choice.template is not None
    assert choice.template.name == "sales"
    assert choice.why == "template sales: department is 'Sales'; its priority 10 is before all (100)"


def test_name_decides_between_equals() -> None:
    """Of templates with one priority the first by name wins, whatever their order in the file."""
    choice = choose_template(ADA, [], [template("b"), template("A")])
    assert choice.template is not None
    assert choice.template.name == "A"
    assert "before b by name" in choice.why


@pytest.mark.parametrize("value", ["sales", " SALES ", "Sales"])
def test_case_and_spaces_do_not_matter(value: str) -> None:
    """Attributes are compared without regard to case and outer spaces."""
    assert choose_template(ADA, [], [template("x", department=["Finance", value])]).template is not None


def test_every_named_attribute_must_match() -> None:
    """One attribute that differs is enough to leave a template out, and is named."""
    choice = choose_template(ADA, [], [template("x", department=["Sales"], usage_location=["DE", "CH"])])
    assert choice.template is None
    assert choice.why == "no template matches; x: usage_location 'AT' is not 'DE' or 'CH'"


def test_unknown_attribute_matches_nothing() -> None:
    """A person without a value is outside of every template that asks for one."""
    assert choose_template(Person(employee_id="1"), [], [template("x", company=["Contoso"])]).template is None


def test_groups_match_by_name_or_id() -> None:
    """M52: membership in one of the named groups is enough; ids count like names."""
    wanted = template("x", groups=["Phone Users", "11111111-0000-0000-0000-000000000000"])
    assert choose_template(ADA, ["phone users"], [wanted]).why == "template x: in group 'Phone Users'"
    assert choose_template(ADA, ["11111111-0000-0000-0000-000000000000"], [wanted]).template == wanted
    assert "in no group of" in choose_template(ADA, ["Others"], [wanted]).why


def test_no_templates_is_no_error() -> None:
    """A site without templates gives nobody anything, and says so."""
    assert choose_template(ADA, [], []).why == "no template: the site has none"


@given(st.permutations([template(name, priority) for name in "abc" for priority in (1, 2)]))
def test_order_in_the_file_never_matters(templates: list[LifecycleTemplate]) -> None:
    """The choice is the same in whatever order templates are written."""
    chosen = choose_template(ADA, [], templates).template
    assert chosen is not None
    assert (chosen.name, chosen.priority) == ("a", 1)
