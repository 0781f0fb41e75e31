"""The rules of the stand-in tenant that need no state: refusals with their documented texts, forms of values."""

from __future__ import annotations

import re

from lab.records import CALLING_PLAN, DIRECT_ROUTING, OPERATOR_CONNECT

_E164 = re.compile(r"\+[1-9][0-9]{1,14}(;ext=[0-9]{1,10})?")
_COUNTRY = re.compile(r"[A-Z]{2}")

SPOKEN_TYPE = {DIRECT_ROUTING: "DirectRouting", CALLING_PLAN: "CallingPlan", OPERATOR_CONNECT: "OperatorConnect"}
NEEDED_FEATURES = {
    DIRECT_ROUTING: frozenset({"PhoneSystem"}),
    OPERATOR_CONNECT: frozenset({"PhoneSystem"}),
    CALLING_PLAN: frozenset({"PhoneSystem", "CallingPlan"}),
}
VIRTUAL_FEATURE = "PhoneSystemVirtualUser"


class Refusal(Exception):
    """The tenant refuses a call: an HTTP word as code, a message, a status for Graph."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        self.code, self.message, self.status = code, message, status
        super().__init__(message)


def bad_request(message: str) -> Refusal:
    """Make the commonest refusal."""
    return Refusal("BadRequest", message)


def not_found(message: str) -> Refusal:
    """Make the refusal for something that is not there."""
    return Refusal("NotFound", message, status=404)


def missing(identity: str) -> Refusal:
    """Say that the directory has no such object, as Graph words it."""
    text = f"Resource '{identity}' does not exist or one of its queried reference-property objects are not present."
    return Refusal("Request_ResourceNotFound", text, status=404)


def already_assigned(number: str) -> Refusal:
    """Say that somebody else holds the number, perhaps a stale object."""
    return bad_request(f"Telephone Number '{number}' has already been assigned to another user")


def not_in_inventory(number: str, tenant_id: str) -> Refusal:
    """Say that the number is not in the inventory, or is there with another type."""
    return bad_request(f"Telephone Number '{number}' is not found from tenant '{tenant_id}'")


def lacks_licence(user: str, number_type: str) -> Refusal:
    """Say that the licence for this kind of number is missing, or not replicated yet."""
    spoken = SPOKEN_TYPE.get(number_type, number_type)
    return bad_request(f"User '{user}' lacks appropriate licenses to assign a '{spoken}' number")


def on_premises_number(user: str) -> Refusal:
    """Say that the on-premises directory owns this user's number."""
    return bad_request(
        f"The user '{user}' already has a telephone number set in the on-premises Active Directory and synchronized "
        "to the cloud. Remove it on-premises and wait for the synchronization before assigning a number online."
    )


def service_unavailable() -> Refusal:
    """Say "try again", coded BadRequest as the real service does."""
    return bad_request("Service is unavailable. Please try again")


def unknown_user(identity: str) -> Refusal:
    """Say that the telephony service does not know the user (yet)."""
    return not_found(f"The server responded with a Request Error, Status: NotFound (user '{identity}')")


def telephone_number(text: str) -> str:
    """Bring a number to E.164: `+` may be omitted, `tel:` is refused, `;ext=` allowed."""
    number = text if text.startswith("+") else f"+{text}"
    if not is_e164(number):
        raise bad_request(f"Telephone Number '{text}' is not in a valid E.164 format")
    return number


def is_e164(text: str) -> bool:
    """Tell whether this is a number in E.164, perhaps with an extension."""
    return bool(_E164.fullmatch(text))


def number_type(text: str) -> str:
    """Read a number type in any case; refuses what is none."""
    for known in SPOKEN_TYPE:
        if known.casefold() == text.casefold():
            return known
    raise bad_request(f"'{text}' is not a valid telephone number type")


def country_code(text: str) -> bool:
    """Tell whether this looks like an ISO 3166-1 alpha-2 code."""
    return bool(_COUNTRY.fullmatch(text))
