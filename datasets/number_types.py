"""Kinds of numbers: what Teams calls them, and which need an emergency location. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from datasets.users import NumberAssignment

ON_PREMISES, DIRECT_ROUTING, CALLING_PLAN = "onPremises", "directRouting", "callingPlan"
OPERATOR_CONNECT, TEAMS_PHONE_MOBILE = "operatorConnect", "teamsPhoneMobile"
# Numbers that Microsoft or an operator delivers: they exist only where Teams lists them.
DELIVERED = (CALLING_PLAN, OPERATOR_CONNECT, TEAMS_PHONE_MOBILE)
NEEDS_LOCATION = (CALLING_PLAN, OPERATOR_CONNECT)
SPOKEN: Mapping[str, str] = {
    ON_PREMISES: "on-premises",
    DIRECT_ROUTING: "Direct Routing",
    CALLING_PLAN: "Calling Plan",
    OPERATOR_CONNECT: "Operator Connect",
    TEAMS_PHONE_MOBILE: "Teams Phone Mobile",
}


def kind_of(row: NumberAssignment) -> str:
    """Give the kind of a listed number.

    The API has no type of its own for Teams Phone Mobile: such a number is an Operator Connect number with that
    capability (read from the capability's name; not confirmed on a real tenant).
    """
    if row.number_source == ON_PREMISES:
        return ON_PREMISES
    mobile = TEAMS_PHONE_MOBILE.casefold()
    if row.number_type == OPERATOR_CONNECT and any(name.casefold() == mobile for name in row.capabilities):
        return TEAMS_PHONE_MOBILE
    return row.number_type


def type_to_send(kind: str) -> str:
    """Give the type that Teams must be told with a number of this kind."""
    return OPERATOR_CONNECT if kind == TEAMS_PHONE_MOBILE else kind


def spoken(kind: str) -> str:
    """Name a kind as people do."""
    return SPOKEN.get(kind, kind)


def location_refusal(kind: str, number_country: str | None, location_country: str | None, *, has_one: bool) -> str:
    """Say why a number of this kind may not go out with this location; empty when it may.

    A Calling Plan or Operator Connect number needs one in its own country; the operator keeps that of a mobile number,
    and Direct Routing leaves the choice to the site.
    """
    if kind not in NEEDS_LOCATION:
        return ""
    if not has_one:
        return f"a {spoken(kind)} number needs an emergency location"
    if number_country and location_country and number_country != location_country:
        return f"a {spoken(kind)} number of {number_country} cannot have an emergency location in {location_country}"
    return ""
