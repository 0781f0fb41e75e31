"""The attributes of a directory user: LDAP names, PowerShell's own names for some, and what is shown by default."""

from __future__ import annotations

from lab.cmdlets import words

_LDAP = (
    *words("telephoneNumber otherTelephone mobile otherMobile homePhone otherHomePhone ipPhone otherIpPhone"),
    *words("facsimileTelephoneNumber pager employeeID employeeNumber employeeType department title company"),
    *words("physicalDeliveryOfficeName mail displayName givenName sn initials l st c co postalCode streetAddress"),
    *words("description info wWWHomePage manager proxyAddresses"),
    *words("msRTCSIP-Line msRTCSIP-PrimaryUserAddress msRTCSIP-UserEnabled msRTCSIP-DeploymentLocator"),
    *words("msRTCSIP-PrimaryHomeServer msRTCSIP-OptionFlags msRTCSIP-PrivateLine msRTCSIP-GroupingID"),
    *(f"extensionAttribute{number}" for number in range(1, 16)),
)
SCHEMA = {name.lower(): name for name in _LDAP}

# PowerShell's own names for some attributes.
ALIASES = {
    "OfficePhone": "telephoneNumber",
    "MobilePhone": "mobile",
    "HomePhone": "homePhone",
    "Fax": "facsimileTelephoneNumber",
    "EmailAddress": "mail",
    "Office": "physicalDeliveryOfficeName",
    "City": "l",
    "State": "st",
    "Country": "c",
    "Surname": "sn",
    "HomePage": "wWWHomePage",
}
_BY_ALIAS = {alias.lower(): name for alias, name in ALIASES.items()}

LISTS = frozenset({"otherTelephone", "otherMobile", "otherHomePhone", "otherIpPhone", "proxyAddresses"})
DEFAULTS = (
    *words("DistinguishedName Enabled GivenName Name ObjectClass ObjectGUID SamAccountName SID Surname"),
    "UserPrincipalName",
)


def ldap_name(name: str) -> str | None:
    """Give the LDAP name of an attribute or of PowerShell's name for it; None when there is none."""
    folded = name.lower()
    return SCHEMA.get(folded) or _BY_ALIAS.get(folded)
