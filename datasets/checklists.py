"""The checklist of a user who moves: what was checked before, and how far each step has come (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from datasets.preflight import Check, Examined

OK, LOOK, BLOCKED, NOT_NEEDED, NOT_SEEN = "ok", "look", "blocked", "–", "not looked at"
"""What a check says: nothing in the way, worth a look, in the way, does not matter for this user, beside the point."""

CHECKS: Mapping[str, Collection[Check]] = {
    "account": (Check.NO_ACCOUNT, Check.SOFT_DELETED, Check.UNREADABLE, Check.OTHER_PLAN, Check.USAGE_LOCATION),
    "server": (
        Check.NO_SKYPE_ENDPOINT,
        Check.NOT_ON_SERVER,
        Check.NOT_ENABLED,
        Check.SERVER_BUILD,
        Check.TEAMS_MODULE,
    ),
    "licence": (Check.LICENCE_SUPPLY, Check.LICENCE_TEAMS, Check.LICENCE_SKYPE, Check.LICENCE_PHONE),
    "sync": (Check.NOT_SYNCHRONISED,),
    "SIP": (Check.SIP_MISSING, Check.SIP_MISMATCH),
    "voice": (Check.ENTERPRISE_VOICE, Check.NO_LINE, Check.LINE_CLASH),
    "mailbox": (Check.MAILBOX,),
    "location": (Check.EMERGENCY_LOCATION,),
    "number": (
        Check.NUMBER_MISSING,
        Check.NUMBER_INVALID,
        Check.NUMBER_OUTSIDE,
        Check.NUMBER_TAKEN,
        Check.POOL_EXHAUSTED,
    ),
    "policies": (Check.POLICY_MISSING, Check.USAGE_MISSING),
}
_OF_MOVES = ("server", "sync", "SIP", "voice")
_BESIDE_ALL = {*CHECKS["account"], Check.NO_SKYPE_ENDPOINT, Check.NOT_ON_SERVER} - {Check.USAGE_LOCATION}
"""Who has one of these was not looked at any further."""

STEPS: Mapping[str, Collection[str]] = {
    "licensed": ("assign_licence",),
    "moved": ("move_to_teams", "await_teams_only"),
    "line cleared": ("clear_on_premises_line", "await_line_release"),
    "numbered": ("assign_number", "await_voice"),
    "policies set": ("set_policies",),
    "written back": ("write_directory",),
}
_WORDS = {"verified": "done", "failed": "failed", "unknown": "unknown", "sent": "under way", "applied": "under way"}
_WORST_FIRST = ("failed", "unknown", "under way", "to do", "done")


def checked(blocking: Collection[str], warning: Collection[str], *, is_on_premises: bool) -> dict[str, str]:
    """Say of each check how it stands for a user, from the concerns that block and those that only warn."""
    blocks, warns = set(blocking), set(warning)
    is_beside = bool(blocks & {each.value for each in _BESIDE_ALL})
    return {item: _mark(item, blocks, warns, is_on_premises=is_on_premises, is_beside=is_beside) for item in CHECKS}


def checked_of(examined: Examined) -> dict[str, str]:
    """Say of each check how it stands for a user who was examined."""
    blocking = [each.check.value for each in examined.concerns if each.blocks]
    warning = [each.check.value for each in examined.concerns if not each.blocks]
    return checked(blocking, warning, is_on_premises=examined.home == "onPremises")


def _mark(item: str, blocks: set[str], warns: set[str], *, is_on_premises: bool, is_beside: bool) -> str:
    names = {check.value for check in CHECKS[item]}
    if names & blocks:
        return BLOCKED
    if names & warns:
        return LOOK
    if is_beside:
        return NOT_SEEN
    return NOT_NEEDED if item in _OF_MOVES and not is_on_premises else OK


def stepped(changes: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Say of each step how far it has come, from the kinds and states of a user's changes."""
    return {
        step: _worst([_WORDS.get(state, "to do") for kind, state in changes if kind in STEPS[step]]) for step in STEPS
    }


def _worst(words: Sequence[str]) -> str:
    return min(words, key=_WORST_FIRST.index) if words else NOT_NEEDED


def short(row: Mapping[str, str]) -> dict[str, str]:
    """Put the checks of a checklist into one column, the end first: neither a page nor a terminal has room for all."""
    troubles = [f"{name}: {row[name]}" for name in CHECKS if row[name] in (BLOCKED, LOOK)]
    looked = any(row[name] for name in CHECKS)
    steps = {name: row[name] for name in STEPS}
    return {"user": row["user"], "end": row["end"], "checked": ", ".join(troubles) or ("ok" if looked else ""), **steps}
