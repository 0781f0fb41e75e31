"""From the values accounts shall have to the changes that lead there (pure): restored, enabled or disabled."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from engine.change import Change, Effect
from engine.readers import Observed

KNOWN = ("account_enabled", "exists")
SWITCH = "enabled"


def brought_back(user_id: str, wanted: Observed, observed: Observed, reason: str) -> list[Change]:
    """Restore a deleted account and enable what shall be enabled; it comes before everything else."""
    obj = f"user:{user_id}"
    changes = []
    if wanted.get((obj, "exists")) is True and observed.get((obj, "exists")) is False:
        effect = Effect(object=obj, attribute="exists", before=False, after=True)
        changes.append(_change("restore_user", user_id, {"user_id": user_id}, effect, reason))
    return [*changes, *_switched(user_id, wanted, observed, reason, enabled=True)]


def switched_off(user_id: str, wanted: Observed, observed: Observed, reason: str) -> list[Change]:
    """Disable what shall be disabled; it comes after everything else."""
    return _switched(user_id, wanted, observed, reason, enabled=False)


def _switched(user_id: str, wanted: Observed, observed: Observed, reason: str, *, enabled: bool) -> list[Change]:
    changes = []
    for (obj, attribute), value in sorted(wanted.items()):
        # An account that is restored by the same plan cannot be read yet: it comes back as it was deleted, disabled.
        seen = observed.get((obj, attribute))
        before = False if seen is None else seen
        if value is not enabled or before == value:
            continue
        effect = Effect(object=obj, attribute=attribute, before=before, after=value)
        if (obj, attribute) == (f"user:{user_id}", "account_enabled"):
            asked: dict[str, JsonValue] = {"user_id": user_id, "enabled": value}
            changes.append(_change("set_account_enabled", user_id, asked, effect, reason))
        elif obj.startswith("ad:") and attribute == SWITCH:
            asked = {"sam_account_name": obj.removeprefix("ad:"), "enabled": value}
            changes.append(_change("set_ad_account_enabled", user_id, asked, effect, reason))
    return changes


def _change(kind: str, user_id: str, asked: Mapping[str, JsonValue], effect: Effect, reason: str) -> Change:
    return Change(kind=kind, target=f"user:{user_id}", parameters=dict(asked), effects=(effect,), reason=reason)
