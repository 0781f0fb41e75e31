"""What to do about a difference that number-sync reports, step by step and in this order. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_CLEAR_LINE = "clear it there: Set-CsUser -LineUri $null in the Skype shell, or msRTCSIP-Line when no server is left"
_WAIT = "wait for the directory sync"
_AGAIN = "run number-sync again"

REMEDIES: Mapping[str, tuple[str, ...]] = {
    "ghost": (
        "look for the id among deleted users; restore or purge the account",
        "Remove-CsPhoneNumberAssignment -RemoveAll with that id",
        "when Teams refuses both, open a case with Microsoft",
        _AGAIN,
    ),
    "soft_deleted_holder": ("restore the account within 30 days, or purge it", _AGAIN),
    "ad_owned": (_CLEAR_LINE, _WAIT, "assign the number in Teams", _AGAIN),
    "stuck_line_uri": (_CLEAR_LINE, _WAIT, _AGAIN),
    "resource_account": ("nothing: the inventory leaves the number to the resource account",),
    "other_holder": ("compare with the record: ./callwright audit number", _AGAIN),
    "extension_clash": (
        "give the base or the extensions other numbers",
        "or say base_with_extensions = true in the pool",
        _AGAIN,
    ),
    "unknown_number": ("add its range to a pool, or release the number in Teams", _AGAIN),
    "wrong_type": ("correct the pool, or have the number ported to the type of the pool", _AGAIN),
    "dead_claim": ("discard the plan", _AGAIN),
    "not_held": ("compare with the record: ./callwright audit number", _AGAIN),
    "block_missing": ("Set-CsPhoneNumberAssignmentBlock for the days that are left",),
    "blocked_in_teams": ("ask who blocked it", "Remove-CsPhoneNumberAssignmentBlock, or withhold it in its pool"),
    "location_missing": (
        "set emergency_location of its pool; of an Operator Connect number the operator may have to",
        _AGAIN,
    ),
    "directory_differs": ("clear or correct the attribute in Active Directory", _AGAIN),
    "new_numbers": (_AGAIN,),
    "unassigned_range_unknown": (
        "add it to a pool, written with its country code, or take it out there: Remove-CsUnassignedNumber",
        _AGAIN,
    ),
    "unassigned_range_missing": ("New-CsUnassignedNumber there, or take the range out of the pool", _AGAIN),
}
